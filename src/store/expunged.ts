/** What left folders. It is remembered up to a number of messages; what is older is known to be forgotten. */
import { sql } from 'kysely';
import type { Db, Executor } from './database.ts';

/** Kept of one account: clients that were away longer than this compare lists instead. About 10 MB. */
export const EXPUNGED_KEPT = 50_000;

/** Up to which revision of an account what left its folders may be forgotten. To be read after the rows themselves. */
export async function expungedFloor(db: Executor, accountId: number): Promise<number> {
  const row = await db
    .selectFrom('account')
    .select('expunged_floor')
    .where('id', '=', accountId)
    .executeTakeFirstOrThrow();
  return row.expunged_floor;
}

/** Seqs that left the folder after `revision`, ascending; null when some of them may be forgotten. */
export async function rememberedExpunged(
  db: Executor,
  folder: { accountId: number; folderId: number },
  revision: number,
): Promise<number[] | null> {
  const rows = await db
    .selectFrom('expunged')
    .select('seq')
    .where('folder_id', '=', folder.folderId)
    .where('revision', '>', revision)
    .orderBy('seq')
    .execute();
  return revision < (await expungedFloor(db, folder.accountId)) ? null : rows.map(({ seq }) => seq);
}

/** Forgets what is more than `keep` in each account, one account after another. */
export async function forgetExpunged(db: Db, keep: number = EXPUNGED_KEPT): Promise<void> {
  const { rows } = await sql<{ id: number; last: number }>`
    select account.id, old.revision as last from account
    cross join lateral (
      select revision from expunged where account_id = account.id order by revision desc, seq desc offset ${keep} limit 1
    ) as old
    where old.revision > account.expunged_floor`.execute(db);
  for (const { id, last } of rows) await forgetUpTo(db, id, last);
}

/** The last row of each folder stays: the folder's own highest revision must not fall. */
async function forgetUpTo(db: Db, accountId: number, last: number): Promise<void> {
  await db.transaction().execute(async (tx) => {
    await tx.updateTable('account').set({ expunged_floor: last }).where('id', '=', accountId).execute();
    await sql`
      delete from expunged
      where account_id = ${accountId} and revision <= ${last} and not (
        exists (select 1 from folder where folder.id = expunged.folder_id)
        and revision = (select max(later.revision) from expunged as later where later.folder_id = expunged.folder_id)
      )`.execute(tx);
  });
}
