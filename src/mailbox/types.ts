/** A mailbox as a mail program works with it: what mailbox.ts gives. IMAP is built on this and on nothing below it. */
import type { MessageIndex } from '../mime/structure/types.ts';
import type { FlagChange } from './flags.ts';
import type { Folder } from './folder-tree.ts';
import type { Folders } from './folders.ts';
import type { InternalDate } from './rendering.ts';

/** A message in a folder. Flags are canonical; `\Seen` is among them. */
export interface ShownMessage {
  readonly uid: number;
  readonly messageId: Buffer;
  readonly flags: readonly string[];
}

/** What is listed of a message without opening it. */
export interface ListedMessage {
  readonly index: MessageIndex;
  readonly internalDate: InternalDate;
}

/** What happened in a folder since the last look. `removed` are UIDs. */
export interface FolderChanges {
  readonly removed: readonly number[];
  /** Ascending. Those the view did not know are new. */
  readonly changed: readonly ShownMessage[];
}

/** Where messages went: UIDs in the old and the new folder, in corresponding order. */
export interface Transferred {
  readonly uidValidity: number;
  readonly source: readonly number[];
  readonly target: readonly number[];
}

/** One folder as somebody looks at it. Messages that another removed meanwhile are passed over by every operation. */
export interface FolderView {
  readonly folder: Folder;
  /** All messages at the time of opening, ascending by UID. */
  readonly opened: readonly ShownMessage[];
  /** What changed since the last call, or since the opening. */
  refresh(): Promise<FolderChanges>;
  /** In the order asked; null where a message is gone. */
  list(messages: readonly ShownMessage[]): Promise<(ListedMessage | null)[]>;
  /** The message as mail programs see it; null where it is gone. */
  raw(message: ShownMessage): Promise<Buffer | null>;
  /** The messages as they are now, those that are still there. */
  changeFlags(messages: readonly ShownMessage[], change: FlagChange): Promise<ShownMessage[]>;
  copy(messages: readonly ShownMessage[], to: Folder): Promise<Transferred>;
  move(messages: readonly ShownMessage[], to: Folder): Promise<Transferred>;
  /** Deletes for good. */
  remove(messages: readonly ShownMessage[]): Promise<void>;
}

/** The mailbox of one account. Throws MailboxError. */
export interface AccountMailbox {
  readonly folders: Folders;
  counts(folder: Folder): Promise<{ messages: number; unseen: number }>;
  view(folder: Folder): Promise<FolderView>;
  append(message: {
    folder: Folder;
    raw: Buffer;
    flags: readonly string[];
    internalDate: InternalDate | null;
  }): Promise<{ uidValidity: number; uid: number }>;
  /** Calls back whenever something in the mailbox may have changed, also by another process. Ends when called. */
  watch(changed: () => void): () => void;
}

export interface OpenMailbox {
  /** Throws KeystoreError. */
  open(accountId: number): Promise<AccountMailbox>;
}
