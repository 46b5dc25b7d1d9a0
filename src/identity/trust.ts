/**
 * Checking a contact by fingerprint, and showing what is known (SMIMP 0.1 §3). A fingerprint typed or scanned is the only
 * way out of FORKED and REPLACED; nothing is ever released by merely confirming.
 */
import type { Events } from '../events.ts';
import type { Address } from '../smimp/address.ts';
import type { Db } from '../store/database.ts';
import { IdentityError } from './contact.ts';
import { checkFingerprint } from './fingerprint-check.ts';
import type { Histories } from './histories.ts';
import { storedPins } from './stored-pins.ts';
import { type ShownContact, shownContacts, type TrustEvent, trustHistory } from './trust-show.ts';

export type { ShownContact } from './trust-show.ts';

export interface Trust {
  /**
   * Checks what the contact's server shows against a fingerprint or a `smimp-verify:` URI, pins it as verified, and
   * releases FORKED and REPLACED. Throws IdentityError.
   */
  verify(check: { accountId: number; contact: Address; fingerprint: string }): Promise<ShownContact>;
  /** One contact, or all. Throws IdentityError `unknown-contact`. */
  show(about: { accountId: number; contact?: Address }): Promise<ShownContact[]>;
  /** What happened with a contact, oldest first. */
  history(about: { accountId: number; contact: Address }): Promise<TrustEvent[]>;
}

export function createTrust(options: { db: Db; histories: Histories; events: Events; clock: () => Date }): Trust {
  const { db, histories, events, clock } = options;
  const shown = async (accountId: number, contact: Address): Promise<ShownContact> => {
    const [found] = await shownContacts(db, accountId, contact);
    if (found === undefined) throw new IdentityError('unknown-contact');
    return found;
  };

  return {
    async verify({ accountId, contact, fingerprint }) {
      const book = storedPins({ db, events, accountId });
      const before = await checkFingerprint({ book, histories, clock }, { contact, typed: fingerprint });
      if (before?.state !== 'OK') events.pinChanged({ accountId, state: 'OK' });
      return shown(accountId, contact);
    },
    async show({ accountId, contact }) {
      return contact === undefined ? shownContacts(db, accountId) : [await shown(accountId, contact)];
    },
    history: ({ accountId, contact }) => trustHistory(db, accountId, contact),
  };
}
