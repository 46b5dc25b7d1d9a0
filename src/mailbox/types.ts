/** A mailbox as a mail program works with it: what mailbox.ts gives. IMAP is built on this and on nothing below it. */
import type { MessageIndex } from '../mime/structure/types.ts';
import type { FlagChange } from './flags.ts';
import type { Folder } from './folder-tree.ts';
import type { Folders } from './folders.ts';
import type { Memo } from './packed-content.ts';
import type { InternalDate } from './rendering.ts';

/** A message in a folder. Flags are canonical; `\Seen` is among them. */
export interface ShownMessage {
  readonly uid: number;
  readonly messageId: Buffer;
  /** The digest of the sealed message: copies share it (SMIMP 0.1 §2.3). */
  readonly digest: Buffer;
  /** Rises with every change of the message, and is greater than that of every earlier change in the mailbox. */
  readonly revision: number;
  readonly flags: readonly string[];
}

/** What is listed of a message without opening it. */
export interface ListedMessage {
  /** `envelope` and `structure` are parsed each time they are asked for. */
  readonly index: MessageIndex;
  readonly internalDate: InternalDate;
  /** Its first words; undefined when nobody looked for them yet. */
  readonly preview?: string;
  /** For what is made of it and will be asked for again. */
  readonly memo: Memo;
}

/** What happened in a folder since the last look. `removed` are UIDs. */
export interface FolderChanges {
  readonly removed: readonly number[];
  /** Ascending. Those the view did not know are new. */
  readonly changed: readonly ShownMessage[];
}

/** What became of a change that was to be made to unchanged messages only. */
export interface ConditionalChange {
  /** As `changeFlags` gives them. */
  readonly after: readonly ShownMessage[];
  /** UIDs of messages that are there and were changed later, by whomever; nothing was done to them. */
  readonly refused: readonly number[];
}

/** Where messages went: UIDs in the old and the new folder, in corresponding order. */
export interface Transferred {
  readonly uidValidity: number;
  readonly source: readonly number[];
  readonly target: readonly number[];
}

/** UIDs from `first` up to, not including, `end`. */
export type UidSpan = { readonly first: number; readonly end: number };

/** One folder as somebody looks at it. Messages that another removed meanwhile are passed over by every operation. */
export interface FolderView {
  readonly folder: Folder;
  /** All messages at the time of opening, ascending by UID. */
  readonly opened: readonly ShownMessage[];
  /** The same as `refresh` last told of it. A list is never changed, another one takes its place. */
  readonly messages: readonly ShownMessage[];
  /**
   * The last revision at which anything changed here, as far as `opened` and `refresh` told of it: everything up to it was
   * told, and it is at least the revision of all that was there.
   */
  readonly highestRevision: number;
  /** What changed since the last call, or since the opening. */
  refresh(): Promise<FolderChanges>;
  /**
   * Messages that no session was told of yet (RFC 3501 §2.3.2); null when there are none. With `claim` they are this
   * session's, and no other is given them.
   */
  recent(options: { claim: boolean }): Promise<UidSpan | null>;
  /** UIDs that left the folder after a revision, ascending; null when some of them are not remembered. */
  vanishedSince(revision: number): Promise<number[] | null>;
  /** In the order asked; null where a message is gone. */
  list(messages: readonly ShownMessage[]): Promise<(ListedMessage | null)[]>;
  /** When they came into the folder, in the order asked; null where a message is gone. */
  saveDates(messages: readonly ShownMessage[]): Promise<(Date | null)[]>;
  /** The conversations they belong to, in the order asked; null where a message is gone, or has none. */
  threadIds(messages: readonly ShownMessage[]): Promise<(Buffer | null)[]>;
  /** The bytes of these will be asked for, in this order, and then probably of `following`, which is not waited for. */
  prefetch(messages: readonly ShownMessage[], following?: readonly ShownMessage[]): Promise<void>;
  /** The message as mail programs see it; null where it is gone. */
  raw(message: ShownMessage): Promise<Buffer | null>;
  /**
   * The messages as they are now, those that are still there. `ready` may be called with the same while they are written: to
   * make ready what will be said of them. It is not to be said before.
   */
  changeFlags(
    messages: readonly ShownMessage[],
    change: FlagChange,
    ready?: (after: readonly ShownMessage[]) => void,
  ): Promise<ShownMessage[]>;
  /** The same, but passes over what changed after `revision`. */
  changeFlagsUnlessChanged(
    messages: readonly ShownMessage[],
    change: FlagChange,
    revision: number,
  ): Promise<ConditionalChange>;
  copy(messages: readonly ShownMessage[], to: Folder): Promise<Transferred>;
  move(messages: readonly ShownMessage[], to: Folder): Promise<Transferred>;
  /** Deletes for good; with `flag` only those that have it now. */
  remove(messages: readonly ShownMessage[], flag?: string): Promise<void>;
}

/** A message that its owner puts in. */
export interface NewMail {
  readonly raw: Buffer;
  readonly flags: readonly string[];
  readonly internalDate: InternalDate | null;
}

export type FolderCounts = { messages: number; unseen: number; recent: number; highestRevision: number };

/** By id of the folder. */
export type FolderStates = ReadonlyMap<number, FolderState>;
export type FolderState = { readonly folder: Folder; readonly counts: FolderCounts };

/** The mailbox of one account. Throws MailboxError. */
export interface AccountMailbox {
  readonly folders: Folders;
  /** By id of the folder; one that is gone is left out. `highestRevision`: of the last change in it, 0 when there was none. */
  counts(folders: readonly Folder[]): Promise<ReadonlyMap<number, FolderCounts>>;
  /** Bytes of all messages of a folder, as mail programs see them. */
  sizeBytes(folder: Folder): Promise<number>;
  /** How many messages of a folder have this flag, other than `\\Seen`. */
  countFlagged(folder: Folder, flag: string): Promise<number>;
  /** Of the whole mailbox, as the server counts it; null for no limit. */
  usage(): Promise<{ usedBytes: number; quotaBytes: number | null }>;
  view(folder: Folder): Promise<FolderView>;
  /** All of them or none, in the order of `more`. `replaces`: deleted for good in the same step; throws `expunged` when it is gone. */
  append(
    message: NewMail & {
      /** Its path, or as it was found. Throws `no-folder` and of paths. */
      folder: Folder | string;
      more?: readonly NewMail[];
      replaces?: { message: ShownMessage; folder: Folder };
    },
  ): Promise<{ folder: Folder; uidValidity: number; uids: number[] }>;
  /** Calls back whenever something in the mailbox may have changed, also by another process. Ends when called. */
  watch(changed: () => void): () => void;
  /**
   * All folders, counted, and again whenever they may have changed, but not with all that they were in between. The first
   * ones are told to `changed` as well.
   */
  followFolders(changed: (states: FolderStates) => void): { states: Promise<FolderStates>; stop: () => void };
}

export interface OpenMailbox {
  /** Throws KeystoreError. */
  open(accountId: number): Promise<AccountMailbox>;
}
