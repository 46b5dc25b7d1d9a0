/** Why the client library could not do what it was asked. Beside it stand RemoteError, ProfileError and IdentityError. */
export type ClientErrorCode =
  /** Whoever stores the state threw; the cause says why. Nothing was published that needs it. */
  | 'not-saved'
  /** The own domain does not speak SMIMP, or its server cannot be reached now. */
  | 'no-home'
  /** The account is not what this state knows: another history, or other keys. Nothing was changed. */
  | 'other-account'
  /** The one-time code was refused, or is used up. */
  | 'code-refused'
  /** The server kept changing while this client tried to change the same thing. */
  | 'conflict'
  /** There is no non-ephemeral key of one's own. */
  | 'no-key';

export class ClientError extends Error {
  override readonly name = 'ClientError';
  readonly code: ClientErrorCode;

  constructor(code: ClientErrorCode, options: { cause?: unknown } = {}) {
    super(code, options);
    this.code = code;
  }
}
