/**
 * Checking a contact by fingerprint, and showing what is known (SMIMP 0.1 §3). A fingerprint typed or scanned is the only
 * way out of FORKED and REPLACED; nothing is ever released by merely confirming.
 */
import type { Events } from '../events.ts';
import type { Address } from '../smimp/address.ts';
import type { SignedHash } from '../smimp/encoding.ts';
import { type Fingerprint, fingerprintOf } from '../smimp/fingerprint.ts';
import type { Pin, PinState } from '../smimp/pin.ts';
import type { Db } from '../store/database.ts';
import { countArchived, findPin, listPins, type StoredPin } from '../store/pins.ts';
import { IdentityError } from './contact.ts';
import { checkFingerprint } from './fingerprint-check.ts';
import type { Histories } from './histories.ts';
import { storedPins } from './stored-pins.ts';

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
      const book = storedPins({ db, events, accountId });
      const before = await checkFingerprint({ book, histories, clock }, { contact, typed: fingerprint });
      if (before?.state !== 'OK') events.pinChanged({ accountId, state: 'OK' });
      return shown(accountId, contact);
    },
    async show({ accountId, contact }) {
      if (contact !== undefined) return [await shown(accountId, contact)];
      return Promise.all((await listPins(db, accountId)).map(describe));
    },
  };
}
