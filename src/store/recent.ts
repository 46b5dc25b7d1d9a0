/** Which messages of a folder no session has been told of yet (RFC 3501 §2.3.2: `\Recent`). */
import { sql } from 'kysely';
import type { Executor } from './database.ts';

/** UIDs from `first` up to, not including, `end`. */
export type UidSpan = { first: number; end: number };

/** What no session has claimed yet. Null when there is nothing, or no such folder. */
export async function unclaimed(db: Executor, folderId: number): Promise<UidSpan | null> {
  const row = await db
    .selectFrom('folder')
    .select(['recent_from', 'uid_next'])
    .where('id', '=', folderId)
    .executeTakeFirst();
  return row === undefined || row.recent_from >= row.uid_next ? null : { first: row.recent_from, end: row.uid_next };
}

/** The same, and from now on it is claimed: of several sessions one gets it. */
export async function claim(db: Executor, folderId: number): Promise<UidSpan | null> {
  if ((await unclaimed(db, folderId)) === null) return null;
  const { rows } = await sql<UidSpan>`
    with before as (select id, recent_from from folder where id = ${folderId} for update)
    update folder set recent_from = uid_next from before where folder.id = before.id
    returning before.recent_from as first, folder.uid_next as end`.execute(db);
  const [span] = rows;
  return span === undefined || span.first >= span.end ? null : span;
}
