/** When messages came into the folders they are in (RFC 8514 §3). */
import { sql } from 'kysely';
import type { Executor } from './database.ts';

/** By id, in hex. */
export async function saveDates(db: Executor, accountId: number, messageIds: Buffer[]): Promise<Map<string, Date>> {
  const rows = await db
    .selectFrom('message')
    .select(['message_id', sql<Date>`coalesce(saved_at, first_seen_at, time_received)`.as('saved')])
    .where('account_id', '=', accountId)
    .where(sql<boolean>`message_id = any(${messageIds}::bytea[])`)
    .execute();
  return new Map(rows.map(({ message_id, saved }) => [message_id.toString('hex'), saved]));
}
