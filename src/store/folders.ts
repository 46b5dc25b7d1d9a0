/**
 * Folders of a mailbox. Whoever makes, renames or removes one holds the account's row lock; a folder's id and
 * `uid_validity` stay with it for life, whatever it is called.
 */
import type { Insertable, Selectable, Updateable } from 'kysely';
import { sql } from 'kysely';
import { type Executor, notify, type Tx } from './database.ts';
import { revisionOfMessage } from './revisions.ts';
import type { FolderTable } from './schema.ts';

export type StoredFolder = Selectable<FolderTable>;

/** The message type whose folders mail programs see. */
export const MAIL_TYPE = 'email';

/** Holds the mailbox until the transaction ends, without changing it. */
export async function lockMailbox(tx: Tx, accountId: number): Promise<void> {
  await tx.selectFrom('account').select('id').where('id', '=', accountId).forUpdate().executeTakeFirstOrThrow();
}

/** The same; the revision that the mailbox is at meanwhile. */
export async function lockMailboxAt(tx: Tx, accountId: number): Promise<number> {
  const locked = tx.selectFrom('account').select('revision').where('id', '=', accountId).forUpdate();
  return (await locked.executeTakeFirstOrThrow()).revision;
}

/** Folders of every type, the inbox included. */
export function listFolders(db: Executor, accountId: number): Promise<StoredFolder[]> {
  return db.selectFrom('folder').selectAll().where('account_id', '=', accountId).orderBy('id').execute();
}

export function listMailFolders(db: Executor, accountId: number): Promise<StoredFolder[]> {
  return db
    .selectFrom('folder')
    .selectAll()
    .where('account_id', '=', accountId)
    .where('message_type', '=', MAIL_TYPE)
    .orderBy('id')
    .execute();
}

export function findFolder(db: Executor, accountId: number, folderId: number): Promise<StoredFolder | undefined> {
  return db
    .selectFrom('folder')
    .selectAll()
    .where('account_id', '=', accountId)
    .where('id', '=', folderId)
    .executeTakeFirst();
}

export async function insertFolder(tx: Tx, folder: Omit<Insertable<FolderTable>, 'uid_next'>): Promise<StoredFolder> {
  const made = await tx.insertInto('folder').values(folder).returningAll().executeTakeFirstOrThrow();
  await notify(tx, 'mailbox_changed', folder.account_id);
  return made;
}

export async function changeFolder(
  db: Executor,
  folderId: number,
  change: Pick<Updateable<FolderTable>, 'folder_name' | 'display_name' | 'parent_id' | 'subscribed' | 'special_use'>,
): Promise<void> {
  const changed = db.updateTable('folder').set(change).where('id', '=', folderId);
  await tellChanged(db, await changed.returning('account_id').execute());
}

export async function removeFolder(tx: Tx, folderId: number): Promise<void> {
  await tellChanged(tx, await tx.deleteFrom('folder').where('id', '=', folderId).returning('account_id').execute());
}

async function tellChanged(db: Executor, folders: readonly { account_id: number }[]): Promise<void> {
  for (const { account_id } of folders) await notify(db, 'mailbox_changed', account_id);
}

/** Whether a message, in whatever state, or another folder lies in it. */
export async function isFolderInUse(tx: Tx, folderId: number): Promise<boolean> {
  const { used } = await tx
    .selectNoFrom(({ or, exists, selectFrom }) =>
      or([
        exists(selectFrom('message').select('seq').where('folder_id', '=', folderId)),
        exists(selectFrom('folder').select('id').where('parent_id', '=', folderId)),
      ]).as('used'),
    )
    .executeTakeFirstOrThrow();
  return Boolean(used);
}

/** Every message of a folder, whatever its state. */
export async function folderMessageIds(tx: Tx, folderId: number): Promise<Buffer[]> {
  const rows = await tx.selectFrom('message').select('message_id').where('folder_id', '=', folderId).execute();
  return rows.map(({ message_id }) => message_id);
}

/** `seq` was shown as a UID of the folder; later ones are greater. */
export async function raiseUidNext(tx: Tx, folderId: number, seq: number): Promise<void> {
  await tx
    .updateTable('folder')
    .set({ uid_next: sql<number>`greatest(uid_next, ${seq + 1}::bigint)` })
    .where('id', '=', folderId)
    .execute();
}

/** `highestRevision`: of the last change in this folder, 0 when there was none; changes of other folders do not raise it. */
export type FolderCounts = { messages: number; unseen: number; recent: number; highestRevision: number };

/** What people see of the folders, counted, by folder. */
export async function countShown(db: Executor, folderIds: readonly number[]): Promise<Map<number, FolderCounts>> {
  const { rows } = await sql<{ id: number; messages: number; unseen: number; recent: number; highest: number | null }>`
    select folder.id, count(message.seq) as messages, count(message.seq) filter (where not message.read) as unseen,
      count(message.seq) filter (where message.seq >= folder.recent_from) as recent,
      greatest(max(${revisionOfMessage}), (select max(revision) from expunged where folder_id = folder.id)) as highest
    from folder left join message on message.folder_id = folder.id and message.state = 'shown'
    where folder.id = any(${folderIds}::bigint[])
    group by folder.id`.execute(db);
  return new Map(rows.map(({ id, highest, ...counts }) => [id, { ...counts, highestRevision: highest ?? 0 }]));
}

/** Ids of the messages shown in a folder. */
export async function shownMessageIds(db: Executor, folderId: number): Promise<Buffer[]> {
  const rows = await db
    .selectFrom('message')
    .select('message_id')
    .where('folder_id', '=', folderId)
    .where('state', '=', 'shown')
    .execute();
  return rows.map(({ message_id }) => message_id);
}
