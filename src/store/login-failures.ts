/** Counts of tries to log in, by keyed hash of who tried what. Shared by all processes, so guesses are slowed in each. */
import type { Selectable } from 'kysely';
import type { Executor, Tx } from './database.ts';
import type { LoginFailureTable } from './schema.ts';

export type LoginFailures = Selectable<LoginFailureTable>;

/** The rows of `subjects`, made where absent, locked until the transaction ends. In order of subject: no deadlocks. */
export async function lockFailures(tx: Tx, subjects: Buffer[], now: Date): Promise<LoginFailures[]> {
  const sorted = [...subjects].sort(Buffer.compare);
  await tx
    .insertInto('login_failure')
    .values(sorted.map((subject) => ({ subject, failures: 0, last_at: now })))
    .onConflict((conflict) => conflict.column('subject').doNothing())
    .execute();
  return tx
    .selectFrom('login_failure')
    .selectAll()
    .where('subject', 'in', sorted)
    .orderBy('subject')
    .forUpdate()
    .execute();
}

export async function setFailures(tx: Executor, subject: Buffer, failures: number, now: Date): Promise<void> {
  await tx.updateTable('login_failure').set({ failures, last_at: now }).where('subject', '=', subject).execute();
}

/** One try less: it turned out well. */
export async function forgiveFailure(db: Executor, subject: Buffer): Promise<void> {
  await db
    .updateTable('login_failure')
    .set((eb) => ({ failures: eb('failures', '-', 1) }))
    .where('subject', '=', subject)
    .where('failures', '>', 0)
    .execute();
}

export async function forgetFailures(db: Executor, subject: Buffer): Promise<void> {
  await db.deleteFrom('login_failure').where('subject', '=', subject).execute();
}

export async function forgetOldFailures(db: Executor, before: Date): Promise<void> {
  await db.deleteFrom('login_failure').where('last_at', '<', before).execute();
}
