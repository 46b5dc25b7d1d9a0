/** Sums over a folder that the store cannot make, because sizes and flags are sealed. */
import type { Db } from '../store/database.ts';
import { shownMessageIds } from '../store/folders.ts';
import { shownSince } from '../store/mailbox.ts';
import type { Contents } from './contents.ts';
import { readFlags } from './flags.ts';
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
  db: Db,
  { account, folder, flag }: { account: MailAccount; folder: Folder; flag: string },
): Promise<number> {
  const rows = await shownSince(db, folder.id, -1);
  const flagsOf = (row: (typeof rows)[number]): string[] =>
    readFlags(account, {
      ...{ read: row.read, extensionsData: row.extensions_data, digest: row.digest },
      leastVersion: row.notes_version,
    });
  return rows.filter((row) => row.extensions_data !== null && flagsOf(row).includes(flag)).length;
}
