/**
 * The bounds of what one connection may make the decoder hold or skip. Every one is a named option, because what an
 * unauthenticated stranger may send is less than what the owner of a mailbox may send.
 */
export interface DecoderLimits {
  /** Bytes of one line between literals, line end included. Longer is fatal: there is no telling where it ends. */
  lineBytes: number;
  /** Literals in one command. */
  literals: number;
  /** Bytes of one literal other than a message of APPEND or REPLACE. */
  literalBytes: number;
  /** Bytes of one non-synchronising literal. 4096 gives LITERAL- (RFC 7888 §5); no bound gives LITERAL+. */
  nonSyncLiteralBytes: number;
  /** Bytes of all message literals of one APPEND or REPLACE. 0 until login, then the size the mailbox accepts. */
  appendLiteralBytes: number;
  /** Bytes of one command: all its lines and all its literals but the message of APPEND. */
  commandBytes: number;
  /** Bytes of refused non-synchronising literals that are skipped in one command before the connection is given up. */
  discardBytes: number;
  /** Nested parentheses, NOTs and ORs of one command. */
  depth: number;
  /** Atoms, strings and numbers of one command; a sequence set counts once. */
  tokens: number;
}

const KIB = 1024;
const MIB = 1024 * KIB;

export const DEFAULT_LIMITS: Readonly<DecoderLimits> = {
  // Clients list thousands of UIDs in one line; RFC 2683 §3.2.1.5 asks for 8000 at least.
  lineBytes: 64 * KIB,
  literals: 64,
  literalBytes: 64 * KIB,
  nonSyncLiteralBytes: Number.MAX_SAFE_INTEGER,
  // A message of 25 MB in base64 with its line ends.
  appendLiteralBytes: 36 * MIB,
  commandBytes: MIB,
  discardBytes: 64 * MIB,
  depth: 64,
  tokens: 10_000,
};
