/**
 * Mailboxes with one folder more, in which mail programs see what is waiting to be sent. It is no row among the folders: no
 * native client and no home knows it. Where the user has a folder of such a name herself, in whatever language, it is not
 * shown.
 */

import type { Events } from '../events.ts';
import type { Keystore } from '../keystore/keystore.ts';
import { MailboxError } from '../mailbox/errors.ts';
import { type Folder, INBOX_PATH, parsePath, SEPARATOR } from '../mailbox/folder-tree.ts';
import type { Folders } from '../mailbox/folders.ts';
import { createFollowing, type Following } from '../mailbox/following.ts';
import type { AccountMailbox, FolderState, OpenMailbox } from '../mailbox/types.ts';
import { ByteGate } from '../memory/byte-gate.ts';
import type { QueueOperations } from '../pipeline/queue-operations.ts';
import type { Db, Listener } from '../store/database.ts';
import { showOutbox, subscribeOutbox } from '../store/outbox.ts';
import { outboxEntries } from './entries.ts';
import { followBoth, isFree, lookAtOutbox, OUTBOX_ID } from './following.ts';
import { createOutboxMessages, type OutboxMessages } from './messages.ts';
import { openOutboxView } from './view.ts';

/** Of messages that are looked into at once: one of the largest, or many small ones. */
const MAX_BYTES_AT_ONCE = 36 * 1024 * 1024;

export interface OutboxOptions {
  db: Db;
  listener: Listener;
  keystore: Keystore;
  operations: Pick<QueueOperations, 'withdraw'>;
  events: Events;
  /** What the folder is called. */
  name: string;
}

export function withOutbox(mailbox: OpenMailbox, options: OutboxOptions): OpenMailbox {
  const { db, name } = options;
  const messages = createOutboxMessages({ db, gate: new ByteGate(MAX_BYTES_AT_ONCE) });
  const lookAt = (accountId: number) => lookAtOutbox(db, accountId, name);
  const parts = { ...options, messages, following: createFollowing({ ...options, channel: 'outbox_changed', lookAt }) };
  return { open: async (accountId) => accountWithOutbox(await mailbox.open(accountId), accountId, parts) };
}

type Parts = OutboxOptions & { messages: OutboxMessages; following: Following<FolderState> };

function accountWithOutbox(mailbox: AccountMailbox, accountId: number, parts: Parts): AccountMailbox {
  const { db, listener, keystore, messages, operations, name } = parts;
  return {
    ...mailbox,
    folders: foldersWithOutbox(mailbox.folders, { db, accountId, name }),
    async counts(folders) {
      const counts = new Map(await mailbox.counts(folders.filter((folder) => !isVirtual(folder))));
      if (!folders.some(isVirtual)) return counts;
      return counts.set(OUTBOX_ID, (await lookAtOutbox(db, accountId, name)).counts);
    },
    async sizeBytes(folder) {
      if (!isVirtual(folder)) return mailbox.sizeBytes(folder);
      const keys = await keystore.open(accountId);
      const shown = await showOutbox(db, accountId, outboxEntries);
      let sum = 0;
      for (const { entry } of shown.messages) sum += (await messages.raw(keys, entry)).length;
      return sum;
    },
    async countFlagged(folder, flag) {
      if (!isVirtual(folder)) return mailbox.countFlagged(folder, flag);
      const { messages: shown } = await showOutbox(db, accountId, outboxEntries);
      return flag === '\\Deleted' ? shown.filter(({ row }) => row.deleted).length : 0;
    },
    async view(folder) {
      if (!isVirtual(folder)) return mailbox.view(folder);
      const keys = await keystore.open(accountId);
      return openOutboxView({ db, keys, folder, messages, withdraw: operations.withdraw, append: mailbox.append });
    },
    async append(mail) {
      const { folder } = mail;
      const isOutbox =
        typeof folder === 'string' ? (await touched(mailbox.folders, name, folder)) === 'itself' : isVirtual(folder);
      if (isOutbox) throw new MailboxError('virtual');
      return mailbox.append(mail);
    },
    followFolders(changed) {
      return followBoth(mailbox.followFolders, parts.following, { accountId, changed });
    },
    watch(changed) {
      const heard = (payload: string): void => {
        if (payload === String(accountId)) changed();
      };
      listener.on('outbox_changed', heard);
      const stop = mailbox.watch(changed);
      return () => {
        listener.off('outbox_changed', heard);
        stop();
      };
    },
  };
}

function foldersWithOutbox(
  folders: Folders,
  { db, accountId, name }: { db: Db; accountId: number; name: string },
): Folders {
  const virtual = async (): Promise<Folder> => (await lookAtOutbox(db, accountId, name)).folder;
  const touches = (path: string) => touched(folders, name, path);
  /** Throws `virtual` where such a path is. */
  const refuse = async (path: string): Promise<void> => {
    if ((await touches(path)) !== null) throw new MailboxError('virtual');
  };

  return {
    ...folders,
    async list() {
      const all = await folders.list();
      if (!isFree(name, all)) return all;
      const inbox = all.filter(({ path }) => path === INBOX_PATH || path.startsWith(INBOX_PATH + SEPARATOR));
      const others = [...all.slice(inbox.length), await virtual()];
      return [...inbox, ...others.sort((a, b) => (a.path < b.path ? -1 : 1))];
    },
    find: async (path) => ((await touches(path)) === 'itself' ? virtual() : folders.find(path)),
    async create(path, specialUse) {
      const at = await touches(path);
      if (at !== null) throw new MailboxError(at === 'itself' ? 'folder-exists' : 'virtual');
      return folders.create(path, specialUse);
    },
    async remove(path) {
      await refuse(path);
      await folders.remove(path);
    },
    async rename(from, to) {
      await refuse(from);
      await refuse(to);
      await folders.rename(from, to);
    },
    async setSubscribed(path, subscribed) {
      if ((await touches(path)) !== 'itself') return folders.setSubscribed(path, subscribed);
      await subscribeOutbox(db, accountId, subscribed);
    },
  };
}

const isVirtual = ({ id }: Folder): boolean => id === OUTBOX_ID;

/** Whether a path is the virtual folder itself, or below it, while it is shown. */
async function touched(folders: Folders, name: string, path: string): Promise<'itself' | 'below' | null> {
  const levels = parsePath(path.endsWith(SEPARATOR) ? path.slice(0, -1) : path);
  if (levels[0] !== name || !isFree(name, await folders.list())) return null;
  return levels.length === 1 ? 'itself' : 'below';
}
