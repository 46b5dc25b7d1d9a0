/** How a check ends that was not met or could not run, and the words for it. */
export type CheckErrorCode =
  /** The server did something else than its clause says. */
  | 'unmet'
  /** Something the check stands on is not there. */
  | 'not-run'
  /** The bound on requests or time was reached. */
  | 'out-of-budget';

export class CheckError extends Error {
  override readonly name = 'CheckError';
  readonly code: CheckErrorCode;

  constructor(code: CheckErrorCode, said: string, options?: ErrorOptions) {
    super(said, options);
    this.code = code;
  }
}

/** Fails the check. Both texts are about statuses, codes and counts, never about secrets. */
export function unmet(expected: string, got: string): CheckError {
  return new CheckError('unmet', `expected ${expected}, got ${got}`);
}

export function notRun(reason: string): CheckError {
  return new CheckError('not-run', reason);
}

/** Throws unless `holds`. */
export function demand(holds: boolean, expected: string, got: string): asserts holds {
  if (!holds) throw unmet(expected, got);
}
