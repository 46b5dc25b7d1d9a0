/**
 * Tokens that tell one course of a mailbox from another. A mailbox that is restored from an old copy comes to the same
 * revisions a second time, with other changes: whoever was told of the first ones must not take the second for those. So
 * with every revision that is told goes a random token, drawn when the mailbox had come at least that far: an older copy
 * does not hold it.
 */
import { sql } from 'kysely';
import type { Db, Executor } from './database.ts';

/** Kept of one account, about 1 MB; whoever was told of nothing for longer begins again. */
export const EPOCHS_KEPT = 10_000;

/**
 * The token for all up to `covers`. `current`: a revision the mailbox is at or was, not below `covers`. `fresh`: random, and
 * used when none was drawn since the mailbox came that far.
 */
export async function epochToken(
  db: Executor,
  ask: { accountId: number; covers: number; current: number; fresh: Buffer },
): Promise<Buffer> {
  const drawn = await firstToken(db, ask);
  if (drawn !== undefined) return drawn;
  await db
    .insertInto('epoch')
    .values({ account_id: ask.accountId, revision: ask.current, token: ask.fresh })
    .onConflict((conflict) => conflict.doNothing())
    .execute();
  // Another process may have been quicker, or all of them were thrown away meanwhile: then it is known to nobody.
  return (await firstToken(db, ask)) ?? ask.fresh;
}

async function firstToken(db: Executor, ask: { accountId: number; covers: number }): Promise<Buffer | undefined> {
  const row = await db
    .selectFrom('epoch')
    .select('token')
    .where('account_id', '=', ask.accountId)
    .where('revision', '>=', ask.covers)
    .orderBy('revision')
    .limit(1)
    .executeTakeFirst();
  return row?.token;
}

/** Whether this mailbox, in this course of it, came as far as `covers` and drew the token there or later. */
export async function isKnownEpoch(
  db: Executor,
  ask: { accountId: number; covers: number; token: Buffer },
): Promise<boolean> {
  const row = await db
    .selectFrom('epoch')
    .select('revision')
    .where('account_id', '=', ask.accountId)
    .where('revision', '>=', ask.covers)
    .where('token', '=', ask.token)
    .limit(1)
    .executeTakeFirst();
  return row !== undefined;
}

/** Forgets the oldest of what is more than `keep` in an account. */
export async function forgetEpochs(db: Db, keep: number = EPOCHS_KEPT): Promise<void> {
  await sql`
    delete from epoch using (
      select account.id, old.revision from account
      cross join lateral (
        select revision from epoch where account_id = account.id order by revision desc offset ${keep} limit 1
      ) as old
    ) as beyond
    where epoch.account_id = beyond.id and epoch.revision <= beyond.revision`.execute(db);
}
