/**
 * Folders of one account: made, renamed, removed, subscribed. Each change is one transaction under the mailbox lock.
 * UIDVALIDITY belongs to a folder's row, which a rename keeps; a name used again is a new folder with another one.
 */
import type { Db, Tx } from '../store/database.ts';
import {
  changeFolder,
  findFolder,
  folderMessageIds,
  insertFolder,
  listMailFolders,
  lockMailbox,
  MAIL_TYPE,
  removeFolder,
  type StoredFolder,
  shownMessageIds,
} from '../store/folders.ts';
import { deleteMessages } from '../store/messages.ts';
import { dropSubscription, keepSubscription, lostSubscriptions } from '../store/subscriptions.ts';
import { moveMessages } from '../store/transfers.ts';
import { MailboxError } from './errors.ts';
import {
  type Folder,
  folderSlug,
  folderTree,
  INBOX_PATH,
  joinPath,
  MAX_DEPTH,
  MAX_FOLDERS,
  normalizedPath,
  parsePath,
  SEPARATOR,
  SPECIAL_FOLDERS,
} from './folder-tree.ts';
import { useOfName } from './special-names.ts';

export interface Folders {
  /** Makes the special folders when there is none yet but the inbox. */
  prepare(): Promise<void>;
  list(): Promise<Folder[]>;
  /** Throws MailboxError `no-folder`. */
  find(path: string): Promise<Folder>;
  /** Makes a folder and those above it; its id. Throws `folder-exists`, `inbox`, `special-use`, names and limits. */
  create(path: string, specialUse: string | null): Promise<number>;
  /** Removes a folder with its messages, for good. Throws `no-folder`, `inbox`, `has-children`. */
  remove(path: string): Promise<void>;
  /** Renames a folder with all below it; of the inbox, moves the messages only (RFC 3501 §6.3.5). */
  rename(from: string, to: string): Promise<void>;
  /** Throws `no-folder`; a name may be unsubscribed whose folder is gone. */
  setSubscribed(path: string, subscribed: boolean): Promise<void>;
  /** Paths that stay subscribed although their folders were removed (RFC 3501 §6.3.6). */
  lostSubscriptions(): Promise<string[]>;
}

/** The folder that a mail program means by a path: one of a known use also by another name for it. Throws as `parsePath`. */
export function folderAt(folders: readonly Folder[], path: string): Folder | undefined {
  const levels = parsePath(path);
  const use = useOfPath(levels);
  return folders.find(hasPath(levels)) ?? folders.find(({ specialUse }) => use !== null && specialUse === use);
}

export function createFolders(options: { db: Db; accountId: number; clock: () => Date }): Folders {
  const { db, accountId, clock } = options;

  const locked = <T>(work: (tx: Tx, rows: StoredFolder[]) => Promise<T>): Promise<T> =>
    db.transaction().execute(async (tx) => {
      await lockMailbox(tx, accountId);
      return work(tx, await listMailFolders(tx, accountId));
    });

  return {
    async prepare() {
      if ((await listMailFolders(db, accountId)).length > 1) return;
      await locked((tx, rows) => makeSpecialFolders(tx, accountId, rows));
    },
    list: async () => folderTree(await listMailFolders(db, accountId)),
    async find(path) {
      const folder = folderAt(folderTree(await listMailFolders(db, accountId)), path);
      if (folder === undefined) throw new MailboxError('no-folder');
      return folder;
    },
    create: (path, specialUse) =>
      locked(async (tx, rows) => {
        // RFC 3501 §6.3.3: a trailing separator only says that folders will be made inside.
        const levels = parsePath(path.endsWith(SEPARATOR) ? path.slice(0, -1) : path);
        if (levels.length === 1 && levels[0] === INBOX_PATH) throw new MailboxError('inbox');
        if (folderTree(rows).some(hasPath(levels))) throw new MailboxError('folder-exists');
        if (specialUse !== null && !mayHaveUse(rows, specialUse)) throw new MailboxError('special-use');
        const use = specialUse ?? useOfPath(levels);
        const special = specialUse === null ? rows.find((row) => use !== null && row.special_use === use) : undefined;
        if (special !== undefined) return renameUnused(tx, special, levels);
        const subscribed = await dropSubscription(tx, accountId, joinPath(levels));
        return (await makeLevels(tx, accountId, { rows, levels, specialUse: use, subscribed })).id;
      }),
    remove: (path) =>
      locked(async (tx, rows) => {
        const folder = required(rows, path);
        if (folder.path === INBOX_PATH) throw new MailboxError('inbox');
        if (folder.hasChildren) throw new MailboxError('has-children');
        await deleteMessages(tx, accountId, await folderMessageIds(tx, folder.id), clock());
        await removeFolder(tx, folder.id);
        if (folder.subscribed) await keepSubscription(tx, accountId, folder.path);
      }),
    rename: (from, to) => locked((tx, rows) => rename(tx, accountId, { rows, from, to, now: clock() })),
    setSubscribed: (path, subscribed) =>
      locked(async (tx, rows) => {
        if (!subscribed && (await dropSubscription(tx, accountId, path))) return;
        await changeFolder(tx, required(rows, path).id, { subscribed });
      }),
    lostSubscriptions: () => lostSubscriptions(db, accountId),
  };
}

/**
 * What a folder is for whose name says it, in whatever language: there is one folder for each use, and it goes by all of those
 * names. Only of folders at the top: what is inside of others is the user's own order.
 */
function useOfPath(levels: readonly string[]): string | null {
  const [name] = levels;
  return levels.length === 1 && name !== undefined ? useOfName(name) : null;
}

/** The folder of that use, called as its user's program calls it, as long as nothing was ever in it. Throws `folder-exists`. */
async function renameUnused(tx: Tx, special: StoredFolder, [name = '']: readonly string[]): Promise<number> {
  const isAtTop = special.parent_id === null;
  const isNew = isAtTop && special.uid_next === 1 && SPECIAL_FOLDERS.some((one) => one.name === special.display_name);
  if (!isNew) throw new MailboxError('folder-exists');
  await changeFolder(tx, special.id, { display_name: name });
  return special.id;
}

/** Holds the mailbox with the folder in it: a native client may have removed it since it was found. Throws `no-folder`. */
export async function holdFolder(tx: Tx, accountId: number, folder: Pick<Folder, 'id'>): Promise<void> {
  await lockMailbox(tx, accountId);
  if ((await findFolder(tx, accountId, folder.id)) === undefined) throw new MailboxError('no-folder');
}

function hasPath(levels: readonly string[]): (folder: Folder) => boolean {
  const path = joinPath(levels);
  // Another client may have made it of composed letters or of others.
  return (folder) => normalizedPath(folder.path) === path;
}

function required(rows: readonly StoredFolder[], path: string): Folder {
  const folder = folderTree(rows).find(hasPath(parsePath(path)));
  if (folder === undefined) throw new MailboxError('no-folder');
  return folder;
}

function mayHaveUse(rows: readonly StoredFolder[], use: string): boolean {
  const known = SPECIAL_FOLDERS.some((special) => special.use === use);
  return known && !rows.some((row) => row.special_use === use);
}

async function makeSpecialFolders(tx: Tx, accountId: number, present: StoredFolder[]): Promise<void> {
  if (present.length > 1) return;
  const rows = [...present];
  for (const { use, name } of SPECIAL_FOLDERS) {
    await makeLevels(tx, accountId, { rows, levels: [name], specialUse: use, subscribed: true });
  }
}

/** Makes what is missing of a path, adds it to `rows`, and gives the last one. */
async function makeLevels(
  tx: Tx,
  accountId: number,
  make: { rows: StoredFolder[]; levels: readonly string[]; specialUse: string | null; subscribed: boolean },
): Promise<StoredFolder> {
  const { rows, levels } = make;
  let parent = null as StoredFolder | null;
  for (const [depth, level] of levels.entries()) {
    const parentId: number | null = parent?.id ?? null;
    const known: StoredFolder | undefined = rows.find(
      (row) => row.parent_id === parentId && normalizedPath(row.display_name) === level,
    );
    if (known !== undefined) {
      parent = known;
      continue;
    }
    if (rows.length >= MAX_FOLDERS) throw new MailboxError('too-many-folders');
    const taken = new Set(rows.map((row) => row.folder_name ?? ''));
    const isLast = depth === levels.length - 1;
    parent = await insertFolder(tx, {
      account_id: accountId,
      message_type: MAIL_TYPE,
      folder_name: folderSlug(levels.slice(0, depth + 1), taken),
      display_name: level,
      parent_id: parentId,
      special_use: isLast ? make.specialUse : null,
      subscribed: isLast && make.subscribed,
    });
    rows.push(parent);
  }
  if (parent === null) throw new RangeError('a path without levels');
  return parent;
}

async function rename(
  tx: Tx,
  accountId: number,
  { rows, from, to, now }: { rows: StoredFolder[]; from: string; to: string; now: Date },
): Promise<void> {
  const source = required(rows, from);
  const levels = parsePath(to);
  const tree = folderTree(rows);
  if (tree.some(hasPath(levels))) throw new MailboxError('folder-exists');
  if (source.path === INBOX_PATH) return moveInbox(tx, accountId, { rows, inboxId: source.id, levels, now });
  if (joinPath(levels).startsWith(source.path + SEPARATOR)) throw new MailboxError('bad-folder-name');
  checkDepth(tree, source, levels);
  const above = levels.slice(0, -1);
  const plain = { specialUse: null, subscribed: false };
  const parent = above.length === 0 ? null : await makeLevels(tx, accountId, { rows, levels: above, ...plain });
  await changeFolder(tx, source.id, { display_name: levels.at(-1) ?? '', parent_id: parent?.id ?? null });
}

function checkDepth(tree: readonly Folder[], source: Folder, levels: readonly string[]): void {
  const ownDepth = source.path.split(SEPARATOR).length;
  const below = tree
    .filter(({ path }) => path.startsWith(source.path + SEPARATOR))
    .map(({ path }) => path.split(SEPARATOR).length - ownDepth);
  if (levels.length + Math.max(0, ...below) > MAX_DEPTH) throw new MailboxError('too-deep');
}

/** Folders below the inbox stay where they are. */
async function moveInbox(
  tx: Tx,
  accountId: number,
  { rows, inboxId, levels, now }: { rows: StoredFolder[]; inboxId: number; levels: readonly string[]; now: Date },
): Promise<void> {
  const target = await makeLevels(tx, accountId, { rows, levels, specialUse: null, subscribed: false });
  const messageIds = await shownMessageIds(tx, inboxId);
  if (messageIds.length === 0) return;
  await moveMessages(tx, accountId, { chosen: { fromFolder: inboxId, messageIds }, toFolder: target.id, now });
}
