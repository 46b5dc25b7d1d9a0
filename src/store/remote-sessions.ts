/** Sessions at other people's servers, one per account and base URL, sealed. */
import type { Insertable, Selectable } from 'kysely';
import type { Executor } from './database.ts';
import type { RemoteSessionTable } from './schema.ts';

export type RemoteSession = Selectable<RemoteSessionTable>;

export function findRemoteSession(
  db: Executor,
  accountId: number,
  baseUrl: string,
): Promise<RemoteSession | undefined> {
  return db
    .selectFrom('remote_session')
    .selectAll()
    .where('account_id', '=', accountId)
    .where('base_url', '=', baseUrl)
    .executeTakeFirst();
}

export async function saveRemoteSession(db: Executor, session: Insertable<RemoteSessionTable>): Promise<void> {
  const { sealed, expires_at, last_used_at } = session;
  await db
    .insertInto('remote_session')
    .values(session)
    .onConflict((conflict) =>
      conflict.columns(['account_id', 'base_url']).doUpdateSet({ sealed, expires_at, last_used_at }),
    )
    .execute();
}

export async function touchRemoteSession(db: Executor, session: RemoteSession, now: Date): Promise<void> {
  await db
    .updateTable('remote_session')
    .set({ last_used_at: now })
    .where('account_id', '=', session.account_id)
    .where('base_url', '=', session.base_url)
    .where('sealed', '=', session.sealed)
    .execute();
}

/** Deletes exactly this row as it was read; one that took its place stays. */
export async function deleteRemoteSession(db: Executor, session: RemoteSession): Promise<void> {
  await db
    .deleteFrom('remote_session')
    .where('account_id', '=', session.account_id)
    .where('base_url', '=', session.base_url)
    .where('sealed', '=', session.sealed)
    .execute();
}

export async function deleteAccountSessions(db: Executor, accountId: number): Promise<void> {
  await db.deleteFrom('remote_session').where('account_id', '=', accountId).execute();
}

export async function deleteExpiredRemoteSessions(db: Executor, now: Date): Promise<void> {
  await db.deleteFrom('remote_session').where('expires_at', '<', now).execute();
}
