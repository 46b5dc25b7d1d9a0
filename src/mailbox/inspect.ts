/**
 * A mailbox as it is, for its owner at a terminal: all types of messages, those that are held or set apart with the reason,
 * and what is inside the ones that were opened. Changes nothing, marks nothing as read, asks no other server.
 */
import type { Keystore } from '../keystore/keystore.ts';
import { decodeText } from '../mime/headers.ts';
import type { Address } from '../smimp/address.ts';
import type { Caution } from '../smimp/open.ts';
import type { Db } from '../store/database.ts';
import { listMailFolders } from '../store/folders.ts';
import { type ListedMessageRow, listMessages } from '../store/message-list.ts';
import { findMessage, type StoredMessage } from '../store/messages.ts';
import { type Contents, decrypt } from './contents.ts';
import { MailboxError } from './errors.ts';
import { folderTree, joinPath, parsePath } from './folder-tree.ts';
import { openMailAccount } from './mail-account.ts';
import type { OpenedContent } from './rendering.ts';

export type InspectedMessage = {
  readonly messageId: Buffer;
  readonly folder: string;
  readonly seq: number;
  readonly messageType: string;
  readonly sizeBytes: number;
  readonly from: Address;
  readonly receivedAt: Date;
  readonly read: boolean;
  /** `shown` and `hidden` were opened: mail programs see the former. `held` and `pending` wait. `quarantined` is invalid. */
  readonly state: StoredMessage['state'];
  /** Why it is held or set apart: a closed code. */
  readonly reason: string | null;
  readonly nextAttemptAt: Date | null;
  /** Of an opened email. */
  readonly subject: string | null;
};

export interface Inspection {
  /** The newest first. `folder`: a path as mail programs see it; null for all. Throws MailboxError `no-folder`. */
  list(ask: { accountId: number; folder: string | null; limit: number }): Promise<InspectedMessage[]>;
  /** One message; `opened` is null unless every check was passed. Null: there is none. Throws MailboxError `unreadable`. */
  show(ask: { accountId: number; messageId: Buffer }): Promise<{
    message: InspectedMessage;
    envelope: StoredMessage;
    opened: OpenedContent | null;
  } | null>;
}

const OPENED: ReadonlySet<string> = new Set<StoredMessage['state']>(['shown', 'hidden']);

export function createInspection(options: { db: Db; keystore: Keystore; contents: Contents }): Inspection {
  const { db, keystore, contents } = options;

  const foldersOf = async (accountId: number): Promise<Map<number, string>> =>
    new Map(folderTree(await listMailFolders(db, accountId)).map(({ id, path }) => [id, path]));

  const contentOf = async (accountId: number, row: ListedMessageRow) => {
    if (row.state !== 'shown') return null;
    const [content] = await contents.list(await openMailAccount(keystore, accountId), [row.message_id]);
    return content ?? null;
  };

  const describe = async (
    accountId: number,
    row: ListedMessageRow,
    folders: ReadonlyMap<number, string>,
  ): Promise<InspectedMessage> => {
    const subject = (await contentOf(accountId, row))?.index.envelope.subject ?? null;
    return {
      messageId: row.message_id,
      folder: folders.get(row.folder_id) ?? '',
      seq: row.seq,
      messageType: row.message_type,
      sizeBytes: row.size_bytes,
      from: row.sender_address as Address,
      receivedAt: row.time_received,
      read: row.read,
      state: row.state,
      reason: row.reason,
      nextAttemptAt: row.next_attempt_at,
      subject: subject === null ? null : decodeText(subject),
    };
  };

  return {
    async list({ accountId, folder, limit }) {
      const folders = await foldersOf(accountId);
      const folderId = folder === null ? null : idOf(folders, folder);
      const rows = await listMessages(db, accountId, { folderId, limit });
      const described: InspectedMessage[] = [];
      for (const row of rows) described.push(await describe(accountId, row, folders));
      return described;
    },
    async show({ accountId, messageId }) {
      const envelope = await findMessage(db, accountId, messageId);
      if (envelope === undefined) return null;
      const message = await describe(accountId, envelope, await foldersOf(accountId));
      if (!OPENED.has(envelope.state)) return { message, envelope, opened: null };
      const cautions: readonly Caution[] = (await contentOf(accountId, envelope))?.cautions ?? [];
      const account = await openMailAccount(keystore, accountId);
      return { message, envelope, opened: await decrypt(account, envelope, cautions) };
    },
  };
}

function idOf(folders: ReadonlyMap<number, string>, typed: string): number {
  const path = joinPath(parsePath(typed));
  for (const [id, known] of folders) if (known === path) return id;
  throw new MailboxError('no-folder');
}
