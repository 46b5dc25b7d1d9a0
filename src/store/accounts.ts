/** Accounts and the counters of their mailboxes. Whoever changes a mailbox holds the account's row lock until commit. */
import type { QueryCreator, Selectable } from 'kysely';
import type { Executor, Tx } from './database.ts';
import { forgetPowRecipient } from './pow-facts.ts';
import type { AccountTable, Database } from './schema.ts';

export type Account = Selectable<AccountTable>;

/** Makes the account with its inbox. Throws on an address that exists (unique violation 23505). */
export async function createAccount(
  tx: Tx,
  account: { address: string; initializeHash: Buffer | null; now: Date },
): Promise<Account> {
  const created = await tx
    .insertInto('account')
    .values({ address: account.address, created_at: account.now, initialize_hash: account.initializeHash })
    .returningAll()
    .executeTakeFirstOrThrow();
  await insertInbox(tx, created.id);
  return created;
}

/** The same; null when the address exists, also when somebody else makes it just now: then it waits for that. */
export async function createAccountOnce(tx: Tx, account: { address: string; now: Date }): Promise<Account | null> {
  const created = await tx
    .insertInto('account')
    .values({ address: account.address, created_at: account.now, initialize_hash: null })
    .onConflict((conflict) => conflict.column('address').doNothing())
    .returningAll()
    .executeTakeFirst();
  if (created === undefined) return null;
  await insertInbox(tx, created.id);
  return created;
}

async function insertInbox(tx: Tx, accountId: number): Promise<void> {
  await tx
    .insertInto('folder')
    .values({
      account_id: accountId,
      message_type: 'email',
      folder_name: null,
      display_name: 'INBOX',
      parent_id: null,
      special_use: null,
    })
    .execute();
}

export function findAccount(db: Executor, address: string): Promise<Account | undefined> {
  return db.selectFrom('account').selectAll().where('address', '=', address).executeTakeFirst();
}

export function listAccounts(db: Executor): Promise<Account[]> {
  return db.selectFrom('account').selectAll().orderBy('address').execute();
}

export async function removeAccount(tx: Tx, accountId: number): Promise<void> {
  await tx.deleteFrom('message').where('account_id', '=', accountId).execute();
  await tx.updateTable('folder').set({ parent_id: null }).where('account_id', '=', accountId).execute();
  await tx.deleteFrom('folder').where('account_id', '=', accountId).execute();
  const gone = await tx.deleteFrom('account').where('id', '=', accountId).returning('address').executeTakeFirst();
  if (gone !== undefined) await forgetPowRecipient(tx, gone.address);
}

/** Takes `seqs` new sequence numbers and one revision (or `revisions`), locking the mailbox until the transaction ends. */
export async function advanceMailbox(
  tx: Tx,
  accountId: number,
  take: { seqs: number; sizeBytes?: number; revisions?: number },
): Promise<{ firstSeq: number; revision: number }> {
  const row = await advanced(tx, accountId, take).executeTakeFirstOrThrow();
  return { firstSeq: row.next_seq - take.seqs, revision: row.revision };
}

/** As part of another statement: the counters after it. */
export function advanced(
  creator: Pick<QueryCreator<Database>, 'updateTable'>,
  accountId: number,
  take: { seqs: number; sizeBytes?: number; revisions?: number },
) {
  return creator
    .updateTable('account')
    .set((eb) => ({
      next_seq: eb('next_seq', '+', take.seqs),
      revision: eb('revision', '+', take.revisions ?? 1),
      size_bytes: eb('size_bytes', '+', take.sizeBytes ?? 0),
    }))
    .where('id', '=', accountId)
    .returning(['next_seq', 'revision']);
}

/** Gives an account that has no keys yet another one-time code, with all its tries; false when it has keys. */
export async function replaceInitializeHash(tx: Tx, accountId: number, initializeHash: Buffer): Promise<boolean> {
  const { numUpdatedRows } = await tx
    .updateTable('account')
    .set({ initialize_hash: initializeHash, initialize_tries: 0 })
    .where('id', '=', accountId)
    .where('initialized_at', 'is', null)
    .executeTakeFirst();
  return numUpdatedRows === 1n;
}

/** Counts one try of the one-time code; how many there were, this one included. */
export async function countInitializeTry(db: Executor, accountId: number): Promise<number> {
  const row = await db
    .updateTable('account')
    .set((eb) => ({ initialize_tries: eb('initialize_tries', '+', 1) }))
    .where('id', '=', accountId)
    .returning('initialize_tries')
    .executeTakeFirstOrThrow();
  return row.initialize_tries;
}
