/** Why a mirror stopped, besides what its home answered. */
export type MirrorErrorCode =
  /** The home shows a message key that is not the owner's. */
  | 'foreign-key'
  /** What is stored here does not open. */
  | 'unreadable'
  /** Pull and push went on and on without an end. */
  | 'restless'
  /** The domain does not speak SMIMP. */
  | 'no-smimp'
  /** The domain's server cannot be reached. */
  | 'unreachable'
  /** The home knows the account, with another identity. */
  | 'other-identity'
  /** The account lives here, or is connected already. */
  | 'exists'
  /** The one-time code is not the right one, or was used up. */
  | 'wrong-code';

export class MirrorError extends Error {
  override readonly name = 'MirrorError';
  readonly code: MirrorErrorCode;

  constructor(code: MirrorErrorCode, options: { cause?: unknown } = {}) {
    super(code, options);
    this.code = code;
  }
}
