/**
 * Checking a contact by fingerprint, and showing what is known (SMIMP 0.1 §3). A fingerprint typed or scanned is the only
 * way out of FORKED and REPLACED; nothing is ever released by merely confirming.
 */
import type { Events } from '../events.ts';
import type { Address } from '../smimp/address.ts';
import type { VerifiedHistory } from '../smimp/chain.ts';
import type { Hex32, SignedHash } from '../smimp/encoding.ts';
import { ProfileError } from '../smimp/errors.ts';
import {
  type Fingerprint,
  fingerprintOf,
  historyFingerprint,
  parseFingerprint,
  parseVerifyUri,
} from '../smimp/fingerprint.ts';
import { comparePin, type Pin, type PinState } from '../smimp/pin.ts';
import type { Db } from '../store/database.ts';
import { countArchived, findPin, listPins, type StoredPin } from '../store/pins.ts';
import { IdentityError } from './contact.ts';
import type { Histories } from './histories.ts';
import { keepVerified, pinOf } from './pins.ts';

/** A contact as `trust show` prints it. */
export type ShownContact = {
  readonly contact: Address;
  readonly state: PinState;
  /** When a person last checked the fingerprint, or null. */
  readonly verifiedAt: Date | null;
  readonly checkedAt: Date;
  /** Of what is pinned. */
  readonly fingerprint: Fingerprint;
  readonly records: number;
  readonly masterKeys: number;
  /** When the first record was first seen. UTC, as in timestamps of the protocol. */
  readonly firstSeen: string;
  /** Earlier identities that a fingerprint replaced. */
  readonly archived: number;
};

export interface Trust {
  /**
   * Checks what the contact's server shows against a fingerprint or a `smimp-verify:` URI, pins it as verified, and
   * releases FORKED and REPLACED. Throws IdentityError.
   */
  verify(check: { accountId: number; contact: Address; fingerprint: string }): Promise<ShownContact>;
  /** One contact, or all. Throws IdentityError `unknown-contact`. */
  show(about: { accountId: number; contact?: Address }): Promise<ShownContact[]>;
}

type Expected = { fingerprint: Fingerprint; at: { seq: number; head: Hex32 } | null };

export function createTrust(options: { db: Db; histories: Histories; events: Events; clock: () => Date }): Trust {
  const { db, histories, events, clock } = options;
  const describe = async (row: StoredPin): Promise<ShownContact> => {
    const pin = row.pin as Pin;
    const contact = row.contact as Address;
    return {
      contact,
      state: row.state as PinState,
      verifiedAt: row.verified_at,
      checkedAt: row.checked_at,
      fingerprint: fingerprintOf(contact, pin.signed_hashes[0] as SignedHash),
      records: pin.signed_hashes.length,
      masterKeys: pin.master_keys.length,
      firstSeen: pin.first_seen[0] ?? '',
      archived: await countArchived(db, row.account_id, contact),
    };
  };

  const shown = async (accountId: number, contact: Address): Promise<ShownContact> => {
    const row = await findPin(db, accountId, contact);
    if (row === undefined) throw new IdentityError('unknown-contact');
    return describe(row);
  };

  return {
    async verify({ accountId, contact, fingerprint }) {
      const expected = readExpected(contact, fingerprint);
      const before = await findPin(db, accountId, contact);
      const now = clock();
      const pin = await verifiedPin(histories, { contact, expected, before, now: now.getTime() / 1000 });
      const kept = await keepVerified(db, { accountId, address: contact, before, pin, now });
      if (!kept) throw new IdentityError('unavailable');
      if (before?.state !== 'OK') events.pinChanged({ accountId, state: 'OK' });
      return shown(accountId, contact);
    },
    async show({ accountId, contact }) {
      if (contact !== undefined) return [await shown(accountId, contact)];
      return Promise.all((await listPins(db, accountId)).map(describe));
    },
  };
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
  check: { contact: Address; expected: Expected; before: StoredPin | undefined; now: number },
): Promise<Pin> {
  const { contact: address, expected, before, now } = check;
  const look = await histories.look({ address, from: 0, fresh: true });
  if (look.kind === 'unknown-user' || look.kind === 'no-smimp') throw new IdentityError('unknown-contact');
  if (look.kind === 'unavailable') throw new IdentityError('unavailable');
  if (look.kind === 'invalid') throw new IdentityError('invalid');
  const compared = comparePin({ address, answer: look.reply, pin: pinOf(before), now });
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
