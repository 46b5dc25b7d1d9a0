/** What can go wrong with a server of the old internet, and whether it may pass. Decided where it is understood. */

export type RelayErrorCode =
  /** The domain does not exist, or nothing at it takes mail. */
  | 'no-such-domain'
  /** The domain says that it takes no mail (RFC 7505). */
  | 'null-mx'
  /** DNS does not answer. */
  | 'dns'
  /** Every server of the domain lies in a range that must not be reached (SMIMP 0.1 §2.5). */
  | 'refused-address'
  /** No server of the domain can be reached, or none talks SMTP. */
  | 'smtp-connect'
  /** Encryption is required, by policy here or there, and cannot be had. */
  | 'smtp-tls'
  /** The relay that all mail goes through does not take the login. */
  | 'smtp-login'
  /** A reply that begins with 4. */
  | 'smtp-temporary'
  /** A reply that begins with 5. */
  | 'smtp-permanent'
  /** The connection was lost after the message was sent; whether it was taken, nobody knows. */
  | 'smtp-lost'
  | 'smtp-too-large'
  /** No way to write the mailbox in SMTP. */
  | 'bad-mailbox'
  /** The address needs SMTPUTF8 and the server does not have it (RFC 6531 §3.1). */
  | 'smtp-utf8';

/** What the other server said: an enhanced code, as it gave it or as its reply implies, and its words on one line. */
export interface Said {
  readonly status: string;
  readonly text: string;
}

const PERMANENT: ReadonlySet<RelayErrorCode> = new Set<RelayErrorCode>([
  'no-such-domain',
  'null-mx',
  'smtp-permanent',
  'smtp-too-large',
  'bad-mailbox',
  'smtp-utf8',
]);

export class RelayError extends Error {
  override readonly name = 'RelayError';
  readonly code: RelayErrorCode;
  readonly said: Said | null;

  constructor(code: RelayErrorCode, details: { said?: Said | null; cause?: unknown } = {}) {
    super(code, { cause: details.cause });
    this.code = code;
    this.said = details.said ?? null;
  }

  get permanent(): boolean {
    return PERMANENT.has(this.code);
  }
}
