/** Why keys or passwords could not be had. */
export type KeystoreErrorCode =
  /** No such account, or its secrets are not kept here. */
  | 'unknown-account'
  /** The account key is wrapped by something that is not at hand. */
  | 'locked'
  /** The server key does not open what this database holds. */
  | 'wrong-server-key'
  | 'server-key-missing'
  /** The file may be read by others than its owner. */
  | 'server-key-mode'
  | 'server-key-form'
  /** A sealed value was changed, moved to another place, or belongs to another account. */
  | 'damaged'
  | 'password-length'
  /** More logins at once than can be checked in bounded memory; come again. */
  | 'busy';

export class KeystoreError extends Error {
  override readonly name = 'KeystoreError';
  readonly code: KeystoreErrorCode;

  constructor(code: KeystoreErrorCode, options: { cause?: unknown } = {}) {
    super(code, options);
    this.code = code;
  }
}
