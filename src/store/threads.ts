/** Conversations: each message has one, and keeps it (RFC 8474 §5.2). What is looked up tells nothing: it is hashed with a key. */
import { type RawBuilder, sql } from 'kysely';
import type { Executor, Tx } from './database.ts';

/** Of `references` the first one that a thread is known for decides; else it is `fresh`. */
export type ThreadChoice = { references: Buffer[]; fresh: Buffer };

/**
 * As part of another statement: the thread of a message, which is remembered for all that it refers to. What is `present`
 * stays. Whoever holds the mailbox when this is evaluated sees every thread there is.
 */
export function joinedThread(
  accountId: number,
  { references, fresh }: ThreadChoice,
  present: RawBuilder<Buffer | null> = sql`null`,
): RawBuilder<Buffer> {
  return sql`join_thread(${accountId}::bigint, ${references}::bytea[], ${fresh}::bytea, ${present})`;
}

/** Gives a stored message its thread. A message that has one keeps it. The caller holds the mailbox. */
export async function joinThread(tx: Tx, accountId: number, messageId: Buffer, choice: ThreadChoice): Promise<void> {
  await sql`
    update message set thread_id = ${joinedThread(accountId, choice, sql`thread_id`)}
    where message_id = ${messageId} and account_id = ${accountId}`.execute(tx);
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
