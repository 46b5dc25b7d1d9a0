/** The server half's histories, and the two moments at which a whole identity is put in or changed. */
import type { Selectable } from 'kysely';
import type { Hex32, SignedHash } from '../smimp/encoding.ts';
import type { MessageKey } from '../smimp/message-key.ts';
import type { IdentityRecord } from '../smimp/record.ts';
import { dropAvatar } from './avatars.ts';
import type { Executor, Tx } from './database.ts';
import { appendKeys, replaceKeyPool, retireIssuedKeys, setNonEphemeral } from './message-keys.ts';
import type { RecordTable } from './schema.ts';

export type StoredRecord = Selectable<RecordTable>;

/** Records from number `from` on, in order. */
export function listRecords(db: Executor, accountId: number, from = 0): Promise<StoredRecord[]> {
  return db
    .selectFrom('record')
    .selectAll()
    .where('account_id', '=', accountId)
    .where('seq', '>=', from)
    .orderBy('seq')
    .execute();
}

/** The present record of the account with this address; undefined when there is none, or it has no keys yet. */
export function lastRecordOf(db: Executor, address: string): Promise<StoredRecord | undefined> {
  return db
    .selectFrom('account')
    .innerJoin('record', 'record.account_id', 'account.id')
    .selectAll('record')
    .where('account.address', '=', address)
    .orderBy('record.seq', 'desc')
    .limit(1)
    .executeTakeFirst();
}

/** The caller has verified that the record continues the history. A number that is taken throws (23505). */
export async function appendRecord(
  tx: Tx,
  accountId: number,
  record: IdentityRecord,
  at: { seq: number; now: Date },
): Promise<void> {
  const proof = record.new_key_signed_hash;
  await tx
    .insertInto('record')
    .values({
      account_id: accountId,
      seq: at.seq,
      data: record.data,
      signed_hash: Buffer.from(record.signed_hash, 'hex'),
      new_key_signed_hash: proof === null ? null : Buffer.from(proof, 'hex'),
      stored_at: at.now,
    })
    .execute();
}

export type PublishedKeys = {
  /** The master key that signed the message keys. */
  masterKey: Hex32;
  nonEphemeralKey: MessageKey;
  ephemeralKeys: readonly MessageKey[];
};

/** Record 0 and the first keys of an account. False when it has been initialised before. */
export async function initializeAccount(
  tx: Tx,
  account: PublishedKeys & { accountId: number; record: IdentityRecord; now: Date },
): Promise<boolean> {
  const { accountId, record, masterKey, now } = account;
  const { numUpdatedRows } = await tx
    .updateTable('account')
    .set({ initialized_at: now, initialize_hash: null })
    .where('id', '=', accountId)
    .where('initialized_at', 'is', null)
    .executeTakeFirst();
  if (numUpdatedRows === 0n) return false;
  await appendRecord(tx, accountId, record, { seq: 0, now });
  await setNonEphemeral(tx, accountId, account.nonEphemeralKey, masterKey, now);
  await appendKeys(tx, accountId, account.ephemeralKeys, masterKey);
  return true;
}

/**
 * A record that brings a new master key: swaps the pool and the non-ephemeral key, drops the avatar and ends every session (SMIMP 0.1 §5,
 * `update_profile`).
 */
export async function changeMasterKey(
  tx: Tx,
  change: PublishedKeys & { accountId: number; address: string; record: IdentityRecord; seq: number; now: Date },
): Promise<void> {
  const { accountId, record, seq, masterKey, now } = change;
  await appendRecord(tx, accountId, record, { seq, now });
  await retireIssuedKeys(tx, accountId, now);
  await setNonEphemeral(tx, accountId, change.nonEphemeralKey, masterKey, now);
  await replaceKeyPool(tx, accountId, change.ephemeralKeys, masterKey);
  await dropAvatar(tx, accountId);
  await tx.deleteFrom('session').where('address', '=', change.address).execute();
}

/** The wire form of a stored record. */
export function identityRecord(
  row: Pick<StoredRecord, 'data' | 'signed_hash' | 'new_key_signed_hash'>,
): IdentityRecord {
  return {
    data: row.data,
    signed_hash: row.signed_hash.toString('hex') as SignedHash,
    new_key_signed_hash: (row.new_key_signed_hash?.toString('hex') as SignedHash | undefined) ?? null,
  };
}

export function lastRecord(db: Executor, accountId: number): Promise<StoredRecord | undefined> {
  return db
    .selectFrom('record')
    .selectAll()
    .where('account_id', '=', accountId)
    .orderBy('seq', 'desc')
    .limit(1)
    .executeTakeFirst();
}

/** Records stored at or after `since`, record 0 aside: how often the profile was changed. */
export async function countUpdatesSince(db: Executor, accountId: number, since: Date): Promise<number> {
  const { count } = await db
    .selectFrom('record')
    .select((eb) => eb.fn.countAll<number>().as('count'))
    .where('account_id', '=', accountId)
    .where('seq', '>', 0)
    .where('stored_at', '>=', since)
    .executeTakeFirstOrThrow();
  return count;
}
