/** One's own history: the client's own copy, never the server's (SMIMP 0.1 §3). Records are only ever added. */
import type { Insertable, Selectable } from 'kysely';
import type { Executor, Tx } from './database.ts';
import type { OwnRecordTable } from './schema.ts';

export type OwnRecord = Selectable<OwnRecordTable>;

export async function appendOwnRecord(tx: Tx, record: Insertable<OwnRecordTable>): Promise<void> {
  await tx.insertInto('own_record').values(record).execute();
}

/** In order of seq. */
export function listOwnRecords(db: Executor, accountId: number): Promise<OwnRecord[]> {
  return db.selectFrom('own_record').selectAll().where('account_id', '=', accountId).orderBy('seq').execute();
}
