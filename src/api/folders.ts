/**
 * Folders (SMIMP 0.1 §5): listed, made, renamed, moved, removed. They are the folders mail programs see: for them a
 * folder's display name is one level of its path. A folder below the inbox of a mail program has no parent here.
 */
import type { z } from 'zod';
import { type Folder, type folderRequest, MAX_FOLDER_DEPTH } from '../smimp/api.ts';
import { INBOX_NAME, isDisplayName, levelsBelow, lineage, MAX_FOLDERS } from '../smimp/folders.ts';
import { notify, type Tx } from '../store/database.ts';
import { touchMessages } from '../store/envelopes.ts';
import {
  changeFolder,
  insertFolder,
  isFolderInUse,
  listFolders,
  lockMailbox,
  MAIL_TYPE,
  removeFolder,
  type StoredFolder,
} from '../store/folders.ts';
import { type ApiServices, type Handlers, ownerOf } from './call.ts';
import { ApiError } from './errors.ts';

type Wanted = z.output<typeof folderRequest>;
type Named = StoredFolder & { folder_name: string };

const isNamed = (row: StoredFolder): row is Named => row.folder_name !== null;

function answerOf(rows: readonly StoredFolder[], row: Named): Folder {
  const parent = rows.find(({ id }) => id === row.parent_id);
  const { display_name, folder_name, message_type } = row;
  return { display_name, folder_name, parent_folder_name: parent?.folder_name ?? null, message_type };
}

export function folderHandlers({ db }: ApiServices): Handlers {
  const list = async (accountId: number, messageType: string | null): Promise<Folder[]> => {
    const rows = await listFolders(db, accountId);
    const wanted = rows.filter(isNamed).filter((row) => messageType === null || row.message_type === messageType);
    return wanted.map((row) => answerOf(rows, row));
  };

  /** Runs a change with all folders at hand, holding the mailbox; mail programs look again afterwards. */
  const changing = <Result>(accountId: number, change: (tx: Tx, rows: StoredFolder[]) => Promise<Result>) =>
    db.transaction().execute(async (tx) => {
      await lockMailbox(tx, accountId);
      const result = await change(tx, await listFolders(tx, accountId));
      await notify(tx, 'mailbox_changed', accountId);
      return result;
    });

  return {
    get_folders: async (call) => ({ body: { folders: await list(ownerOf(call).accountId, null) } }),
    get_folders_of_type: async (call) => ({
      body: { folders: await list(ownerOf(call).accountId, call.params.type) },
    }),
    create_folder: async (call) => {
      const { accountId } = ownerOf(call);
      return { body: await changing(accountId, (tx, rows) => create(tx, accountId, rows, call.request)) };
    },
    change_folder: async (call) => {
      const { name } = call.params;
      return { body: await changing(ownerOf(call).accountId, (tx, rows) => change(tx, rows, name, call.request)) };
    },
    delete_folder: async (call) => {
      const { type, name } = call.params;
      await changing(ownerOf(call).accountId, async (tx, rows) => {
        const { id } = required(rows, type, name);
        if (await isFolderInUse(tx, id)) throw new ApiError('folder_not_empty');
        await removeFolder(tx, id);
      });
      return { body: undefined };
    },
  };
}

function find(rows: readonly StoredFolder[], messageType: string, name: string): Named | undefined {
  return rows.filter(isNamed).find((row) => row.message_type === messageType && row.folder_name === name);
}

/** Throws `unknown_folder`. */
function required(rows: readonly StoredFolder[], messageType: string, name: string): Named {
  const row = find(rows, messageType, name);
  if (row === undefined) throw new ApiError('unknown_folder');
  return row;
}

/** As `required`; a folder of that name but of another type is `wrong_type`. */
function requiredOfType(rows: readonly StoredFolder[], messageType: string, name: string): Named {
  const row = find(rows, messageType, name);
  if (row === undefined && rows.some(({ folder_name }) => folder_name === name)) throw new ApiError('wrong_type');
  return required(rows, messageType, name);
}

async function create(tx: Tx, accountId: number, rows: StoredFolder[], wanted: Wanted): Promise<Folder> {
  const parent = parentOf(rows, wanted, null);
  checkName(rows, wanted, { parent, except: null });
  if (rows.length >= MAX_FOLDERS || depthOf(rows, parent) >= MAX_FOLDER_DEPTH) throw new ApiError('bad_folder');
  const { folder_name, display_name, message_type } = wanted;
  const row = { account_id: accountId, folder_name, display_name, message_type, special_use: null };
  const made = await insertFolder(tx, { ...row, parent_id: parent?.id ?? null });
  return answerOf([...rows, made], made as Named);
}

async function change(tx: Tx, rows: StoredFolder[], name: string, wanted: Wanted): Promise<Folder> {
  const folder = requiredOfType(rows, wanted.message_type, name);
  const parent = parentOf(rows, wanted, folder);
  checkName(rows, wanted, { parent, except: folder });
  const above = parent === null ? [] : lineage(byId(rows), parent);
  if (above.some(({ id }) => id === folder.id)) throw new ApiError('bad_folder');
  if (above.length + 1 + levelsBelow(rows, folder.id) > MAX_FOLDER_DEPTH) throw new ApiError('bad_folder');
  const { folder_name, display_name } = wanted;
  const changed = { folder_name, display_name, parent_id: parent?.id ?? null };
  await changeFolder(tx, folder.id, changed);
  if (folder_name !== folder.folder_name) await touchMessages(tx, folder.account_id, folder.id);
  return answerOf(rows, { ...folder, ...changed });
}

const byId = (rows: readonly StoredFolder[]) => new Map(rows.map((row) => [row.id, row]));

function depthOf(rows: readonly StoredFolder[], folder: StoredFolder | null): number {
  return folder === null ? 0 : lineage(byId(rows), folder).length;
}

/** The folder above; one that lies below a mail program's inbox stays there when no parent is named. */
function parentOf(rows: readonly StoredFolder[], wanted: Wanted, folder: Named | null): StoredFolder | null {
  if (wanted.parent_folder_name !== null) return requiredOfType(rows, wanted.message_type, wanted.parent_folder_name);
  return rows.find((row) => row.id === folder?.parent_id && row.folder_name === null) ?? null;
}

/** Throws `bad_folder` for a name that mail programs cannot show, `folder_exists` for one that is taken. */
function checkName(
  rows: readonly StoredFolder[],
  wanted: Wanted,
  place: { parent: StoredFolder | null; except: StoredFolder | null },
): void {
  const { display_name, folder_name, message_type } = wanted;
  const parentId = place.parent?.id ?? null;
  const isInbox = message_type === MAIL_TYPE && parentId === null && display_name.toUpperCase() === INBOX_NAME;
  if (!isDisplayName(display_name) || isInbox) throw new ApiError('bad_folder');
  const others = rows.filter((row) => row.id !== place.except?.id && row.message_type === message_type);
  const isTaken = (row: StoredFolder): boolean =>
    row.folder_name === folder_name || (row.parent_id === parentId && row.display_name === display_name);
  if (others.some(isTaken)) throw new ApiError('folder_exists');
}
