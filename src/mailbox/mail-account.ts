/** An account whose keys are open: what every step on its mail needs. */
import type { AccountKeys, Keystore } from '../keystore/keystore.ts';
import type { Address } from '../smimp/address.ts';
import type { Executor } from '../store/database.ts';

export interface MailAccount {
  readonly accountId: number;
  readonly address: Address;
  readonly keys: AccountKeys;
  /** The key of storage blobs (SMIMP 0.1 §5): flags and keywords. */
  readonly storageKey: Uint8Array;
}

/** Throws KeystoreError. `executor`: a transaction, when one is open. */
export async function openMailAccount(
  keystore: Keystore,
  accountId: number,
  executor?: Executor,
): Promise<MailAccount> {
  const keys = await keystore.open(accountId, executor);
  return { accountId, address: keys.address, keys, storageKey: await keys.storageKey() };
}
