/** The one error of the wire layer: what a client sent cannot be read, or is more than it may send. */

/**
 * `SYNTAX` and `UNKNOWN_COMMAND` and the `TOO_…` codes are answered with BAD, `LITERAL_TOO_BIG` with NO [TOOBIG]
 * (RFC 7889 §4 uses it for APPEND), `BAD_CHARSET` with NO [BADCHARSET], `BAD_MAILBOX_NAME` with NO [CANNOT].
 */
export type WireErrorCode =
  | 'SYNTAX'
  | 'UNKNOWN_COMMAND'
  | 'BAD_CHARSET'
  | 'BAD_MAILBOX_NAME'
  | 'LITERAL_TOO_BIG'
  | 'TOO_MANY_LITERALS'
  | 'COMMAND_TOO_BIG'
  | 'LINE_TOO_LONG'
  | 'TOO_MUCH_DISCARDED'
  | 'TOO_DEEP'
  | 'TOO_MANY_TOKENS';

/** `message` is shown to the client; it never repeats what the client sent. */
export class WireError extends Error {
  override readonly name = 'WireError';
  readonly code: WireErrorCode;

  constructor(code: WireErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
