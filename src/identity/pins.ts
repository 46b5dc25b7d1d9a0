/**
 * What an answer means for one account's pin, and keeping it (SMIMP 0.1 §3 step 6). Decision and writing are one
 * transaction under a lock; a pin is never cleared.
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
import type { Db, Tx } from '../store/database.ts';
import { archivePin, findPin, lockPin, type StoredPin, savePin } from '../store/pins.ts';
import type { ContactReason } from './contact.ts';
import type { Histories, HistoryLook } from './histories.ts';

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

export function pinOf(row: StoredPin | undefined): Pin | null {
  return row === undefined ? null : (row.pin as Pin);
}

export function isSticky(row: StoredPin | undefined): boolean {
  return row !== undefined && STICKY.has(row.state);
}

/** The verdict of a contact that is blocked until a fingerprint releases it. */
export function stickyVerdict(row: StoredPin): Verdict {
  const reason = row.state === 'REPLACED' ? 'pin-replaced' : 'pin-forked';
  const state = row.state as PinState;
  return { state, sending: 'blocked', pin: pinOf(row), keyChanged: false, reason, evidence: null };
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
 * Keeps a verdict that was reached against the pin `before`. Null when another process changed the pin meanwhile: then the
 * verdict says nothing, and the caller looks again.
 */
export function keepVerdict(
  db: Db,
  keep: { accountId: number; address: Address; before: StoredPin | undefined; verdict: Verdict; now: Date },
): Promise<{ verdict: Verdict; changed: boolean } | null> {
  return db.transaction().execute(async (tx) => {
    await lockPin(tx, keep.accountId, keep.address);
    const row = await findPin(tx, keep.accountId, keep.address);
    if (!samePin(row, keep.before)) return null;
    const verdict = row === undefined ? keep.verdict : tempered(row, keep.verdict);
    const changed = await write(tx, { ...keep, verdict }, row);
    return { verdict, changed };
  });
}

function samePin(a: StoredPin | undefined, b: StoredPin | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  const [left, right] = [a.pin as Pin, b.pin as Pin];
  return (
    STICKY.has(a.state) === STICKY.has(b.state) &&
    left.signed_hashes.length === right.signed_hashes.length &&
    left.signed_hashes.at(-1) === right.signed_hashes.at(-1)
  );
}

/** TRUNCATED ends only by an answer that continues the pin, and gives way only to what is worse. */
function tempered(row: StoredPin, verdict: Verdict): Verdict {
  if (isSticky(row)) return stickyVerdict(row);
  if (row.state !== 'TRUNCATED' || verdict.sending === 'allowed' || STICKY.has(verdict.state)) return verdict;
  return { ...verdict, state: 'TRUNCATED', sending: 'blocked', reason: 'pin-truncated' };
}

async function write(
  tx: Tx,
  keep: { accountId: number; address: Address; verdict: Verdict; now: Date },
  row: StoredPin | undefined,
): Promise<boolean> {
  const { verdict, now } = keep;
  if (verdict.pin === null) return false;
  const changed = row?.state !== verdict.state;
  const recent = row !== undefined && now.getTime() - row.checked_at.getTime() < CHECKED_AFTER_MS;
  if (!changed && recent && verdict.state !== 'EXTENDED') return false;
  await savePin(tx, {
    accountId: keep.accountId,
    contact: keep.address,
    state: verdict.state,
    pin: verdict.pin,
    evidence: verdict.evidence ?? (verdict.sending === 'allowed' ? null : (row?.evidence ?? null)),
    verifiedAt: row?.verified_at ?? null,
    now,
  });
  return changed;
}

/** Blocks a contact because a message it signed contradicts what its server shows (SMIMP 0.1 §4.4). */
export function keepFork(
  db: Db,
  fork: { accountId: number; address: Address; evidence: object; now: Date },
): Promise<boolean> {
  const { accountId, address, evidence, now } = fork;
  return db.transaction().execute(async (tx) => {
    await lockPin(tx, accountId, address);
    const row = await findPin(tx, accountId, address);
    if (row === undefined || isSticky(row)) return false;
    const { verified_at: verifiedAt, pin } = row;
    await savePin(tx, { accountId, contact: address, state: 'FORKED', pin, evidence, verifiedAt, now });
    return true;
  });
}

/**
 * Takes `pin` as the contact's identity because its fingerprint was checked by a person. A pin it does not continue is
 * archived. False when another process changed the pin since `before`.
 */
export function keepVerified(
  db: Db,
  keep: { accountId: number; address: Address; before: StoredPin | undefined; pin: Pin; now: Date },
): Promise<boolean> {
  const { accountId, address, before, pin, now } = keep;
  return db.transaction().execute(async (tx) => {
    await lockPin(tx, accountId, address);
    const row = await findPin(tx, accountId, address);
    if (!samePin(row, before)) return false;
    if (row !== undefined && isSticky(row)) await archivePin(tx, { accountId, contact: address, pin: row.pin, now });
    await savePin(tx, { accountId, contact: address, state: 'OK', pin, evidence: null, verifiedAt: now, now });
    return true;
  });
}
