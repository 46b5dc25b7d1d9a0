/** Why no proof of work was minted. */

export type MintErrorCode =
  /** The signal given with the request fired; its reason is the cause. */
  | 'cancelled'
  /** The minter was disposed. */
  | 'closed'
  /** More zero bits than the kernel can look for, or no natural number. */
  | 'zero-bits'
  /** The preimage is too short to hold a value. */
  | 'preimage'
  /** Threads that worked on it crashed again and again; the last reason is the cause. */
  | 'thread'
  /** A thread brought a value that does not hold. */
  | 'wrong-value';

export class MintError extends Error {
  override readonly name = 'MintError';
  readonly code: MintErrorCode;

  constructor(code: MintErrorCode, options: { cause?: unknown } = {}) {
    super(`minting: ${code}`, options);
    this.code = code;
  }
}
