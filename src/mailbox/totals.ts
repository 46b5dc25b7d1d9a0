/** Sums over a folder that the store cannot make, because sizes and flags are sealed. */
import type { Db } from '../store/database.ts';
import { shownMessageIds } from '../store/folders.ts';
import type { Contents } from './contents.ts';
import type { FolderMemory } from './folder-state.ts';
import type { Folder } from './folder-tree.ts';
import type { MailAccount } from './mail-account.ts';

/** Indexes that are taken at once. */
const BATCH = 200;

/** Bytes of all messages as they are rendered. */
export async function sizeOf(
  db: Db,
  { account, contents, folder }: { account: MailAccount; contents: Contents; folder: Folder },
): Promise<number> {
  const ids = await shownMessageIds(db, folder.id);
  let sum = 0;
  for (let from = 0; from < ids.length; from += BATCH) {
    const listed = await contents.list(account, ids.slice(from, from + BATCH));
    sum = listed.reduce((bytes, content) => bytes + (content?.index.sizeBytes ?? 0), sum);
  }
  return sum;
}

export async function countFlagged(
  states: FolderMemory,
  { account, folder, flag }: { account: MailAccount; folder: Folder; flag: string },
): Promise<number> {
  const { messages } = await states.open(account, folder);
  return messages.reduce((count, { flags }) => count + Number(flags.includes(flag)), 0);
}
