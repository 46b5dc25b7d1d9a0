/**
 * Messages on their way to being shown: found when due, opened, held or set apart. Each step re-checks the row under the
 * mailbox lock, so that two processes at it do it once.
 */
import { sql } from 'kysely';
import { type Executor, notify, notifying, type Tx } from './database.ts';
import { lockMailbox } from './folders.ts';
import type { StoredMessage } from './messages.ts';
import { joinedThread, type ThreadChoice } from './threads.ts';

export type DueMessage = { message_id: Buffer; sender_address: string; size_bytes: number };

function due(db: Executor, now: Date) {
  return db
    .selectFrom('message')
    .where('message.state', 'in', ['pending', 'held'])
    .where((eb) => eb.or([eb('next_attempt_at', 'is', null), eb('next_attempt_at', '<=', now)]));
}

/** Oldest first. */
export function dueMessages(db: Executor, accountId: number, now: Date, limit: number): Promise<DueMessage[]> {
  return due(db, now)
    .select(['message_id', 'sender_address', 'size_bytes'])
    .where('account_id', '=', accountId)
    .orderBy('seq')
    .limit(limit)
    .execute();
}

/** Accounts of this bridge's users that have something to open now. */
export async function accountsWithDueMessages(db: Executor, now: Date): Promise<number[]> {
  const rows = await due(db, now)
    .innerJoin('mail_user', 'mail_user.account_id', 'message.account_id')
    .select('message.account_id')
    .distinct()
    .execute();
  return rows.map(({ account_id }) => account_id);
}

/** Held mail of one sender is tried again now. */
export async function retryHeld(tx: Tx, accountId: number, sender: string, now: Date): Promise<void> {
  await tx
    .updateTable('message')
    .set({ next_attempt_at: now })
    .where('account_id', '=', accountId)
    .where('state', '=', 'held')
    .where('sender_address', '=', sender)
    .execute();
  await notify(tx, 'mail_received', accountId);
}

/** Opens again what was set apart only because its message key was not known. The caller holds the mailbox. */
export async function retryUnknownKey(
  tx: Tx,
  accountId: number,
  { publicKey, now }: { publicKey: Buffer; now: Date },
): Promise<void> {
  await tx
    .updateTable('message')
    .set({ state: 'pending', reason: null, next_attempt_at: now })
    .where('account_id', '=', accountId)
    .where('state', '=', 'quarantined')
    .where('reason', '=', 'unknown-message-key')
    .where('message_public_key', '=', publicKey)
    .execute();
  await notify(tx, 'mail_received', accountId);
}

/** Locks the mailbox; the message if it is still unopened, with its place. */
export async function lockUnopened(
  tx: Tx,
  accountId: number,
  messageId: Buffer,
): Promise<Pick<StoredMessage, 'seq' | 'folder_id' | 'attempts' | 'state'> | undefined> {
  await lockMailbox(tx, accountId);
  return tx
    .selectFrom('message')
    .select(['seq', 'folder_id', 'attempts', 'state'])
    .where('account_id', '=', accountId)
    .where('message_id', '=', messageId)
    .where('state', 'in', ['pending', 'held'])
    .executeTakeFirst();
}

/**
 * Makes a message visible in its thread and at the end of its folder, under a new seq when its own would stand before what was shown.
 * The caller holds the mailbox.
 */
export async function showMessage(
  tx: Tx,
  accountId: number,
  message: { messageId: Buffer; seq: number; folderId: number; trust: number; thread: ThreadChoice },
): Promise<{ seq: number }> {
  const { rows } = await sql<{ seq: number }>`
    with behind as (
      select (${message.seq}::bigint < uid_next)::int as seqs from folder where id = ${message.folderId}
    ), place as (
      update account set next_seq = next_seq + behind.seqs, revision = revision + 1 from behind
      where account.id = ${accountId}
      returning account.revision, case when behind.seqs = 1 then next_seq - 1 else ${message.seq}::bigint end as seq
    ), raised as (
      update folder set uid_next = greatest(uid_next, place.seq + 1) from place where folder.id = ${message.folderId}
    )
    update message
    set state = 'shown', seq = place.seq, revision = place.revision, trust = ${message.trust},
      thread_id = ${joinedThread(accountId, message.thread, sql`thread_id`)}, reason = null, next_attempt_at = null
    from place
    where message.message_id = ${message.messageId}
    returning message.seq, ${notifying('mailbox_changed', accountId)}`.execute(tx);
  const [shown] = rows;
  if (shown === undefined) throw new TypeError('the message is not there');
  return { seq: shown.seq };
}

/** Takes a message out of the queue without showing it. The caller holds the mailbox. */
export async function setApart(
  tx: Tx,
  messageId: Buffer,
  change: { state: 'hidden' | 'quarantined'; reason: string | null },
): Promise<void> {
  await tx
    .updateTable('message')
    .set({ ...change, next_attempt_at: null })
    .where('message_id', '=', messageId)
    .execute();
}

/** Tries again later. The caller holds the mailbox. */
export async function postponeMessage(
  tx: Tx,
  messageId: Buffer,
  change: { state: 'held' | 'pending'; reason: string; attempts: number; nextAttemptAt: Date },
): Promise<void> {
  const { state, reason, attempts, nextAttemptAt } = change;
  await tx
    .updateTable('message')
    .set({ state, reason, attempts, next_attempt_at: nextAttemptAt })
    .where('message_id', '=', messageId)
    .execute();
}

export type SeenValue = { kind: 'digest' | 'uid'; value: Buffer };

/** Whether another message showed this value before. */
export async function isSeen(db: Executor, accountId: number, seen: SeenValue, messageId: Buffer): Promise<boolean> {
  const row = await db
    .selectFrom('seen')
    .select('message_id')
    .where('account_id', '=', accountId)
    .where('kind', '=', seen.kind)
    .where('value', '=', seen.value)
    .executeTakeFirst();
  return row !== undefined && !row.message_id.equals(messageId);
}

/**
 * Remembers what was received; false when another message showed one of the values before. `messageId`: of a copy, the
 * message it is a copy of. The caller holds the mailbox.
 */
export async function rememberSeen(
  tx: Tx,
  accountId: number,
  messageId: Buffer,
  values: SeenValue[],
  now: Date,
): Promise<boolean> {
  await tx
    .insertInto('seen')
    .values(values.map((seen) => ({ ...seen, account_id: accountId, message_id: messageId, first_seen_at: now })))
    .onConflict((conflict) => conflict.doNothing())
    .execute();
  for (const seen of values) if (await isSeen(tx, accountId, seen, messageId)) return false;
  return true;
}
