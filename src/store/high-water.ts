/**
 * What the database says of itself to those who keep a mark outside of it (src/high-water-mark.ts), and what is done when it
 * turns out to be older than they know: every mailbox begins a new course.
 */
import { sql } from 'kysely';
import type { Db, Executor, Tx } from './database.ts';
import { findSetting } from './settings.ts';

/** Any number; of all that use advisory locks in this database only one uses this one. */
const LOCK = 7_301_126;
/** The token of the last renewal, so that of several machines only one does it. */
const EPOCH_SETTING = 'mailbox_epoch';
/** More changes than any mailbox sees between a backup and its use: what was revision N then is none of the new ones. */
export const REVISIONS_SKIPPED = 1_000_000_000;
/** The same for folders, whose ids are names that mail programs remember (RFC 8474). */
const FOLDERS_SKIPPED = 1_000_000;

export type DirectoryRow = { serial: number; token: Buffer; revisions: number };

/** One at a time in the whole database, whoever is killed meanwhile. */
export function lockMarks<T>(db: Db, work: (db: Db) => Promise<T>): Promise<T> {
  return db.connection().execute(async (connection) => {
    await sql`select pg_advisory_lock(${sql.lit(LOCK)})`.execute(connection);
    try {
      return await work(connection);
    } finally {
      await sql`select pg_advisory_unlock(${sql.lit(LOCK)})`.execute(connection);
    }
  });
}

/** Of all mailboxes together: it rises with every change of any. */
export async function allRevisions(db: Executor): Promise<number> {
  const row = await db
    .selectFrom('account')
    .select(sql<number>`coalesce(sum(revision), 0)::bigint`.as('revisions'))
    .executeTakeFirstOrThrow();
  return row.revisions;
}

export function findDirectory(db: Executor, id: Buffer): Promise<DirectoryRow | undefined> {
  return db
    .selectFrom('data_directory')
    .select(['serial', 'token', 'revisions'])
    .where('id', '=', id)
    .executeTakeFirst();
}

export async function markDirectory(tx: Tx, mark: DirectoryRow & { id: Buffer; now: Date }): Promise<void> {
  const { id, now, ...values } = mark;
  const row = { ...values, marked_at: now };
  await tx
    .insertInto('data_directory')
    .values({ id, ...row })
    .onConflict((conflict) => conflict.column('id').doUpdateSet(row))
    .execute();
}

export const currentEpoch = (db: Executor): Promise<string | null> => findSetting(db, EPOCH_SETTING);

/**
 * Begins a new course of every mailbox, as `epoch`: no cursor of before is placed, no folder keeps its UIDVALIDITY, no new
 * revision is one that was given out already. Sessions end, because some of them may have ended before; keys that were not
 * issued yet are withdrawn, because some of them may have been. How many mailboxes there are.
 */
export async function renewMailboxes(tx: Tx, { epoch, now }: { epoch: string; now: Date }): Promise<number> {
  const { rows } = await sql<{ id: number }>`select id from account order by id for update`.execute(tx);
  await tx.deleteFrom('epoch').execute();
  await sql`update account set revision = revision + ${sql.lit(REVISIONS_SKIPPED)}`.execute(tx);
  await renewFolders(tx, now);
  for (const table of ['pow_nonce', 'session', 'login_token'] as const) await tx.deleteFrom(table).execute();
  await tx.deleteFrom('message_key').where('state', '=', 'available').execute();
  await tx
    .insertInto('setting')
    .values({ name: EPOCH_SETTING, value: epoch })
    .onConflict((conflict) => conflict.column('name').doUpdateSet({ value: epoch }))
    .execute();
  await sql`select pg_notify('mailbox_changed', id::text) from account`.execute(tx);
  return rows.length;
}

/**
 * From the time on, because the counter itself is old: what it would give next was given to other folders before. They are
 * given one at a time, so that no later renewal, even of a still older copy, comes to the same numbers.
 */
async function renewFolders(tx: Tx, now: Date): Promise<void> {
  const seconds = Math.floor(now.getTime() / 1000);
  await sql`select setval('uid_validity_counter', greatest(nextval('uid_validity_counter'), ${seconds}::bigint))`.execute(
    tx,
  );
  await sql`update folder set uid_validity = nextval('uid_validity_counter')`.execute(tx);
  await sql`update outbox set uid_validity = nextval('uid_validity_counter'), revision = revision + 1`.execute(tx);
  await sql`
    select setval(sequence, nextval(sequence) + ${sql.lit(FOLDERS_SKIPPED)})
    from (select pg_get_serial_sequence('folder', 'id')::regclass as sequence) as ids`.execute(tx);
}
