/**
 * To whom message keys were issued (SMIMP 0.1 §5, `get_message_key`), and their use. Whoever issues or uses one holds the
 * account's row lock until commit.
 */
import { sql } from 'kysely';
import { formatTimestamp, type Timestamp } from '../smimp/encoding.ts';
import type { Executor, Tx } from './database.ts';
import type { StoredMessageKey } from './message-keys.ts';

interface Issue {
  accountId: number;
  sender: string;
  senderDomain: string;
  now: Date;
}

/** The key this sender was given since `since` and has not used, if it is still good. */
export function outstandingKey(
  tx: Tx,
  ask: { accountId: number; sender: string; since: Date; expiresAfter: Timestamp },
): Promise<StoredMessageKey | undefined> {
  return tx
    .selectFrom('key_issue')
    .innerJoin('message_key', (join) =>
      join
        .onRef('message_key.account_id', '=', 'key_issue.account_id')
        .onRef('message_key.public_key', '=', 'key_issue.public_key'),
    )
    .selectAll('message_key')
    .where('key_issue.account_id', '=', ask.accountId)
    .where('key_issue.sender_address', '=', ask.sender)
    .where('key_issue.ephemeral', '=', true)
    .where('key_issue.used_at', 'is', null)
    .where('key_issue.issued_at', '>', ask.since)
    .where('message_key.state', '=', 'issued')
    .where('message_key.replaced_at', 'is', null)
    .where('message_key.expires', '>', ask.expiresAfter)
    .orderBy('key_issue.id', 'desc')
    .limit(1)
    .executeTakeFirst();
}

/** Ephemeral keys issued since `since`: in all, to the sender, to the sender's domain; and how many are left. */
export async function issueCounts(
  tx: Tx,
  ask: Omit<Issue, 'now'> & { since: Date },
): Promise<{ total: number; sender: number; domain: number; available: number }> {
  const counts = await tx
    .selectFrom('key_issue')
    .select((eb) => [
      eb.fn.countAll<number>().as('total'),
      eb.fn.countAll<number>().filterWhere('sender_address', '=', ask.sender).as('sender'),
      eb.fn.countAll<number>().filterWhere('sender_domain', '=', ask.senderDomain).as('domain'),
    ])
    .where('account_id', '=', ask.accountId)
    .where('ephemeral', '=', true)
    .where('issued_at', '>', ask.since)
    .executeTakeFirstOrThrow();
  const { available } = await tx
    .selectFrom('message_key')
    .select((eb) => eb.fn.countAll<number>().as('available'))
    .where('account_id', '=', ask.accountId)
    .where('state', '=', 'available')
    .executeTakeFirstOrThrow();
  return { ...counts, available };
}

/** Takes the next good key of the pool for a sender; undefined when the pool is empty. */
export async function issueEphemeral(
  tx: Tx,
  issue: Issue & { expiresAfter: Timestamp },
): Promise<StoredMessageKey | undefined> {
  const taken = await tx
    .updateTable('message_key')
    .set({ state: 'issued' })
    .where('account_id', '=', issue.accountId)
    .where('public_key', '=', (eb) =>
      eb
        .selectFrom('message_key')
        .select('public_key')
        .where('account_id', '=', issue.accountId)
        .where('state', '=', 'available')
        .where('expires', '>', issue.expiresAfter)
        .orderBy('position')
        .limit(1),
    )
    .returningAll()
    .executeTakeFirst();
  if (taken !== undefined) await insertIssue(tx, issue, taken.public_key, true);
  return taken;
}

/** Notes that the non-ephemeral key was given to a sender; once for each. */
export async function issueNonEphemeral(tx: Tx, issue: Issue, key: StoredMessageKey): Promise<void> {
  const known = await tx
    .selectFrom('key_issue')
    .select(sql`1`.as('one'))
    .where('account_id', '=', issue.accountId)
    .where('sender_address', '=', issue.sender)
    .where('public_key', '=', key.public_key)
    .executeTakeFirst();
  if (known === undefined) await insertIssue(tx, issue, key.public_key, false);
}

async function insertIssue(tx: Tx, issue: Issue, publicKey: Buffer, ephemeral: boolean): Promise<void> {
  await tx
    .insertInto('key_issue')
    .values({
      account_id: issue.accountId,
      public_key: publicKey,
      ephemeral,
      sender_address: issue.sender,
      sender_domain: issue.senderDomain,
      issued_at: issue.now,
    })
    .execute();
}

export type IssuedKey = Pick<
  StoredMessageKey,
  'public_key' | 'kind' | 'state' | 'expires' | 'master_key' | 'replaced_at'
>;

/** The key, if it was issued to this sender by this account. */
export function findIssuedKey(
  db: Executor,
  ask: { accountId: number; sender: string; publicKey: Buffer },
): Promise<IssuedKey | undefined> {
  return db
    .selectFrom('key_issue')
    .innerJoin('message_key', (join) =>
      join
        .onRef('message_key.account_id', '=', 'key_issue.account_id')
        .onRef('message_key.public_key', '=', 'key_issue.public_key'),
    )
    .select([
      'message_key.public_key',
      'message_key.kind',
      'message_key.state',
      'message_key.expires',
      'message_key.master_key',
      'message_key.replaced_at',
    ])
    .where('key_issue.account_id', '=', ask.accountId)
    .where('key_issue.sender_address', '=', ask.sender)
    .where('key_issue.public_key', '=', ask.publicKey)
    .executeTakeFirst();
}

/** Uses up a single-use key; false when somebody was faster. */
export async function consumeEphemeral(
  tx: Tx,
  use: { accountId: number; publicKey: Buffer; now: Date },
): Promise<boolean> {
  const used = await tx
    .updateTable('message_key')
    .set({ state: 'used' })
    .where('account_id', '=', use.accountId)
    .where('public_key', '=', use.publicKey)
    .where('state', '=', 'issued')
    .executeTakeFirst();
  if (used.numUpdatedRows === 0n) return false;
  await tx
    .updateTable('key_issue')
    .set({ used_at: use.now })
    .where('account_id', '=', use.accountId)
    .where('public_key', '=', use.publicKey)
    .execute();
  return true;
}

/**
 * Forgets what no message can use any more: issues of keys that were used or replaced before `before`, whose daily counts and
 * grace are over; and keys that ended before it, with their issues. Nobody waits: such keys are refused anyway.
 */
export async function forgetOldKeys(db: Executor, before: Date): Promise<void> {
  const ended = formatTimestamp(before.getTime() / 1000);
  await sql`
    delete from key_issue i using message_key k
    where k.account_id = i.account_id and k.public_key = i.public_key
      and (i.used_at < ${before} or k.replaced_at < ${before} or k.expires < ${ended})`.execute(db);
  await db
    .deleteFrom('message_key')
    .where('expires', '<', ended)
    .where('state', 'in', ['issued', 'used', 'replaced'])
    .execute();
}
