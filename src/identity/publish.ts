/**
 * Making an account and its keys: record 0, message keys, their sealed secrets and the server's half, all in one
 * transaction, so that no key is ever published whose secret is not kept.
 */
import { type AccountKeys, addMasterSecret, addMessageSecrets } from '../keystore/account-keys.ts';
import type { Keystore } from '../keystore/keystore.ts';
import type { Address } from '../smimp/address.ts';
import { type MasterKeyPair, masterKeyPair, wipe } from '../smimp/crypto.ts';
import { toHex } from '../smimp/encoding.ts';
import type { MessageKey } from '../smimp/message-key.ts';
import { createRecord, type IdentityRecord, type Profile } from '../smimp/record.ts';
import type { MessageKeyKind } from '../smimp/transcript.ts';
import { createAccount } from '../store/accounts.ts';
import type { Tx } from '../store/database.ts';
import { appendOwnRecord } from '../store/own-records.ts';
import { initializeAccount } from '../store/records.ts';
import { newMessageKeys, POOL_SIZE } from './key-policy.ts';

export { EPHEMERAL_LIFETIME_DAYS, NON_EPHEMERAL_LIFETIME_DAYS, POOL_SIZE } from './key-policy.ts';

/** Makes message keys of one kind and stores their secrets through `tx`; the public halves come back. */
export async function makeMessageKeys(
  tx: Tx,
  keys: AccountKeys,
  make: { master: MasterKeyPair; kind: MessageKeyKind; count: number; now: Date },
): Promise<MessageKey[]> {
  const created = newMessageKeys({ ...make, address: keys.address });
  await addMessageSecrets(tx, keys, created, make.now);
  wipe(...created.map(({ secret }) => secret));
  return created.map(({ key }) => key);
}

/** A non-ephemeral key and a full pool, as they are published together. */
export async function makeKeySet(
  tx: Tx,
  keys: AccountKeys,
  make: { master: MasterKeyPair; now: Date; poolSize?: number },
): Promise<{ nonEphemeralKey: MessageKey; ephemeralKeys: MessageKey[] }> {
  const { poolSize: count = POOL_SIZE, ...by } = make;
  const [nonEphemeralKey] = await makeMessageKeys(tx, keys, { ...by, kind: 'non-ephemeral', count: 1 });
  const ephemeralKeys = count === 0 ? [] : await makeMessageKeys(tx, keys, { ...by, kind: 'ephemeral', count });
  return { nonEphemeralKey: nonEphemeralKey as MessageKey, ephemeralKeys };
}

/** Adds to the client's own copy of its history. */
export async function keepOwnRecord(
  tx: Tx,
  accountId: number,
  record: IdentityRecord,
  at: { seq: number; now: Date },
): Promise<void> {
  const proof = record.new_key_signed_hash;
  await appendOwnRecord(tx, {
    account_id: accountId,
    seq: at.seq,
    data: record.data,
    signed_hash: Buffer.from(record.signed_hash, 'hex'),
    new_key_signed_hash: proof === null ? null : Buffer.from(proof, 'hex'),
    added_at: at.now,
  });
}

/**
 * A whole new account: mailbox, user, identity, keys. `passwordHash` comes from the keystore's `hashPassword`. Throws on
 * an address that exists (unique violation 23505). Returns its id.
 */
export async function provisionAccount(
  tx: Tx,
  account: { keystore: Keystore; address: Address; passwordHash: string; profile?: Profile; now: Date },
): Promise<number> {
  const { id: accountId } = await createAccount(tx, { ...account, initializeHash: null });
  await provideIdentity(tx, { ...account, accountId, poolSize: POOL_SIZE });
  return accountId;
}

/** Gives an account that has none its user, identity and keys. */
export async function provideIdentity(
  tx: Tx,
  account: Parameters<typeof provisionAccount>[1] & { accountId: number; poolSize: number },
): Promise<void> {
  const { keystore, accountId, address, passwordHash, profile, poolSize, now } = account;
  const keys = await keystore.createUser(tx, { accountId, address, passwordHash, now });
  const master = masterKeyPair();
  await addMasterSecret(tx, keys, master, now);
  const record = createRecord({ address, master, now: now.getTime() / 1000, ...(profile ? { profile } : {}) });
  await keepOwnRecord(tx, accountId, record, { seq: 0, now });
  const made = await makeKeySet(tx, keys, { master, now, poolSize });
  await initializeAccount(tx, { accountId, record, masterKey: toHex(master.publicKey), ...made, now });
  wipe(master.secretKey);
}
