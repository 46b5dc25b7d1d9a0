/** Conversations: each message has one, and keeps it (RFC 8474 §5.2). What is looked up tells nothing: it is hashed with a key. */
import { sql } from 'kysely';
import type { Executor, Tx } from './database.ts';

/**
 * Gives a message the thread of the first of `references` that one is known for, or else `fresh`, and remembers all of them
 * for it. A message that has a thread keeps it. The caller holds the mailbox.
 */
export async function joinThread(
  tx: Tx,
  accountId: number,
  join: { messageId: Buffer; references: Buffer[]; fresh: Buffer },
): Promise<void> {
  const { messageId, references, fresh } = join;
  await sql`
    with asked as (
      select reference, n from unnest(${references}::bytea[]) with ordinality as a(reference, n)
    ), chosen as (
      select coalesce(
        (select thread_id from message where message_id = ${messageId} and account_id = ${accountId}),
        (select known.thread_id from asked join thread_reference known
           on known.account_id = ${accountId} and known.reference = asked.reference order by asked.n limit 1),
        ${fresh}::bytea) as thread_id
    ), kept as (
      insert into thread_reference (account_id, reference, thread_id)
      select distinct ${accountId}::bigint, asked.reference, chosen.thread_id from asked, chosen
      on conflict do nothing
    )
    update message set thread_id = chosen.thread_id from chosen
    where message.message_id = ${messageId} and message.account_id = ${accountId}`.execute(tx);
}

/** By id, in hex; null for one of before there were threads. Those that are gone are left out. */
export async function threadIds(
  db: Executor,
  accountId: number,
  messageIds: Buffer[],
): Promise<Map<string, Buffer | null>> {
  const rows = await db
    .selectFrom('message')
    .select(['message_id', 'thread_id'])
    .where('account_id', '=', accountId)
    .where(sql<boolean>`message_id = any(${messageIds}::bytea[])`)
    .execute();
  return new Map(rows.map(({ message_id, thread_id }) => [message_id.toString('hex'), thread_id]));
}
