/**
 * SMIMP identities of people of the old internet, at the gateway's own domain (SMIMP 0.1 §6): an account under the coding of
 * the mailbox, with a random master key of its own, kept here. Nobody can log in to it from a mail program. One is made when
 * mail of that mailbox is accepted, or when a sender the configuration names writes to it; never because somebody looks.
 */
import type { Events } from '../events.ts';
import { freshenKeys } from '../identity/fresh-keys.ts';
import { provideIdentity } from '../identity/publish.ts';
import type { Keystore } from '../keystore/keystore.ts';
import { noPassword } from '../keystore/password.ts';
import type { Address, Domain } from '../smimp/address.ts';
import { ProfileError } from '../smimp/errors.ts';
import { encodeLegacy, legacyMailbox, mailboxDomain } from '../smimp/gateway.ts';
import { createAccountOnce } from '../store/accounts.ts';
import type { Db, Tx } from '../store/database.ts';
import { lockMailbox } from '../store/folders.ts';
import { countMadeFor, findLegacyIdentity, insertLegacyIdentity, noteAsked } from '../store/legacy-identities.ts';
import { isNamed, type SenderRule } from './senders.ts';

export type LegacyErrorCode =
  /** The mailbox has no coding. */
  | 'no-address'
  /** Its coding belongs to an account that is no legacy identity. */
  | 'occupied'
  /** More new ones for a sender in a day, or from a client in an hour, than the configuration allows. */
  | 'too-many';

export class LegacyError extends Error {
  override readonly name = 'LegacyError';
  readonly code: LegacyErrorCode;

  constructor(code: LegacyErrorCode) {
    super(code);
    this.code = code;
  }
}

export type LegacyAccount = { readonly accountId: number; readonly address: Address };

/** `refused`: not for this sender. `unknown`: the address is no coding of a mailbox, or of one that speaks SMIMP. */
export type Asked = 'ready' | 'refused' | 'unknown';

export interface LegacyIdentities {
  readonly domain: Domain;
  /** Whether the configuration names the sender as one for whom mail is relayed outward. */
  mayRelay(sender: Address): boolean;
  /** Before a message key of `address` is given to `sender`: makes the identity and its keys. Throws LegacyError. */
  prepare(ask: { address: Address; sender: Address; now: Date }): Promise<Asked>;
}

/** A legacy mailbox as an address; null when it is none, or too long for the coding. */
export function codedMailbox(mailbox: string, gatewayDomain: Domain): Address | null {
  try {
    return encodeLegacy(mailbox, gatewayDomain);
  } catch (error) {
    if (error instanceof ProfileError) return null;
    throw error;
  }
}

/**
 * The identity of a mailbox, made within `tx` unless it is there. Any number at once make one. `madeFor`: the SMIMP sender
 * whose use makes it, null for mail that came in. Throws `gateway-address`, `gateway-length`, LegacyError `occupied`.
 */
export async function ensureLegacyIdentity(
  tx: Tx,
  want: { keystore: Keystore; gatewayDomain: Domain; mailbox: string; madeFor?: Address | null; now: Date },
): Promise<LegacyAccount & { made: boolean }> {
  const { keystore, gatewayDomain, mailbox, madeFor = null, now } = want;
  const address = encodeLegacy(mailbox, gatewayDomain);
  const known = await findLegacyIdentity(tx, address);
  if (known !== undefined) return { accountId: known.account_id, address, made: false };
  const created = await createAccountOnce(tx, { address, now });
  if (created === null) return { ...(await madeMeanwhile(tx, address)), made: false };
  const accountId = created.id;
  // Its pool is filled when somebody writes to it: most who write from outside are never answered.
  await provideIdentity(tx, { keystore, accountId, address, passwordHash: noPassword(), poolSize: 0, now });
  await insertLegacyIdentity(tx, { accountId, madeFor, now });
  return { accountId, address, made: true };
}

async function madeMeanwhile(tx: Tx, address: Address): Promise<LegacyAccount> {
  const made = await findLegacyIdentity(tx, address);
  if (made === undefined) throw new LegacyError('occupied');
  return { accountId: made.account_id, address };
}

const DAY_MS = 86_400_000;

export function createLegacyIdentities(options: {
  db: Db;
  keystore: Keystore;
  gatewayDomain: Domain;
  senders: readonly SenderRule[];
  /** Domains that speak SMIMP: nobody there is reached the old way. */
  recipients: readonly string[];
  /** Of one sender. */
  newPerDay: number;
  events: Events;
}): LegacyIdentities {
  const { db, keystore, gatewayDomain, senders, recipients, newPerDay, events } = options;
  const mayRelay = (sender: Address): boolean => isNamed(senders, sender);
  const isForeign = (mailbox: string): boolean => {
    const domain = mailboxDomain(mailbox);
    return domain !== gatewayDomain && !recipients.includes(domain);
  };

  const ensure = async (tx: Tx, mailbox: string, sender: Address, now: Date): Promise<LegacyAccount> => {
    const want = { keystore, gatewayDomain, mailbox, madeFor: sender, now };
    const known = await findLegacyIdentity(tx, encodeLegacy(mailbox, gatewayDomain));
    const made = known === undefined ? await countMadeFor(tx, sender, new Date(now.getTime() - DAY_MS)) : 0;
    if (made >= newPerDay) throw new LegacyError('too-many');
    return ensureLegacyIdentity(tx, want);
  };

  return {
    domain: gatewayDomain,
    mayRelay,
    async prepare({ address, sender, now }) {
      if (!mayRelay(sender)) return 'refused';
      const mailbox = legacyMailbox(address, gatewayDomain);
      if (mailbox === null || !isForeign(mailbox)) return 'unknown';
      const { accountId, ...made } = await db.transaction().execute(async (tx) => {
        const account = await ensure(tx, mailbox, sender, now);
        await lockMailbox(tx, account.accountId);
        const fresh = await freshenKeys(tx, await keystore.open(account.accountId, tx), now);
        await noteAsked(tx, account.accountId, now);
        return { ...account, ...fresh };
      });
      const { ephemeral, nonEphemeral } = made;
      if (ephemeral + nonEphemeral > 0) events.keysPublished({ accountId, ephemeral, nonEphemeral });
      return 'ready';
    },
  };
}
