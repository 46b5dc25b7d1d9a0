/**
 * Folder names. A path is what mail programs see, its levels divided by `/`; a row holds one level and its parent. The
 * name other SMIMP clients use is a slug made from the path once, when the folder is made (SMIMP 0.1 §5: `folders`).
 */
import { MAX_FOLDER_DEPTH } from '../smimp/api.ts';
import { INBOX_NAME, isDisplayName, lineage, PATH_SEPARATOR } from '../smimp/folders.ts';
import type { StoredFolder } from '../store/folders.ts';
import { MailboxError } from './errors.ts';

export { MAX_FOLDERS } from '../smimp/folders.ts';
export const SEPARATOR = PATH_SEPARATOR;
export const INBOX_PATH = INBOX_NAME;
export const MAX_DEPTH = MAX_FOLDER_DEPTH;
const MAX_SLUG_CHARS = 64;

/** RFC 6154 §2: what a folder is for. The order is that in which they are made. */
export const SPECIAL_FOLDERS = [
  { use: '\\Drafts', name: 'Drafts' },
  { use: '\\Sent', name: 'Sent' },
  { use: '\\Trash', name: 'Trash' },
  { use: '\\Junk', name: 'Junk' },
  { use: '\\Archive', name: 'Archive' },
] as const;

export type Folder = {
  readonly id: number;
  readonly path: string;
  readonly hasChildren: boolean;
  readonly specialUse: string | null;
  readonly subscribed: boolean;
  readonly uidValidity: number;
  readonly uidNext: number;
  /** Shows what is no mail of the mailbox (src/outbox): nothing can be put in. */
  readonly isVirtual?: boolean;
};

/** One name of those that look alike (RFC 9051 §5.1: NFC). */
export const normalizedPath = (path: string): string => path.normalize('NFC');

/** The levels of a path, normalized, INBOX in its one spelling. Throws MailboxError `bad-folder-name`, `too-deep`. */
export function parsePath(path: string): string[] {
  const levels = normalizedPath(path).split(SEPARATOR);
  if (levels.length > MAX_DEPTH) throw new MailboxError('too-deep');
  if (!levels.every(isDisplayName)) throw new MailboxError('bad-folder-name');
  if (levels[0]?.toUpperCase() === INBOX_PATH) levels[0] = INBOX_PATH;
  return levels;
}

export function joinPath(levels: readonly string[]): string {
  return levels.join(SEPARATOR);
}

/** Every folder with its path, sorted by path, the inbox first. */
export function folderTree(rows: readonly StoredFolder[]): Folder[] {
  const byId = new Map(rows.map((row) => [row.id, row]));
  const parents = new Set(rows.map((row) => row.parent_id));
  const pathOf = (row: StoredFolder): string => joinPath(lineage(byId, row).map(({ display_name }) => display_name));
  const folders = rows.map((row) => ({
    id: row.id,
    path: pathOf(row),
    hasChildren: parents.has(row.id),
    specialUse: row.special_use,
    subscribed: row.subscribed,
    uidValidity: row.uid_validity,
    uidNext: row.uid_next,
  }));
  return folders.sort((a, b) => order(a.path, b.path));
}

function order(a: string, b: string): number {
  const [inboxA, inboxB] = [a, b].map((path) => path === INBOX_PATH || path.startsWith(`${INBOX_PATH}${SEPARATOR}`));
  if (inboxA !== inboxB) return inboxA ? -1 : 1;
  return a < b ? -1 : a > b ? 1 : 0;
}

/** `[a-z0-9-]{1,64}` made from a path, different from all in `taken`. */
export function folderSlug(levels: readonly string[], taken: ReadonlySet<string>): string {
  const plain = levels
    .join('-')
    .normalize('NFKD')
    .replace(/\p{M}+/gu, '')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '');
  const base = plain === '' ? 'folder' : plain;
  for (let number = 1; ; number += 1) {
    const suffix = number === 1 ? '' : `-${number}`;
    const slug = `${base.slice(0, MAX_SLUG_CHARS - suffix.length).replace(/-+$/, '')}${suffix}`;
    if (!taken.has(slug)) return slug;
  }
}
