/**
 * Checking a contact by fingerprint or `smimp-verify:` URI (SMIMP 0.1 §3): what its server shows now is compared with what
 * the person was told, and pinned as verified. The only way out of FORKED and REPLACED.
 */
import type { Address } from '../smimp/address.ts';
import type { VerifiedHistory } from '../smimp/chain.ts';
import type { Hex32 } from '../smimp/encoding.ts';
import { ProfileError } from '../smimp/errors.ts';
import { type Fingerprint, historyFingerprint, parseFingerprint, parseVerifyUri } from '../smimp/fingerprint.ts';
import { comparePin, type Pin } from '../smimp/pin.ts';
import { IdentityError } from './contact.ts';
import type { Histories } from './histories.ts';
import { type KeptPin, keepVerified, type PinBook } from './pins.ts';

type Expected = { fingerprint: Fingerprint; at: { seq: number; head: Hex32 } | null };

/** What was kept of the contact before. Throws IdentityError; then nothing was released. */
export async function checkFingerprint(
  at: { book: PinBook; histories: Histories; clock: () => Date },
  check: { contact: Address; typed: string },
): Promise<KeptPin | null> {
  const { book, histories, clock } = at;
  const { contact, typed } = check;
  const expected = readExpected(contact, typed);
  const before = await book.find(contact);
  const now = clock();
  const pin = await verifiedPin(histories, { contact, expected, before, now: now.getTime() / 1000 });
  const kept = await keepVerified(book, { address: contact, before, pin, now });
  if (!kept) throw new IdentityError('unavailable');
  return before;
}

function readExpected(contact: Address, typed: string): Expected {
  try {
    if (!typed.startsWith('smimp-verify:')) return { fingerprint: parseFingerprint(typed), at: null };
    const { address, fingerprint, seq, head } = parseVerifyUri(typed);
    if (address !== contact) throw new IdentityError('fingerprint-mismatch');
    return { fingerprint, at: { seq, head } };
  } catch (cause) {
    if (cause instanceof ProfileError) throw new IdentityError('fingerprint-form', { cause });
    throw cause;
  }
}

/** What to pin: the history the server shows now, if it is the one that was expected. */
async function verifiedPin(
  histories: Histories,
  check: { contact: Address; expected: Expected; before: KeptPin | null; now: number },
): Promise<Pin> {
  const { contact: address, expected, before, now } = check;
  const look = await histories.look({ address, from: 0, fresh: true });
  if (look.kind === 'unknown-user' || look.kind === 'no-smimp') throw new IdentityError('unknown-contact');
  if (look.kind === 'unavailable') throw new IdentityError('unavailable');
  if (look.kind === 'invalid') throw new IdentityError('invalid');
  const compared = comparePin({ address, answer: look.reply, pin: before?.pin ?? null, now });
  if (compared.history === null) throw new IdentityError('invalid');
  compareExpected(compared.history, expected);
  if (compared.state === 'TRUNCATED') throw new IdentityError('truncated');
  if (compared.sending === 'allowed' && compared.pin !== null) return compared.pin;
  const anew = comparePin({ address, answer: look.reply, pin: null, now });
  if (anew.pin === null) throw new IdentityError('invalid');
  return anew.pin;
}

/** A URI also names a head, which must be one of this history: a scan shows what two servers tell two people. */
function compareExpected(history: VerifiedHistory, { fingerprint, at }: Expected): void {
  const headFits = at === null || history.heads[at.seq] === at.head;
  if (historyFingerprint(history) !== fingerprint || !headFits) throw new IdentityError('fingerprint-mismatch');
}
