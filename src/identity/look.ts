/**
 * One look at a contact (SMIMP 0.1 §3): history, verification, pin, kept in one account's book. The bridge and the client
 * library look through this and nothing else.
 */
import type { Address } from '../smimp/address.ts';
import type { BaseUrl } from '../smimp/discovery.ts';
import type { Hex32 } from '../smimp/encoding.ts';
import { type Contact, historyOf } from './contact.ts';
import type { Histories } from './histories.ts';
import { isSticky, keepVerdict, lookAgainstPin, type PinBook, stickyVerdict, type Verdict } from './pins.ts';

/** Others may change a pin while we look; more than this in a row is no coincidence. */
const MAX_LOOKS = 4;

export type Look = { readonly contact: Contact; readonly changed: boolean };

/** A pin read no longer ago than this is as good as one read under a lock: nobody waited for anything since. */
const AT_ONCE_MS = 1_000;

/** `fresh`: not from an answer that was given before. `changed`: the state is another than was kept. */
export async function lookAt(
  at: { book: PinBook; histories: Histories; clock: () => Date },
  ask: { contact: Address; fresh: boolean },
): Promise<Look> {
  const { book, histories, clock } = at;
  const { contact: address } = ask;
  let { fresh } = ask;
  for (let looks = 0; looks < MAX_LOOKS; looks++) {
    const before = await book.find(address);
    if (isSticky(before)) return { contact: contactOf(address, stickyVerdict(before), null), changed: false };
    const now = clock();
    const question = { address, pin: before?.pin ?? null, fresh, now: now.getTime() / 1000 };
    const { look, verdict } = await lookAgainstPin(histories, question);
    // A kept answer may be older than the pin, so it may accuse nobody.
    if (verdict.sending === 'blocked' && look.kind === 'answer' && look.cached) {
      fresh = true;
      continue;
    }
    const atOnce = look.kind === 'answer' && look.cached && clock().getTime() - now.getTime() < AT_ONCE_MS;
    const kept = await keepVerdict(book, { address, before, verdict, now, atOnce });
    if (kept !== null) return { contact: contactOf(address, kept.verdict, look.baseUrl), changed: kept.changed };
  }
  return { contact: contactOf(address, UNDECIDED, null), changed: false };
}

/**
 * The contact, if `head` (of `get_message_key`) is that of its verified history, fetched again if need be; otherwise
 * blocked with `head-mismatch`.
 */
export async function confirmHead(
  resolve: (fresh: boolean) => Promise<Contact>,
  { contact, head }: { contact: Address; head: Hex32 },
): Promise<Contact> {
  for (const fresh of [false, true]) {
    const found = await resolve(fresh);
    if (found.history === null || found.history.head === head) return found;
  }
  return contactOf(contact, HEAD_MISMATCH, null);
}

const UNDECIDED: Verdict = {
  state: 'UNAVAILABLE',
  sending: 'queued',
  pin: null,
  keyChanged: false,
  reason: 'unavailable',
  evidence: null,
};
const HEAD_MISMATCH: Verdict = { ...UNDECIDED, state: 'INVALID', sending: 'blocked', reason: 'head-mismatch' };

function contactOf(address: Address, verdict: Verdict, baseUrl: BaseUrl | null): Contact {
  const { state, sending, pin, keyChanged, reason } = verdict;
  const history = sending === 'allowed' && pin !== null ? historyOf(address, pin) : null;
  return { address, state, sending, history, baseUrl, keyChanged, reason };
}
