/** How many may come, and how large a message may be. Each is an option of the server. */
export interface ImapLimits {
  messageBytes: number;
  connections: number;
  connectionsPerAddress: number;
  connectionsPerAccount: number;
}

/** What one connection may cost. Each is an option of the server (`imap.limits` in the configuration). */
export interface SessionLimits {
  /** Nobody types so fast, and no program needs to. */
  commandsPerMinute: number;
  /** Literals of one command, and bytes of one that is no message. */
  literals: number;
  literalBytes: number;
  /** Keys times messages of one search, a range of numbers counting as a key. */
  searchSteps: number;
  /** Bytes of messages that one search opens, for BODY, TEXT and headers that the index does not hold. */
  searchBytes: number;
  /** Wrong passwords before the connection is closed; the account and the address are slowed besides. */
  loginFailures: number;
  /** Who makes more mistakes in a row is no mail program. */
  badCommands: number;
  /** What a client compresses (RFC 4978) unfolds to this many times its bytes at most: mail to ten times, zeros to a thousand. */
  unfoldRatio: number;
  /** So much a connection may send beyond that: a message or two of nothing but zeros. */
  unfoldFreeBytes: number;
}

const KIB = 1024;
const MIB = 1024 * KIB;

export const DEFAULT_SESSION_LIMITS: Readonly<SessionLimits> = {
  commandsPerMinute: 100_000,
  literals: 64,
  literalBytes: 64 * KIB,
  // A hundred keys in a folder of 100,000 messages are ten million.
  searchSteps: 50_000_000,
  searchBytes: 4096 * MIB,
  loginFailures: 5,
  badCommands: 20,
  unfoldRatio: 200,
  unfoldFreeBytes: 64 * MIB,
};

/** Before a login: a client sends its next command at once, a person does not type here. */
export const UNAUTHENTICATED_TIMEOUT_MS = 60_000;
/** RFC 3501 §5.4: at least 30 minutes. */
export const IDLE_TIMEOUT_MS = 31 * 60_000;
/** Messages whose indexes are taken at once from the database. */
export const LIST_BATCH = 200;
/** Messages whose bytes a search brings at once, while it looks into as many others. */
export const READ_AHEAD = 100;
/** Received bytes that wait while a command is being worked on; then the socket is no longer read. */
export const MAX_BUFFERED_BYTES = 256 * 1024;
/** Given to the socket at once; more waits until the client has taken it. */
export const WRITE_BYTES = 256 * 1024;
/** Answers that the client does not take in this time end the connection. */
export const WRITE_TIMEOUT_MS = 120_000;
/** A line of a stranger: ID alone may say 30 names of 30 and values of 1,024 bytes (RFC 2971 §3.3). */
export const UNAUTHENTICATED_LINE_BYTES = 36 * 1024;
/** A literal of a stranger: user name or password. */
export const UNAUTHENTICATED_LITERAL_BYTES = 1_024;
/** What the decoder takes before a login. Small literals need not be asked for (RFC 7888 §5: LITERAL-). */
export const STRANGER_LIMITS = {
  literalBytes: UNAUTHENTICATED_LITERAL_BYTES,
  nonSyncLiteralBytes: 4_096,
  appendLiteralBytes: 0,
  lineBytes: UNAUTHENTICATED_LINE_BYTES,
};
/** … and after it: literals of any size need not be asked for (LITERAL+). */
export const knownLimits = (by: { limits: Pick<ImapLimits, 'messageBytes'>; sessionLimits: SessionLimits }) => ({
  literals: by.sessionLimits.literals,
  literalBytes: by.sessionLimits.literalBytes,
  lineBytes: 64 * KIB,
  nonSyncLiteralBytes: Number.MAX_SAFE_INTEGER,
  appendLiteralBytes: by.limits.messageBytes,
});
/** Groups of events of one NOTIFY (RFC 5465), and mailboxes named in them. */
export const MAX_NOTIFY_GROUPS = 20;
export const MAX_NOTIFY_NAMES = 100;
/** Mailboxes of which something is told at once. When more changed the client looks for itself. */
export const MAX_NOTIFICATIONS = 100;
/** A search that takes longer says how far it is, this often: shorter than the patience of any client. */
export const PROGRESS_EVERY_MS = 10_000;
