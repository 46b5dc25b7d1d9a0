/** What was done to folders here, done at the home: made, renamed, moved; and, after their mail is gone, deleted. */

import { folderSlug } from '../mailbox/folder-tree.ts';
import { RemoteError } from '../remote/errors.ts';
import type { Folder } from '../smimp/api.ts';
import type { StoredFolder } from '../store/folders.ts';
import {
  changeMirrorFolder,
  insertMirrorFolder,
  type MirrorFolder,
  removeMirrorFolder,
} from '../store/mirror-folders.ts';
import { type FolderBook, knownAt, parentName, parentsFirst, readFolderBook, rowOf } from './folder-book.ts';
import { isRefusal, type Mirror, orCode } from './mirror.ts';

/** Another client may make folders of the same names at the same time; more than this is no coincidence. */
const MAX_NAMES_TRIED = 4;

/** True: the home knows something that is not known here yet. */
export async function pushFolders(mirror: Mirror): Promise<boolean> {
  const { db } = mirror.services;
  let again = false;
  for (const { id } of parentsFirst(await readFolderBook(db, mirror.accountId))) {
    await mirror.step();
    const book = await readFolderBook(db, mirror.accountId);
    const row = rowOf(book, id);
    if (row !== undefined && (await pushFolder(mirror, book, row))) again = true;
  }
  return again;
}

/** Whether a folder here is not as both sides last agreed. One whose parent was refused does not count. */
export function foldersDiffer(book: FolderBook): boolean {
  const isDeleted = book.known.some((known) => !known.gone && rowOf(book, known.folder_id) === undefined);
  return isDeleted || parentsFirst(book).some((row) => parentName(book, row) !== undefined && isChanged(book, row));
}

function isChanged(book: FolderBook, row: StoredFolder): boolean {
  const known = knownAt(book, row.id);
  if (known?.gone) return false;
  return known === undefined || row.display_name !== known.local_name || row.parent_id !== known.local_parent;
}

async function pushFolder(mirror: Mirror, book: FolderBook, row: StoredFolder): Promise<boolean> {
  const parent = parentName(book, row);
  // What it lies in was refused: so is this.
  if (parent === undefined) return false;
  if (!isChanged(book, row)) return false;
  const known = knownAt(book, row.id);
  try {
    if (known === undefined) return await makeAtHome(mirror, book, row, parent);
    return await changeAtHome(mirror, known, row, parent);
  } catch (error) {
    if (!isRefusal(error)) throw error;
    mirror.services.events.mirrorRefused({ accountId: mirror.accountId, what: 'folder', code: error.apiCode ?? 'api' });
    if (known !== undefined) await agree(mirror, known, row, {});
    return false;
  }
}

async function makeAtHome(
  mirror: Mirror,
  book: FolderBook,
  row: StoredFolder,
  parent: string | null,
): Promise<boolean> {
  const { owner, db } = mirror.services;
  const taken = new Set(
    book.known.filter((one) => one.message_type === row.message_type).map((one) => one.folder_name),
  );
  for (let tried = 1; tried <= MAX_NAMES_TRIED; tried += 1) {
    const folder_name = folderSlug([row.folder_name ?? ''], taken);
    const display_name = tried < MAX_NAMES_TRIED ? row.display_name : `${row.display_name} (${tried})`;
    const folder: Folder = { folder_name, display_name, parent_folder_name: parent, message_type: row.message_type };
    const made = await mirror.asOwner((session) =>
      orCode(owner.createFolder(session, folder), ['folder_exists', 'unknown_folder']),
    );
    if (!('refused' in made)) {
      const base = { display_name, parent_name: parent, local_name: row.display_name, local_parent: row.parent_id };
      const place = { account_id: mirror.accountId, message_type: row.message_type, folder_name };
      await insertMirrorFolder(db, { ...place, folder_id: row.id, ...base });
      return false;
    }
    if (made.refused === 'unknown_folder') return true;
    if (await isThere(mirror, folder)) return true;
    taken.add(folder_name);
  }
  throw new RemoteError('api', { status: 409, apiCode: 'folder_exists', disposition: 'permanent' });
}

/** The very folder: made by another client, or by us when the answer was lost. The next look will find it. */
async function isThere({ asOwner, services }: Mirror, folder: Folder): Promise<boolean> {
  const listed = await asOwner((session) => services.owner.folders(session, folder.message_type));
  return listed.some(
    ({ display_name, parent_folder_name }) =>
      display_name === folder.display_name && parent_folder_name === folder.parent_folder_name,
  );
}

async function changeAtHome(
  mirror: Mirror,
  known: MirrorFolder,
  row: StoredFolder,
  parent: string | null,
): Promise<boolean> {
  const { owner } = mirror.services;
  const { folder_name, message_type } = known;
  for (let tried = 1; tried <= MAX_NAMES_TRIED; tried += 1) {
    const display_name = tried === 1 ? row.display_name : `${row.display_name} (${tried})`;
    const folder: Folder = { folder_name, display_name, parent_folder_name: parent, message_type };
    const changed = await mirror.asOwner((session) =>
      orCode(owner.changeFolder(session, folder_name, folder), ['folder_exists', 'unknown_folder']),
    );
    if (!('refused' in changed)) {
      await agree(mirror, known, row, { display_name, parent_name: parent });
      return false;
    }
    if (changed.refused === 'unknown_folder') return true;
  }
  throw new RemoteError('api', { status: 409, apiCode: 'folder_exists', disposition: 'permanent' });
}

async function agree(
  { services }: Mirror,
  known: MirrorFolder,
  row: StoredFolder,
  home: { display_name?: string; parent_name?: string | null },
): Promise<void> {
  const here = { local_name: row.display_name, local_parent: row.parent_id };
  await changeMirrorFolder(services.db, known, { ...home, ...here });
}

/** Those whose row here is gone, the deepest first. True: mail was put in one meanwhile, which will come back. */
export async function deleteFolders(mirror: Mirror): Promise<boolean> {
  const { db, owner } = mirror.services;
  const book = await readFolderBook(db, mirror.accountId);
  let again = false;
  for (const known of deepestFirst(book.known.filter((one) => !one.gone && rowOf(book, one.folder_id) === undefined))) {
    await mirror.step();
    const folder = { messageType: known.message_type, name: known.folder_name };
    const deleted = await mirror.asOwner((session) =>
      orCode(owner.deleteFolder(session, folder), ['unknown_folder', 'folder_not_empty']),
    );
    if (deleted?.refused === 'folder_not_empty') again = true;
    await removeMirrorFolder(db, known);
  }
  return again;
}

function deepestFirst(folders: readonly MirrorFolder[]): MirrorFolder[] {
  const depth = (folder: MirrorFolder, guard = 0): number => {
    const parent = folders.find(
      (one) => one.message_type === folder.message_type && one.folder_name === folder.parent_name,
    );
    return parent === undefined || guard > folders.length ? 0 : 1 + depth(parent, guard + 1);
  };
  return [...folders].sort((a, b) => depth(b) - depth(a));
}
