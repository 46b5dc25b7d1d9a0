/** The owner's folders and messages at her home server (SMIMP 0.1 §5). */
import type { z } from 'zod';
import {
  type ChangesAnswer,
  type Folder,
  type FolderPage,
  type importRequest,
  MAX_FOLDER_PAGE,
  MAX_MESSAGE_REQUEST_BYTES,
  type PlacedAnswer,
} from '../smimp/api.ts';
import type { Base64, Hex32 } from '../smimp/encoding.ts';
import { type DecodedStoredEnvelope, parseStoredEnvelope } from '../smimp/envelope.ts';
import { call, callRemote, MAX_ANSWER_BYTES, readAnswer } from './call.ts';
import { RemoteError } from './errors.ts';
import type { Session } from './home.ts';
import type { Https, StreamedBody } from './https.ts';

export type ImportInput = z.input<typeof importRequest>;
/** Null is the inbox. */
export type FolderName = string | null;

export type Cancel = { signal?: AbortSignal | undefined };

/** Throws RemoteError; ProfileError for a request that the profile forbids. */
export interface MailboxCalls {
  /** All folders but the inbox, or those of one type. */
  folders(session: Session, messageType?: string): Promise<Folder[]>;
  createFolder(session: Session, folder: Folder): Promise<Folder>;
  /** Renames or moves: `name` is what it is called now. */
  changeFolder(session: Session, name: string, folder: Folder): Promise<Folder>;
  /** Of an empty folder. */
  deleteFolder(session: Session, folder: { messageType: string; name: string }): Promise<void>;
  folderPage(
    session: Session,
    folder: { messageType: string; name: FolderName; after?: number; limit?: number },
  ): Promise<FolderPage>;
  message(session: Session, id: Hex32, options?: { mark?: boolean } & Cancel): Promise<DecodedStoredEnvelope>;
  deleteMessage(session: Session, id: Hex32): Promise<void>;
  moveMessage(session: Session, id: Hex32, to: FolderName): Promise<PlacedAnswer>;
  copyMessage(session: Session, id: Hex32, to: FolderName): Promise<PlacedAnswer>;
  isRead(session: Session, id: Hex32): Promise<boolean>;
  /** The revision after it. */
  setRead(session: Session, id: Hex32, read: boolean): Promise<number>;
  /** Only if the message is at `revision`, else RemoteError `precondition_failed`. The revision after it. */
  setExtensions(session: Session, id: Hex32, change: { revision: number; data: Base64 | null }): Promise<number>;
  /** The request, or its JSON. */
  importMessage(
    session: Session,
    request: ImportInput | Buffer | StreamedBody,
    options?: Cancel,
  ): Promise<PlacedAnswer>;
  /** What happened since `cursor`; waits for it up to `waitSeconds`. */
  changes(session: Session, since: { cursor: string | null; waitSeconds?: number } & Cancel): Promise<ChangesAnswer>;
}

/** A few thousand folders with names of any length people use. */
const MAX_FOLDERS_BYTES = 8 * 1024 * 1024;
/** 500 summaries with two of the longest addresses each. */
const MAX_PAGE_BYTES = MAX_FOLDER_PAGE * 2048;
/** A page of changes holds a revision whole, and a whole folder may have been moved in one. */
const MAX_CHANGES_BYTES = 64 * 1024 * 1024;
/** A stored envelope is what was sent with some hundred bytes more, and `extensions_data` of 64 KiB in base64. */
const MAX_STORED_BYTES = MAX_MESSAGE_REQUEST_BYTES + 128 * 1024;
/** 56 MiB at 2 Mbit/s. */
const MESSAGE_TIMEOUT_MS = 240_000;
/** What a long poll may take besides its wait. */
const POLL_EXTRA_MS = 20_000;

export function mailboxCalls(https: Https, timed: { timeoutMs?: number }): MailboxCalls {
  const as = ({ baseUrl, token }: Session, maxBytes = MAX_ANSWER_BYTES) => ({ baseUrl, token, maxBytes, ...timed });
  return {
    async folders(session, messageType) {
      const ask = as(session, MAX_FOLDERS_BYTES);
      if (messageType === undefined) return (await call(https, 'get_folders', ask)).answer.folders;
      return (await call(https, 'get_folders_of_type', { ...ask, params: { type: messageType } })).answer.folders;
    },
    createFolder: async (session, folder) =>
      (await call(https, 'create_folder', { ...as(session), request: folder })).answer,
    changeFolder: async (session, name, folder) =>
      (await call(https, 'change_folder', { ...as(session), params: { name }, request: folder })).answer,
    async deleteFolder(session, { messageType: type, name }) {
      await call(https, 'delete_folder', { ...as(session), params: { type, name } });
    },
    async folderPage(session, { messageType: type, name, after, limit }) {
      const ask = { ...as(session, MAX_PAGE_BYTES), query: { after, limit } };
      if (name === null) return (await call(https, 'get_inbox', { ...ask, params: { type } })).answer;
      return (await call(https, 'get_folder', { ...ask, params: { type, name } })).answer;
    },
    async message(session, id, { mark = false, signal } = {}) {
      const ask = { ...as(session, MAX_STORED_BYTES), timeoutMs: MESSAGE_TIMEOUT_MS, signal };
      const answer = await callRemote(https, 'get_message', { ...ask, params: { id, mark: String(mark) } });
      const envelope = readAnswer(answer, parseStoredEnvelope);
      // Another message than was asked for is no answer.
      if (envelope.message_id !== id) throw new RemoteError('bad-response', { status: answer.status });
      return envelope;
    },
    async deleteMessage(session, id) {
      await call(https, 'delete_message', { ...as(session), params: { id } });
    },
    moveMessage: async (session, id, to) =>
      (await call(https, 'message_move', { ...as(session), params: { id }, request: { folder_name: to } })).answer,
    copyMessage: async (session, id, to) =>
      (await call(https, 'message_copy', { ...as(session), params: { id }, request: { folder_name: to } })).answer,
    isRead: async (session, id) =>
      (await call(https, 'get_message_read', { ...as(session), params: { id } })).answer.read,
    setRead: async (session, id, read) =>
      (await call(https, 'post_message_read', { ...as(session), params: { id }, request: { read } })).answer.revision,
    async setExtensions(session, id, { revision, data }) {
      const request = { extensions_data: data };
      const change = { ...as(session), params: { id }, request, ifMatch: `"${revision}"` };
      return (await call(https, 'message_extensions', change)).answer.revision;
    },
    async importMessage(session, request, { signal } = {}) {
      const ask = { ...as(session), timeoutMs: MESSAGE_TIMEOUT_MS, signal };
      return (await call(https, 'import_message', { ...ask, request })).answer;
    },
    async changes(session, { cursor, waitSeconds = 0, signal }) {
      const query = { cursor: cursor ?? undefined, wait: waitSeconds };
      const timeoutMs = waitSeconds * 1000 + (timed.timeoutMs ?? POLL_EXTRA_MS);
      return (await call(https, 'get_changes', { ...as(session, MAX_CHANGES_BYTES), query, timeoutMs, signal })).answer;
    },
  };
}
