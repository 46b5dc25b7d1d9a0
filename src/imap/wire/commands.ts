/**
 * Every command of IMAP4rev1 (RFC 3501 §6) and of the extensions LITERAL+ (7888), SASL-IR (4959), UIDPLUS (4315),
 * MOVE (6851), IDLE (2177), ID (2971), NAMESPACE (2342), ENABLE (5161), UNSELECT (3691), CONDSTORE and QRESYNC (7162),
 * ESEARCH (4731), SEARCHRES (5182), WITHIN (5032), PARTIAL (9394), LIST-EXTENDED (5258), LIST-STATUS (5819),
 * BINARY (3516), PREVIEW (8970), SAVEDATE (8514), MULTIAPPEND (3502), REPLACE (8508), UNAUTHENTICATE (8437), COMPRESS (4978), SPECIAL-USE (6154),
 * STATUS=SIZE (8438), APPENDLIMIT (7889), OBJECTID (8474), QUOTA (2087), SORT and THREAD (5256, 5957, 5267), NOTIFY
 * (5465), as checked values.
 */
import type { ImapDateTime } from './date-time.ts';
import type { FetchItem } from './fetch-items.ts';
import type { MailboxName } from './mailbox-name.ts';
import type { PartialRange } from './partial.ts';
import type { SearchCommand, SortCommand, ThreadCommand } from './search-commands.ts';
import type { SequenceSet } from './sets.ts';

export type SimpleCommandName =
  | 'CAPABILITY'
  | 'NOOP'
  | 'LOGOUT'
  | 'STARTTLS'
  | 'CHECK'
  | 'CLOSE'
  | 'UNSELECT'
  | 'NAMESPACE'
  | 'UNAUTHENTICATE'
  | 'IDLE';

export type MailboxCommandName = 'DELETE' | 'SUBSCRIBE' | 'UNSUBSCRIBE';

/** RFC 3501 §6.3.10, RFC 7162 §3.1.7, RFC 7889 §3.2, RFC 8438, RFC 8474 §4.3. */
export type StatusItem =
  | 'MESSAGES'
  | 'RECENT'
  | 'UIDNEXT'
  | 'UIDVALIDITY'
  | 'UNSEEN'
  | 'DELETED'
  | 'SIZE'
  | 'HIGHESTMODSEQ'
  | 'APPENDLIMIT'
  | 'MAILBOXID';

/** Selection options of LIST (RFC 5258 §3.1, RFC 6154 §5.2). */
export type ListSelection = 'SUBSCRIBED' | 'REMOTE' | 'RECURSIVEMATCH' | 'SPECIAL-USE';
/** Return options of LIST (RFC 5258 §3.2, RFC 6154 §5.2). */
export type ListReturn = 'SUBSCRIBED' | 'CHILDREN' | 'SPECIAL-USE';

export interface ListCommand {
  name: 'LIST';
  selection: ListSelection[];
  reference: MailboxName;
  /** More than one only in the extended form. */
  patterns: MailboxName[];
  returns: ListReturn[];
  /** What STATUS would tell of each mailbox (RFC 5819); none when it was not asked for. */
  status: StatusItem[];
  /** True when any option was given: then the answer follows RFC 5258 rather than RFC 3501. */
  extended: boolean;
}

/** What a client knows of a mailbox that it selects again (RFC 7162 §3.2.5). */
export interface Resync {
  uidValidity: number;
  modseq: number;
  /** Ascending, without `*`; null for all. */
  knownUids: SequenceSet | null;
  /** Message numbers and their UIDs, equally many of each, ascending, without `*`. */
  match: { numbers: SequenceSet; uids: SequenceSet } | null;
}

export interface SelectCommand {
  name: 'SELECT' | 'EXAMINE';
  mailbox: MailboxName;
  /** RFC 7162 §3.1.8. */
  condstore: boolean;
  qresync: Resync | null;
}

/** At least one message, each empty for a client that changed its mind (RFC 3502 §6.3.11). */
export interface AppendCommand {
  name: 'APPEND';
  mailbox: MailboxName;
  messages: AppendMessage[];
}

/** RFC 8508 §3.1: one message takes the place of another. */
export interface ReplaceCommand {
  name: 'REPLACE';
  uid: boolean;
  /** Number or UID of the message that goes; one range of one, maybe `*`. */
  set: SequenceSet;
  mailbox: MailboxName;
  message: AppendMessage;
}

export interface AppendMessage {
  flags: string[];
  internalDate: ImapDateTime | null;
  message: Buffer;
  /** True when the message came as a literal8 in `UTF8 (…)` (RFC 6855 §4). */
  utf8: boolean;
}

/** RFC 5465 §5. */
export type NotifyEvent = 'MessageNew' | 'MessageExpunge' | 'FlagChange' | 'MailboxName' | 'SubscriptionChange';

/** Which mailboxes (RFC 5465 §6); `names` only for `subtree` and `mailboxes`. */
export interface NotifyFilter {
  type: 'selected' | 'selected-delayed' | 'inboxes' | 'personal' | 'subscribed' | 'subtree' | 'mailboxes';
  names: MailboxName[];
}

export interface NotifyGroup {
  filter: NotifyFilter;
  /** None for NONE. */
  events: NotifyEvent[];
  /** What is told of each new message of the selected mailbox. */
  items: FetchItem[];
  /** True when an event was named that is not among those above. */
  unknown: boolean;
}

export interface NotifyCommand {
  name: 'NOTIFY';
  /** Null for NONE. */
  groups: NotifyGroup[] | null;
  status: boolean;
}

export interface FetchCommand {
  name: 'FETCH';
  uid: boolean;
  set: SequenceSet;
  /** Macros are expanded. UID is in the list when `uid` is true. */
  items: FetchItem[];
  /** UID is in the list because the client named it. */
  asksUid?: true;
  /** Only messages with a greater mod-sequence (RFC 7162 §3.1.4.1). MODSEQ is in the list then. */
  changedSince: number | null;
  /** UIDs of the set that left the mailbox since are told, too (RFC 7162 §3.2.6). */
  vanished: boolean;
  /** Only these of the messages that all else left over (RFC 9394 §3.2). */
  partial: PartialRange | null;
}

export interface StoreCommand {
  name: 'STORE';
  uid: boolean;
  set: SequenceSet;
  mode: 'replace' | 'add' | 'remove';
  silent: boolean;
  flags: string[];
  /** Only messages whose mod-sequence is not greater (RFC 7162 §3.1.3). */
  unchangedSince: number | null;
}

export type CommandBody =
  | { name: SimpleCommandName }
  | { name: MailboxCommandName; mailbox: MailboxName }
  | SelectCommand
  /** `initialResponse` is decoded from base64; empty when the client sent `=` (RFC 4959 §3). */
  | { name: 'AUTHENTICATE'; mechanism: string; initialResponse: Buffer | null }
  | { name: 'COMPRESS'; mechanism: string }
  | { name: 'LOGIN'; user: string; password: string }
  /** `specialUse` holds attributes such as `\Sent` asked for with USE (RFC 6154 §3). */
  | { name: 'CREATE'; mailbox: MailboxName; specialUse: string[] }
  | { name: 'RENAME'; from: MailboxName; to: MailboxName }
  | ListCommand
  | { name: 'LSUB'; reference: MailboxName; pattern: MailboxName }
  | { name: 'STATUS'; mailbox: MailboxName; items: StatusItem[] }
  | AppendCommand
  | ReplaceCommand
  /** `set` only in UID EXPUNGE (RFC 4315 §2.1). */
  | { name: 'EXPUNGE'; uid: boolean; set: SequenceSet | null }
  | SearchCommand
  | SortCommand
  | ThreadCommand
  | NotifyCommand
  | FetchCommand
  | StoreCommand
  | { name: 'COPY' | 'MOVE'; uid: boolean; set: SequenceSet; mailbox: MailboxName }
  /** RFC 2087 §4. */
  | { name: 'GETQUOTA' | 'SETQUOTA'; root: string }
  | { name: 'GETQUOTAROOT'; mailbox: MailboxName }
  | { name: 'ID'; fields: [field: string, value: string | null][] | null }
  | { name: 'ENABLE'; capabilities: string[] };

/** One command. The tag is echoed in its answer. */
export type Command = { tag: string } & CommandBody;
export type CommandName = CommandBody['name'];
