/**
 * What mail of the owner is put in by: her keys, her history and her folders. Read once and kept while the account is open, for
 * all of it hangs on one version, which is compared when something is put in (src/store/own-mail.ts). So nothing is asked for a
 * message, and nothing is put in by what has changed.
 */
import type { AccountKeys } from '../keystore/keystore.ts';
import type { Executor } from '../store/database.ts';
import { listMailFolders } from '../store/folders.ts';
import { type OwnMeans, ownMeans } from '../store/own-mail.ts';
import { MailboxError } from './errors.ts';
import { type Folder, folderTree } from './folder-tree.ts';
import { folderAt } from './folders.ts';
import type { MailAccount } from './mail-account.ts';

export interface OwnSetup {
  readonly means: OwnMeans;
  readonly folders: readonly Folder[];
}

/** A folder that mail is put into: by its path, or as it was found. */
export type Target = string | Folder;

const known = new WeakMap<AccountKeys, OwnSetup>();

/** As it is now. */
async function readSetup(db: Executor, { accountId, keys }: MailAccount): Promise<OwnSetup> {
  // The version first: folders that are newer than it are refused later, older ones would be taken for its own.
  const means = await ownMeans(db, accountId);
  const setup = { means, folders: folderTree(await listMailFolders(db, accountId)) };
  known.set(keys, setup);
  return setup;
}

/** As it was the last time, if the folder was there. Throws MailboxError `no-folder` and of paths. */
export async function knownSetup(
  db: Executor,
  account: MailAccount,
  to: Target,
): Promise<{ setup: OwnSetup; folder: Folder }> {
  const setup = known.get(account.keys);
  const folder = setup && among(setup.folders, to);
  return setup === undefined || folder === undefined ? currentSetup(db, account, to) : { setup, folder };
}

/** As it is now: for good only to who holds the mailbox. Throws the same. */
export async function currentSetup(
  db: Executor,
  account: MailAccount,
  to: Target,
): Promise<{ setup: OwnSetup; folder: Folder }> {
  const setup = await readSetup(db, account);
  const folder = among(setup.folders, to);
  if (folder === undefined) throw new MailboxError('no-folder');
  return { setup, folder };
}

const among = (folders: readonly Folder[], to: Target): Folder | undefined =>
  typeof to === 'string' ? folderAt(folders, to) : folders.find(({ id }) => id === to.id);
