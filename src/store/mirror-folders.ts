/** Folders of mirrored accounts: which one here is which one at the home, and what both sides last agreed on. */
import type { Insertable, Selectable, Updateable } from 'kysely';
import type { Executor } from './database.ts';
import type { MirrorFolderTable } from './schema.ts';

export type MirrorFolder = Selectable<MirrorFolderTable>;

export function listMirrorFolders(db: Executor, accountId: number): Promise<MirrorFolder[]> {
  return db.selectFrom('mirror_folder').selectAll().where('account_id', '=', accountId).orderBy('folder_id').execute();
}

export async function insertMirrorFolder(tx: Executor, folder: Insertable<MirrorFolderTable>): Promise<void> {
  await tx.insertInto('mirror_folder').values(folder).execute();
}

export async function changeMirrorFolder(
  tx: Executor,
  folder: Pick<MirrorFolder, 'account_id' | 'folder_id'>,
  change: Omit<Updateable<MirrorFolderTable>, 'account_id'>,
): Promise<void> {
  await tx
    .updateTable('mirror_folder')
    .set(change)
    .where('account_id', '=', folder.account_id)
    .where('folder_id', '=', folder.folder_id)
    .execute();
}

export async function removeMirrorFolder(
  tx: Executor,
  folder: Pick<MirrorFolder, 'account_id' | 'folder_id'>,
): Promise<void> {
  await tx
    .deleteFrom('mirror_folder')
    .where('account_id', '=', folder.account_id)
    .where('folder_id', '=', folder.folder_id)
    .execute();
}
