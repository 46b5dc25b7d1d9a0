/**
 * What the home's folders mean for those here (docs/proxy.md). A folder renamed or moved there is renamed or moved here,
 * whatever was done to it here; one that both sides made under the same name in the same place is one folder; one deleted
 * here stays deleted, unless mail was put in it there.
 */
import type { Folder } from '../smimp/api.ts';
import type { Tx } from '../store/database.ts';
import {
  changeFolder,
  insertFolder,
  isFolderInUse,
  lockMailbox,
  removeFolder,
  type StoredFolder,
} from '../store/folders.ts';
import {
  changeMirrorFolder,
  insertMirrorFolder,
  listMirrorFolders,
  type MirrorFolder,
  removeMirrorFolder,
} from '../store/mirror-folders.ts';
import {
  type FolderBook,
  freeLevel,
  freeSlug,
  knownAt,
  knownBy,
  liesWithin,
  localLevel,
  parentsFirst,
  readFolderBook,
  rowOf,
  specialUseOf,
} from './folder-book.ts';
import type { Mirror } from './mirror.ts';

export async function pullFolders(mirror: Mirror): Promise<void> {
  const { services, accountId } = mirror;
  const listed = await mirror.asOwner((session) => services.owner.folders(session));
  await services.db.transaction().execute(async (tx) => {
    await lockMailbox(tx, accountId);
    const take: Taking = { tx, accountId, book: await readFolderBook(tx, accountId), listed };
    for (const folder of containersFirst(listed)) await takeFolder(take, folder);
    await markMissing(take);
  });
}

type Taking = { tx: Tx; accountId: number; book: FolderBook; listed: readonly Folder[] };

/** Parents before what lies in them; a parent that is not listed, or a circle, counts as none. */
function containersFirst(listed: readonly Folder[]): Folder[] {
  const keyOf = (type: string, name: string): string => `${type} ${name}`;
  const byName = new Map(listed.map((folder) => [keyOf(folder.message_type, folder.folder_name), folder]));
  const depth = (folder: Folder): number => {
    const above = new Set<Folder>();
    for (let at: Folder | undefined = folder; at?.parent_folder_name != null && !above.has(at); ) {
      above.add(at);
      at = byName.get(keyOf(at.message_type, at.parent_folder_name));
    }
    return above.size;
  };
  return [...byName.values()].sort((a, b) => depth(a) - depth(b));
}

async function takeFolder(take: Taking, folder: Folder): Promise<void> {
  const { tx, book } = take;
  const known = knownBy(book, { type: folder.message_type, name: folder.folder_name });
  if (known === undefined) return takeUnknown(take, folder);
  if (known.gone) await note(take, known, { gone: false });
  const row = rowOf(book, known.folder_id);
  const isSame = known.display_name === folder.display_name && known.parent_name === folder.parent_folder_name;
  if (row === undefined || isSame) return;
  const wanted = parentOf(book, folder);
  const parentId = liesWithin(book, wanted, row.id) ? null : wanted;
  const place = { type: folder.message_type, parentId, level: localLevel(folder.display_name), except: row.id };
  const display_name = freeLevel(book, place);
  await changeFolder(tx, row.id, { display_name, parent_id: parentId });
  Object.assign(row, { display_name, parent_id: parentId });
  await note(take, known, baseOf(folder, row));
}

function parentOf(book: FolderBook, { message_type: type, parent_folder_name: name }: Folder): number | null {
  const parent = name === null ? undefined : knownBy(book, { type, name });
  return rowOf(book, parent?.folder_id ?? null)?.id ?? null;
}

function baseOf(folder: Folder, row: StoredFolder) {
  return {
    display_name: folder.display_name,
    parent_name: folder.parent_folder_name,
    local_name: row.display_name,
    local_parent: row.parent_id,
  };
}

async function note({ tx }: Taking, known: MirrorFolder, change: Partial<MirrorFolder>): Promise<void> {
  await changeMirrorFolder(tx, known, change);
  Object.assign(known, change);
}

async function takeUnknown(take: Taking, folder: Folder): Promise<void> {
  const { book } = take;
  const parentId = parentOf(book, folder);
  const twin = book.rows.find((row) => isTwin(take, row, folder, parentId));
  const row = twin ?? (await makeFolder(take, folder, parentId));
  const renamed = knownAt(book, row.id);
  if (renamed !== undefined) {
    return note(take, renamed, { ...baseOf(folder, row), folder_name: folder.folder_name, gone: false });
  }
  await remember(take, folder, row);
}

/** Made on both sides, made here and never answered, or known by a name that the home has given up. */
function isTwin({ book, listed }: Taking, row: StoredFolder, folder: Folder, parentId: number | null): boolean {
  if (row.folder_name === null || row.message_type !== folder.message_type) return false;
  if ((row.parent_id === book.inboxId ? null : row.parent_id) !== parentId) return false;
  if (row.display_name !== localLevel(folder.display_name)) return false;
  const known = knownAt(book, row.id);
  return known === undefined || !listed.some((one) => isNamed(known, one));
}

function isNamed(known: MirrorFolder, folder: Folder): boolean {
  return known.message_type === folder.message_type && known.folder_name === folder.folder_name;
}

async function makeFolder(take: Taking, folder: Folder, parentId: number | null): Promise<StoredFolder> {
  const { tx, accountId, book } = take;
  const type = folder.message_type;
  const level = freeLevel(book, { type, parentId, level: localLevel(folder.display_name), except: null });
  const row = await insertFolder(tx, {
    account_id: accountId,
    message_type: type,
    folder_name: freeSlug(book, type, folder.folder_name),
    display_name: level,
    parent_id: parentId,
    special_use: specialUseOf(book, { type, level, parentId }),
  });
  book.rows.push(row);
  return row;
}

async function remember({ tx, accountId, book }: Taking, folder: Folder, row: StoredFolder): Promise<void> {
  const known = {
    account_id: accountId,
    message_type: folder.message_type,
    folder_name: folder.folder_name,
    folder_id: row.id,
    ...baseOf(folder, row),
    gone: false,
  };
  await insertMirrorFolder(tx, known);
  book.known.push(known);
}

async function markMissing(take: Taking): Promise<void> {
  for (const known of take.book.known) {
    if (!known.gone && !take.listed.some((folder) => isNamed(known, folder))) await note(take, known, { gone: true });
  }
}

/**
 * The folder here that mail of the home belongs in. One that was deleted here comes back: mail was put in it there. The
 * inbox, when the home names a folder that it does not list.
 */
export async function folderFor(
  tx: Tx,
  accountId: number,
  place: { type: string; name: string | null },
): Promise<number> {
  const book = await readFolderBook(tx, accountId);
  if (place.name === null) return book.inboxId;
  const known = knownBy(book, { type: place.type, name: place.name });
  if (known === undefined) return book.inboxId;
  if (rowOf(book, known.folder_id) !== undefined) return known.folder_id;
  const { message_type, folder_name, display_name, parent_name: parent_folder_name } = known;
  const folder: Folder = { message_type, folder_name, display_name, parent_folder_name };
  const take: Taking = { tx, accountId, book, listed: [folder] };
  await removeMirrorFolder(tx, known);
  book.known.splice(book.known.indexOf(known), 1);
  await takeUnknown(take, folder);
  return knownBy(book, { type: place.type, name: place.name })?.folder_id ?? book.inboxId;
}

/** After all mail was pulled: folders that the home has no more go, unless something lies in them; then they are new again. */
export async function dropMissingFolders(tx: Tx, accountId: number): Promise<void> {
  const book = await readFolderBook(tx, accountId);
  const missing = (await listMirrorFolders(tx, accountId)).filter(({ gone }) => gone);
  const deepestFirst = parentsFirst(book).reverse();
  for (const known of missing) await removeMirrorFolder(tx, known);
  for (const row of deepestFirst) {
    const isMissing = missing.some(({ folder_id }) => folder_id === row.id);
    if (isMissing && !(await isFolderInUse(tx, row.id))) await removeFolder(tx, row.id);
  }
}
