/**
 * What an answer means for one account's pin, and keeping it (SMIMP 0.1 §3 step 6). Decision and writing are one step that
 * nobody comes between; a pin is never cleared. Where pins are kept is the book's business.
 *
 * FORKED and REPLACED stay until a fingerprint releases them, whatever is served meanwhile; TRUNCATED until the whole list
 * is back. Being unreachable or answering nonsense ends neither.
 */
import type { Address } from '../smimp/address.ts';
import {
  comparePin,
  extendPin,
  type Pin,
  type PinComparison,
  type PinState,
  pinSeq,
  type Sending,
} from '../smimp/pin.ts';
import type { ContactReason } from './contact.ts';
import type { Histories, HistoryLook } from './histories.ts';

/** What is kept of one contact. */
export type KeptPin = {
  readonly state: PinState;
  readonly pin: Pin;
  /** What a FORKED or REPLACED answer looked like, for people. */
  readonly evidence: object | null;
  /** When a person last checked the fingerprint, or null. */
  readonly verifiedAt: Date | null;
  readonly checkedAt: Date;
};

/** What is to be kept and why, and a pin to put away; `result` is for the caller. */
export type PinChange<Result> = {
  readonly result: Result;
  readonly keep?: KeptPin;
  readonly reason?: ContactReason | null;
  readonly archive?: Pin;
};

/** The pins of one account: in PostgreSQL for the bridge, in plain data for the client library. */
export interface PinBook {
  find(contact: Address): Promise<KeptPin | null>;
  /** `decide` sees what is kept at this moment; nobody changes it before what it returns is kept. */
  change<Result>(contact: Address, decide: (kept: KeptPin | null) => PinChange<Result>): Promise<Result>;
}

/** What one look means. `evidence`: a history that verifies but contradicts the pin. */
export type Verdict = {
  readonly state: PinState;
  readonly sending: Sending;
  readonly pin: Pin | null;
  readonly keyChanged: boolean;
  readonly reason: ContactReason | null;
  readonly evidence: object | null;
};

/** States that only a fingerprint ends. */
const STICKY: ReadonlySet<string> = new Set(['FORKED', 'REPLACED']);
/** `checked_at` of an unchanged pin is written no more often than this. */
const CHECKED_AFTER_MS = 3_600_000;
/** More evidence than this keeps only the signed hashes. */
const MAX_EVIDENCE_CHARACTERS = 1024 * 1024;

export function isSticky(kept: KeptPin | null): kept is KeptPin & { state: 'FORKED' | 'REPLACED' } {
  return kept !== null && STICKY.has(kept.state);
}

/** The verdict of a contact that is blocked until a fingerprint releases it. */
export function stickyVerdict({ state, pin }: KeptPin): Verdict {
  const reason = state === 'REPLACED' ? 'pin-replaced' : 'pin-forked';
  return { state, sending: 'blocked', pin, keyChanged: false, reason, evidence: null };
}

/** Asks for what the pin does not have yet; when that does not fit, for everything. Says whether a kept answer was used. */
export async function lookAgainstPin(
  histories: Histories,
  ask: { address: Address; pin: Pin | null; fresh: boolean; now: number },
): Promise<{ look: HistoryLook; verdict: Verdict }> {
  const { address, pin, fresh, now } = ask;
  if (pin !== null && pinSeq(pin) > 0) {
    const part = await histories.look({ address, from: pinSeq(pin), fresh });
    const extended = part.kind === 'answer' ? extendPin({ address, answer: part.reply, pin, now }) : null;
    if (extended !== null) return { look: part, verdict: { ...extended, reason: null, evidence: null } };
    if (part.kind !== 'answer' && part.kind !== 'invalid') return { look: part, verdict: judge(ask, part) };
  }
  const look = await histories.look({ address, from: 0, fresh });
  return { look, verdict: judge(ask, look) };
}

function judge(ask: { address: Address; pin: Pin | null; now: number }, look: HistoryLook): Verdict {
  const { address, pin, now } = ask;
  if (look.kind === 'answer') {
    const { history, ...comparison } = comparePin({ address, answer: look.reply, pin, now });
    const contradicts = STICKY.has(comparison.state) && history !== null;
    return { ...withoutReason(comparison), evidence: contradicts ? evidenceOf(look.reply) : null };
  }
  const nothing = { pin, keyChanged: false, evidence: null };
  if (look.kind === 'invalid') return { ...nothing, state: 'INVALID', sending: 'blocked', reason: look.reason };
  const final = pin === null && look.kind !== 'unavailable';
  const reason = final ? look.kind : 'unavailable';
  return { ...nothing, state: 'UNAVAILABLE', sending: final ? 'impossible' : 'queued', reason };
}

/** A changed key is no reason against sending; it is told by `keyChanged`. */
function withoutReason(comparison: PinComparison): PinComparison {
  return comparison.sending === 'allowed' ? { ...comparison, reason: null } : comparison;
}

function evidenceOf(reply: { records: unknown[]; head: string }): object {
  const whole = { head: reply.head, records: reply.records };
  if (JSON.stringify(whole).length <= MAX_EVIDENCE_CHARACTERS) return whole;
  return {
    head: reply.head,
    signed_hashes: reply.records.map((record) => (record as { signed_hash: string }).signed_hash),
  };
}

/**
 * Keeps a verdict that was reached against the pin `before`. Null when somebody else changed the pin meanwhile: then the
 * verdict says nothing, and the caller looks again. `atOnce`: `before` was read a moment ago, nobody was asked since; then
 * what changes nothing needs no lock.
 */
export async function keepVerdict(
  book: PinBook,
  keep: { address: Address; before: KeptPin | null; verdict: Verdict; now: Date; atOnce: boolean },
): Promise<{ verdict: Verdict; changed: boolean } | null> {
  const { before, now } = keep;
  if (keep.atOnce && before !== null && nextPin(before, tempered(before, keep.verdict), now) === null)
    return { verdict: tempered(before, keep.verdict), changed: false };
  return book.change(keep.address, (kept) => {
    if (!samePin(kept, keep.before)) return { result: null };
    const verdict = kept === null ? keep.verdict : tempered(kept, keep.verdict);
    const changed = kept?.state !== verdict.state;
    const next = nextPin(kept, verdict, keep.now);
    if (next === null) return { result: { verdict, changed: false } };
    return { result: { verdict, changed }, keep: next, reason: verdict.reason };
  });
}

function samePin(a: KeptPin | null, b: KeptPin | null): boolean {
  if (a === null || b === null) return a === b;
  return (
    isSticky(a) === isSticky(b) &&
    a.pin.signed_hashes.length === b.pin.signed_hashes.length &&
    a.pin.signed_hashes.at(-1) === b.pin.signed_hashes.at(-1)
  );
}

/** TRUNCATED ends only by an answer that continues the pin, and gives way only to what is worse. */
function tempered(kept: KeptPin, verdict: Verdict): Verdict {
  if (isSticky(kept)) return stickyVerdict(kept);
  if (kept.state !== 'TRUNCATED' || verdict.sending === 'allowed' || STICKY.has(verdict.state)) return verdict;
  return { ...verdict, state: 'TRUNCATED', sending: 'blocked', reason: 'pin-truncated' };
}

/** What to keep after a verdict; null when there is nothing, or nothing new. */
function nextPin(kept: KeptPin | null, verdict: Verdict, now: Date): KeptPin | null {
  const { state, pin, sending } = verdict;
  if (pin === null) return null;
  const recent = kept !== null && now.getTime() - kept.checkedAt.getTime() < CHECKED_AFTER_MS;
  if (kept?.state === state && recent && state !== 'EXTENDED') return null;
  const evidence = verdict.evidence ?? (sending === 'allowed' ? null : (kept?.evidence ?? null));
  return { state, pin, evidence, verifiedAt: kept?.verifiedAt ?? null, checkedAt: now };
}

/** Blocks a contact because a message it signed contradicts what its server shows (SMIMP 0.1 §4.4). False: it is already. */
export function keepFork(book: PinBook, fork: { address: Address; evidence: object; now: Date }): Promise<boolean> {
  const { address, evidence, now } = fork;
  return book.change(address, (kept) => {
    if (kept === null || isSticky(kept)) return { result: false };
    return { result: true, keep: { ...kept, state: 'FORKED', evidence, checkedAt: now } };
  });
}

/**
 * Takes `pin` as the contact's identity because its fingerprint was checked by a person. A pin it does not continue is
 * archived. False when somebody else changed the pin since `before`.
 */
export function keepVerified(
  book: PinBook,
  keep: { address: Address; before: KeptPin | null; pin: Pin; now: Date },
): Promise<boolean> {
  const { address, before, pin, now } = keep;
  return book.change(address, (kept) => {
    if (!samePin(kept, before)) return { result: false };
    const verified: KeptPin = { state: 'OK', pin, evidence: null, verifiedAt: now, checkedAt: now };
    const isPutAway = kept !== null && (isSticky(kept) || !continuesPin(kept.pin, pin));
    return { result: true, keep: verified, ...(isPutAway ? { archive: kept.pin } : {}) };
  });
}

/** Whether all that the one pin has seen stands in the other. */
export function continuesPin(before: Pin, after: Pin): boolean {
  return before.signed_hashes.every((signed, seq) => after.signed_hashes[seq] === signed);
}
