/** The accounts of this bridge, as its operator handles them. */
import type { Events } from '../events.ts';
import type { Keystore } from '../keystore/keystore.ts';
import { hashPassword } from '../keystore/password.ts';
import type { Address } from '../smimp/address.ts';
import { type Fingerprint, historyFingerprint, verifyUri } from '../smimp/fingerprint.ts';
import { EMPTY_PROFILE } from '../smimp/record.ts';
import { initializeDigest } from '../smimp/transcript.ts';
import {
  type Account,
  createAccount,
  findAccount,
  listAccounts,
  removeAccount,
  replaceInitializeHash,
} from '../store/accounts.ts';
import type { Db } from '../store/database.ts';
import { type DefaultQuota, mailboxUsage, setQuota, type Usage } from '../store/quota.ts';
import { IdentityError } from './contact.ts';
import { readOwnHistory } from './own-history.ts';
import { createOwnerLists, type OwnerLists } from './owner-lists.ts';
import { POOL_SIZE, provisionAccount } from './publish.ts';

export interface Accounts {
  /** White and black lists. */
  readonly lists: OwnerLists;
  /** Makes an account with identity and keys. Throws on an address that exists; KeystoreError `password-length`. */
  add(account: { address: Address; password: string; name: string | null }): Promise<{ id: number }>;
  /** Makes an account without keys for whoever knows `code`; one that has none yet gets the new code. False: it has keys. */
  invite(invited: { address: Address; code: string }): Promise<boolean>;
  /** Null: the default of the configuration; UNLIMITED: no limit. */
  setQuota(accountId: number, quotaBytes: number | null): Promise<void>;
  usage(accountId: number, defaultQuota: DefaultQuota): Promise<Usage>;
  find(address: Address): Promise<Account | null>;
  list(): Promise<Account[]>;
  /** Deletes the account, its mail and its keys, for good. */
  remove(accountId: number): Promise<void>;
  /** What others compare by phone, and the URI of the QR code. Throws IdentityError `no-history`. */
  fingerprint(address: Address): Promise<{ fingerprint: Fingerprint; uri: string }>;
}

export function createAccounts(options: { db: Db; keystore: Keystore; events: Events; clock: () => Date }): Accounts {
  const { db, keystore, events, clock } = options;
  return {
    lists: createOwnerLists({ db, keystore, clock }),
    async add({ address, password, name }) {
      const passwordHash = await hashPassword(password);
      const account = { keystore, address, passwordHash, profile: { ...EMPTY_PROFILE, name }, now: clock() };
      const id = await db.transaction().execute((tx) => provisionAccount(tx, account));
      const user = { account_id: id, address, custody: 'server' as const, password_hash: passwordHash };
      await keystore.rememberScram(user, password);
      events.keysPublished({ accountId: id, ephemeral: POOL_SIZE, nonEphemeral: 1 });
      return { id };
    },
    invite: ({ address, code }) =>
      db.transaction().execute(async (tx) => {
        const initializeHash = initializeDigest(address, code);
        const known = await findAccount(tx, address);
        if (known !== undefined) return replaceInitializeHash(tx, known.id, initializeHash);
        await createAccount(tx, { address, initializeHash, now: clock() });
        return true;
      }),
    setQuota: (accountId, quotaBytes) => setQuota(db, accountId, quotaBytes),
    usage: (accountId, defaultQuota) => mailboxUsage(db, accountId, defaultQuota),
    find: async (address) => (await findAccount(db, address)) ?? null,
    list: () => listAccounts(db),
    remove: (accountId) => db.transaction().execute((tx) => removeAccount(tx, accountId)),
    async fingerprint(address) {
      const account = await findAccount(db, address);
      if (account === undefined) throw new IdentityError('no-history');
      const { history } = await readOwnHistory(db, { accountId: account.id, address });
      return { fingerprint: historyFingerprint(history), uri: verifyUri(history) };
    },
  };
}
