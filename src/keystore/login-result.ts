/** What comes of a try to log in, by whatever mechanism. */
import type { Address } from '../smimp/address.ts';

export type LoginResult =
  | { readonly ok: true; readonly accountId: number; readonly address: Address }
  /** Let `delayMs` pass before answering. `failures`: how many in a row, for the log. */
  | { readonly ok: false; readonly delayMs: number; readonly failures: number };

/** The longest a client is kept waiting for its refusal; the rest of the delay it is refused without a look. */
export const LONGEST_ANSWER_DELAY_MS = 10_000;

export function answerDelay(delayMs: number): number {
  return Math.min(delayMs, LONGEST_ANSWER_DELAY_MS);
}
