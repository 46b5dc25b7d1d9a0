/** Windows into a list of results (RFC 9394): `1:50` from the beginning, `-1:-50` from the end. */
import type { CommandReader } from './command-reader.ts';
import { MAX_NUMBER } from './sets.ts';

export interface PartialRange {
  /** Both positive or both negative, never zero; either may be the larger. */
  first: number;
  last: number;
}

const RANGE = /-?\d{1,10}:-?\d{1,10}/y;

export function parsePartialRange(reader: CommandReader): PartialRange {
  reader.space();
  const [first = 0, last = 0] = reader.pattern(RANGE, 'a range').split(':').map(Number);
  const isValid = first * last > 0 && [first, last].every((bound) => Math.abs(bound) <= MAX_NUMBER);
  if (!isValid) throw reader.syntax('Invalid range');
  return { first, last };
}

/** What the window shows of the list, in its order. */
export function inWindow<T>(results: readonly T[], { first, last }: PartialRange): T[] {
  const [low, high] = first < last ? [first, last] : [last, first];
  if (low > 0) return results.slice(low - 1, high);
  const { length } = results;
  return results.slice(Math.max(0, length + low), Math.max(0, length + high + 1));
}
