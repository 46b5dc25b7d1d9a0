/**
 * Counts that forget: each event counts 1 when it happens and less with every day, to a third after one memory. One number
 * and its time stand for a whole window: nothing to sum up, no edge at which a window begins anew.
 *
 * The function `worn` of the database (store/migrations/0003-proof-of-work.ts) does the same, with the same two memories; a
 * test holds the two together.
 */

export const DAY_MS = 86_400_000;
/** What `…_per_day` remembers, and what a usual day is taken from. */
export const DAY_MEMORY = 1;
export const MONTH_MEMORY = 30;
/** Below this a count is none, so that no product ever gets too small for a double. */
const LEAST_COUNT = 0.01;
/** After so many memories, e^-30, nothing is left of any count. */
const MEMORIES_KEPT = 30;

/** What is left of `value` after `elapsedMs`, for a memory of so many days. Time does not run backward. */
export function worn(value: number, elapsedMs: number, memoryDays: number): number {
  const memories = Math.max(0, elapsedMs) / (memoryDays * DAY_MS);
  return value < LEAST_COUNT || memories > MEMORIES_KEPT ? 0 : value * Math.exp(-memories);
}
