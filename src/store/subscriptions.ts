/** Names that a user is subscribed to although there is no such mailbox any more (RFC 3501 §6.3.6). */
import type { Executor, Tx } from './database.ts';

export async function lostSubscriptions(db: Executor, accountId: number): Promise<string[]> {
  const rows = await db
    .selectFrom('lost_subscription')
    .select('path')
    .where('account_id', '=', accountId)
    .orderBy('path')
    .execute();
  return rows.map(({ path }) => path);
}

export async function keepSubscription(tx: Tx, accountId: number, path: string): Promise<void> {
  await tx
    .insertInto('lost_subscription')
    .values({ account_id: accountId, path })
    .onConflict((conflict) => conflict.doNothing())
    .execute();
}

/** Whether there was one. */
export async function dropSubscription(tx: Tx, accountId: number, path: string): Promise<boolean> {
  const { numDeletedRows } = await tx
    .deleteFrom('lost_subscription')
    .where('account_id', '=', accountId)
    .where('path', '=', path)
    .executeTakeFirst();
  return numDeletedRows > 0n;
}
