/** How text is read and written on a connection: what its client turned on decides (RFC 6855 §3; RFC 9051 §4.3, §5.1). */
export interface Dialect {
  /** Mailbox names stand in UTF-8 and quoted strings may hold it. Else names are in modified UTF-7, other text in literals. */
  readonly utf8: boolean;
}

/** Until a client turns something on (RFC 3501). */
export const ASCII: Dialect = { utf8: false };
export const UTF8: Dialect = { utf8: true };
