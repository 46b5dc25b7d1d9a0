/** Users and their keys: makes them, checks their passwords, opens their account keys. */
import type { Address } from '../smimp/address.ts';
import type { Db, Executor, Tx } from '../store/database.ts';
import { findUser, insertUser, setPasswordHash } from '../store/users.ts';
import { type AccountKeys, accountKeys, addStorageSecret } from './account-keys.ts';
import { newAccountKey, unwrapAccountKey, wrapAccountKey } from './custody.ts';
import { KeystoreError } from './errors.ts';
import { createLogins, type Logins } from './logins.ts';
import { hashPassword } from './password.ts';
import type { FreeTries } from './throttle.ts';

export type { AccountKeys } from './account-keys.ts';
export { KeystoreError } from './errors.ts';

export interface Keystore extends Logins {
  /**
   * Makes the user of an existing account: password, account key, storage key. `passwordHash` comes from `hashPassword`,
   * made before the transaction. The keys that come back read through `tx`. `storageKey`: the owner's, where she has one.
   */
  createUser(
    tx: Tx,
    user: { accountId: number; address: Address; passwordHash: string; now: Date; storageKey?: Uint8Array },
  ): Promise<AccountKeys>;
  /** Throws KeystoreError `unknown-account`, `password-length`. */
  setPassword(accountId: number, password: string): Promise<void>;
  /** The keys of an account, read through `executor` (default: the pool). Throws `unknown-account`, `locked`, `wrong-server-key`. */
  open(accountId: number, executor?: Executor): Promise<AccountKeys>;
}

export function createKeystore(options: { db: Db; serverKey: Uint8Array; freeTries?: FreeTries }): Keystore {
  const { db, serverKey } = options;
  const logins = createLogins(options);
  return {
    ...logins,
    async createUser(tx, { accountId, address, passwordHash, now, storageKey }) {
      const accountKey = newAccountKey();
      const wrapped_key = wrapAccountKey({ serverKey, address, accountKey });
      const user = { account_id: accountId, password_hash: passwordHash, custody: 'server' as const, wrapped_key };
      await insertUser(tx, { ...user, created_at: now });
      const keys = accountKeys({ db: tx, accountId, address, accountKey });
      await addStorageSecret(tx, keys, now, storageKey);
      return keys;
    },
    async setPassword(accountId, password) {
      const known = await setPasswordHash(db, accountId, await hashPassword(password));
      const user = known ? await findUser(db, accountId) : undefined;
      if (user === undefined) throw new KeystoreError('unknown-account');
      await logins.rememberScram(user, password);
    },
    async open(accountId, executor = db) {
      const user = await findUser(executor, accountId);
      if (user === undefined) throw new KeystoreError('unknown-account');
      const accountKey = unwrapAccountKey({ serverKey, user });
      return accountKeys({ db: executor, accountId, address: user.address as Address, accountKey });
    },
  };
}
