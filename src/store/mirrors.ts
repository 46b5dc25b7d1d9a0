/** Accounts that live at another server: where, and how far their mirror is. */
import type { Selectable, Updateable } from 'kysely';
import { sql } from 'kysely';
import type { Db, Executor, Tx } from './database.ts';
import type { MirrorTable } from './schema.ts';

export type StoredMirror = Selectable<MirrorTable>;

/** Makes the account a mirrored one; `unpublished` is what its home is still to be told. */
export async function insertMirror(
  tx: Tx,
  mirror: { accountId: number; baseUrl: string; unpublished: Buffer },
): Promise<void> {
  const { accountId: account_id, baseUrl: base_url, unpublished } = mirror;
  await tx.insertInto('mirror').values({ account_id, base_url, unpublished }).execute();
}

export function findMirror(db: Executor, accountId: number): Promise<StoredMirror | undefined> {
  return db.selectFrom('mirror').selectAll().where('account_id', '=', accountId).executeTakeFirst();
}

/** Where an account lives; null when it lives here. */
export async function findMirrorBase(db: Executor, accountId: number): Promise<string | null> {
  const row = await db.selectFrom('mirror').select('base_url').where('account_id', '=', accountId).executeTakeFirst();
  return row?.base_url ?? null;
}

export function listMirrors(db: Executor): Promise<(StoredMirror & { address: string })[]> {
  return db
    .selectFrom('mirror')
    .innerJoin('account', 'account.id', 'mirror.account_id')
    .selectAll('mirror')
    .select('account.address')
    .orderBy('mirror.account_id')
    .execute();
}

export async function changeMirror(
  db: Executor,
  accountId: number,
  change: Omit<Updateable<MirrorTable>, 'account_id'>,
): Promise<void> {
  await db.updateTable('mirror').set(change).where('account_id', '=', accountId).execute();
}

/** First number of the advisory locks of mirrors, apart from those of others. */
const LOCK_CLASS = 0x736d;

/** The mirrors that this process keeps, and no other. */
export interface MirrorLocks {
  /** False: another process keeps it. */
  take(accountId: number): Promise<boolean>;
  release(accountId: number): Promise<void>;
  /** False once the connection is lost, and with it every lock. */
  areHeld(): Promise<boolean>;
}

/**
 * One connection for the locks of all mirrors: were there one for each, many mirrors would leave none for their work. It
 * ends with this process, however that ends, and the locks with it.
 */
export function withMirrorLocks(db: Db, work: (locks: MirrorLocks) => Promise<void>): Promise<void> {
  return db.connection().execute(async (connection) => {
    await work({
      async take(accountId) {
        const { rows } = await sql<{ taken: boolean }>`
          select pg_try_advisory_lock(${LOCK_CLASS}, ${accountId}) as taken`.execute(connection);
        return rows[0]?.taken === true;
      },
      async release(accountId) {
        await sql`select pg_advisory_unlock(${LOCK_CLASS}, ${accountId})`.execute(connection);
      },
      areHeld: () =>
        sql`select 1`.execute(connection).then(
          () => true,
          () => false,
        ),
    });
  });
}
