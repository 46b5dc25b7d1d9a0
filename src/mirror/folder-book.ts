/** The folders of a mirrored account, both sides at once: rows here, and what is known of the home. */
import { folderSlug, INBOX_PATH, SEPARATOR, SPECIAL_FOLDERS } from '../mailbox/folder-tree.ts';
import { isDisplayName, MAX_DISPLAY_NAME_CHARS } from '../smimp/folders.ts';
import type { Executor } from '../store/database.ts';
import { listFolders, MAIL_TYPE, type StoredFolder } from '../store/folders.ts';
import { listMirrorFolders, type MirrorFolder } from '../store/mirror-folders.ts';

export interface FolderBook {
  readonly inboxId: number;
  readonly rows: StoredFolder[];
  readonly known: MirrorFolder[];
}

export async function readFolderBook(db: Executor, accountId: number): Promise<FolderBook> {
  const rows = await listFolders(db, accountId);
  const inbox = rows.find(({ folder_name }) => folder_name === null);
  if (inbox === undefined) throw new TypeError('an account without an inbox');
  return { inboxId: inbox.id, rows, known: await listMirrorFolders(db, accountId) };
}

export function rowOf(book: FolderBook, folderId: number | null): StoredFolder | undefined {
  return book.rows.find(({ id }) => id === folderId);
}

export function knownBy(book: FolderBook, folder: { type: string; name: string }): MirrorFolder | undefined {
  return book.known.find((one) => one.message_type === folder.type && one.folder_name === folder.name);
}

export function knownAt(book: FolderBook, folderId: number): MirrorFolder | undefined {
  return book.known.find((one) => one.folder_id === folderId);
}

/** What the home calls the folder: null is the inbox, undefined a folder that the home has not. */
export function homeName(book: FolderBook, folderId: number): string | null | undefined {
  return folderId === book.inboxId ? null : knownAt(book, folderId)?.folder_name;
}

/** Folders below the inbox here lie at the top there, where the inbox has no name. */
export function parentName(book: FolderBook, row: Pick<StoredFolder, 'parent_id'>): string | null | undefined {
  return row.parent_id === null ? null : homeName(book, row.parent_id);
}

/** Every folder after the one it lies in. */
export function parentsFirst(book: FolderBook): StoredFolder[] {
  const depth = (row: StoredFolder): number => {
    const parent = rowOf(book, row.parent_id);
    return parent === undefined ? 0 : 1 + depth(parent);
  };
  return book.rows.filter(({ folder_name }) => folder_name !== null).sort((a, b) => depth(a) - depth(b));
}

/** Whether `folderId` is `ancestorId` or lies within it. */
export function liesWithin(book: FolderBook, folderId: number | null, ancestorId: number): boolean {
  for (let row = rowOf(book, folderId); row !== undefined; row = rowOf(book, row.parent_id)) {
    if (row.id === ancestorId) return true;
  }
  return false;
}

/** A level that mail programs can show. */
export function localLevel(displayName: string): string {
  if (isDisplayName(displayName)) return displayName;
  const letters = Array.from(displayName.toWellFormed(), (letter) => (isDisplayName(letter) ? letter : '_'));
  const level = letters.join('').slice(0, MAX_DISPLAY_NAME_CHARS).toWellFormed();
  return level.replaceAll(SEPARATOR, '_') || 'folder';
}

/** That level, or the first with a number that none beside it has. INBOX at the top is the inbox alone. */
export function freeLevel(
  book: FolderBook,
  place: { type: string; parentId: number | null; level: string; except: number | null },
): string {
  const beside = book.rows.filter(
    (row) => row.message_type === place.type && row.parent_id === place.parentId && row.id !== place.except,
  );
  const isTaken = (level: string): boolean =>
    (place.parentId === null && level.toUpperCase() === INBOX_PATH) ||
    beside.some(({ display_name }) => display_name === level);
  for (let number = 1; ; number += 1) {
    const suffix = number === 1 ? '' : ` (${number})`;
    const level = place.level.slice(0, MAX_DISPLAY_NAME_CHARS - suffix.length) + suffix;
    if (!isTaken(level)) return level;
  }
}

/** A slug that no folder here has, as near to `wanted` as can be. */
export function freeSlug(book: FolderBook, type: string, wanted: string): string {
  const taken = new Set(book.rows.filter((row) => row.message_type === type).map((row) => row.folder_name ?? ''));
  return folderSlug([wanted], taken);
}

/** What a folder of that name is for, unless another one is for it already. */
export function specialUseOf(book: FolderBook, folder: { type: string; level: string; parentId: number | null }) {
  if (folder.type !== MAIL_TYPE || folder.parentId !== null) return null;
  const special = SPECIAL_FOLDERS.find(({ name }) => name === folder.level);
  if (special === undefined || book.rows.some(({ special_use }) => special_use === special.use)) return null;
  return special.use;
}
