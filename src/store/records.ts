/** Histories as the server holds them (SMIMP 0.1 §3): appended to, never rewritten. */
import type { Selectable } from 'kysely';
import type { SignedHash } from '../smimp/encoding.ts';
import type { IdentityRecord } from '../smimp/record.ts';
import type { Executor, Tx } from './database.ts';
import type { RecordTable } from './schema.ts';

export type StoredRecord = Selectable<RecordTable>;

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

export function lastRecord(db: Executor, accountId: number): Promise<StoredRecord | undefined> {
  return db
    .selectFrom('record')
    .selectAll()
    .where('account_id', '=', accountId)
    .orderBy('seq', 'desc')
    .limit(1)
    .executeTakeFirst();
}

/** Throws a unique violation (23505) when that number is taken. The caller has verified the record. */
export async function appendRecord(
  tx: Tx,
  append: { accountId: number; seq: number; record: IdentityRecord; now: Date },
): Promise<void> {
  const { data, signed_hash, new_key_signed_hash } = append.record;
  await tx
    .insertInto('record')
    .values({
      account_id: append.accountId,
      seq: append.seq,
      data,
      signed_hash: Buffer.from(signed_hash, 'hex'),
      new_key_signed_hash: new_key_signed_hash === null ? null : Buffer.from(new_key_signed_hash, 'hex'),
      stored_at: append.now,
    })
    .execute();
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
