/**
 * Sequence sets (RFC 3501 §9: sequence-set): read, resolved against a mailbox without expanding `1:4294967295`, and
 * written compactly. Resolving costs O(ranges × log messages).
 */
import { WireError } from './wire-error.ts';

/** The largest number of a message or UID (RFC 3501 §9: nz-number). */
export const MAX_NUMBER = 4_294_967_295;
/** Stands for `*`, the largest number in use. */
export const STAR = Number.POSITIVE_INFINITY;

/** Both ends belong to the range, and either may be the larger or STAR. */
export interface SetRange {
  first: number;
  last: number;
}

/** At least one range, in the order sent. */
export type SequenceSet = readonly SetRange[];

/** `$`: what the last SEARCH with SAVE found (RFC 5182 §2). It is known by its identity; only the session can resolve it. */
export const SAVED: SequenceSet = Object.freeze([]);

/** Positions in an array: `start` belongs to the range, `end` does not. */
export interface IndexRange {
  start: number;
  end: number;
}

const ELEMENT = /^(\d{1,10}|\*)(?::(\d{1,10}|\*))?$/;

/** Reads `3,5:7,9:*`. Throws WireError `SYNTAX`. */
export function parseSequenceSet(text: string): SequenceSet {
  return text.split(',').map(parseElement);
}

/** Positions of the set's UIDs in `uids`, which ascend: merged, ascending. UIDs that are not there match nothing. */
export function resolveUids(set: SequenceSet, uids: ArrayLike<number>): IndexRange[] {
  const largest = uids.length === 0 ? 0 : (uids[uids.length - 1] ?? 0);
  if (largest === 0) return [];
  const found = set.map((range) => {
    const { low, high } = ordered(range, largest);
    return { start: lowerBound(uids, low), end: lowerBound(uids, high + 1) };
  });
  return merge(found);
}

/**
 * Positions (from 0) of the set's message sequence numbers (from 1) in a mailbox of `count` messages. `outOfRange`
 * tells that the client named a message that is not there, which a server may answer with BAD.
 */
export function resolveSequence(set: SequenceSet, count: number): { ranges: IndexRange[]; outOfRange: boolean } {
  let outOfRange = false;
  const found = set.map((range) => {
    const { low, high } = ordered(range, count);
    if (high > count || low < 1) outOfRange = true;
    return { start: Math.max(low, 1) - 1, end: Math.min(high, count) };
  });
  return { ranges: merge(found), outOfRange };
}

/** Every position of the ranges, ascending. */
export function* indexesOf(ranges: readonly IndexRange[]): Generator<number> {
  for (const { start, end } of ranges) for (let index = start; index < end; index += 1) yield index;
}

/** True when `number` belongs to the set, `*` meaning `largest`. */
export function setContains(set: SequenceSet, number: number, largest: number): boolean {
  return set.some((range) => {
    const { low, high } = ordered(range, largest);
    return number >= low && number <= high;
  });
}

/** Writes numbers as a set, in their order; ascending neighbours become ranges. Empty input gives an empty string. */
export function formatSequenceSet(numbers: ArrayLike<number>): string {
  const parts: string[] = [];
  for (let index = 0; index < numbers.length; ) {
    const first = numbers[index] ?? 0;
    let length = 1;
    while (numbers[index + length] === first + length) length += 1;
    parts.push(length === 1 ? String(first) : `${first}:${first + length - 1}`);
    index += length;
  }
  return parts.join(',');
}

/** How many numbers an ascending set without `*` holds; null when it is no such set. */
export function countOfAscending(set: SequenceSet): number | null {
  let count = 0;
  let previous = 0;
  for (const { first, last } of set) {
    if (first <= previous || last < first || last === STAR) return null;
    count += last - first + 1;
    previous = last;
  }
  return count;
}

/** The numbers of an ascending set, one by one: it may hold more of them than fit in memory. */
export function* numbersOf(set: SequenceSet): Generator<number> {
  for (const { first, last } of set) for (let number = first; number <= last; number += 1) yield number;
}

/**
 * The ranges of numbers from `least` to `most` that belong to the set and are not in `present`, which ascends. `*` means
 * `most`. Costs O(ranges + present).
 */
export function absentRanges(
  set: SequenceSet,
  present: ArrayLike<number>,
  { least, most }: { least: number; most: number },
): SetRange[] {
  const absent: SetRange[] = [];
  const wanted = set.map((range) => ordered(range, most)).map(({ low, high }) => ({ start: low, end: high + 1 }));
  for (const { start, end } of merge(wanted)) {
    let first = Math.max(start, least);
    const last = Math.min(end - 1, most);
    for (let at = lowerBound(present, first); (present[at] ?? STAR) <= last; at += 1) {
      const there = present[at] ?? 0;
      if (there > first) absent.push({ first, last: there - 1 });
      first = there + 1;
    }
    if (first <= last) absent.push({ first, last });
  }
  return absent;
}

/** Writes ranges of plain numbers. */
export function formatRanges(ranges: readonly SetRange[]): string {
  return ranges.map(({ first, last }) => (first === last ? String(first) : `${first}:${last}`)).join(',');
}

function parseElement(text: string): SetRange {
  const match = ELEMENT.exec(text);
  if (match === null) throw new WireError('SYNTAX', 'Invalid sequence set');
  const first = parseBound(match[1] ?? '');
  return { first, last: match[2] === undefined ? first : parseBound(match[2]) };
}

function parseBound(text: string): number {
  if (text === '*') return STAR;
  const number = Number(text);
  if (number < 1 || number > MAX_NUMBER) throw new WireError('SYNTAX', 'Sequence number out of range');
  return number;
}

function ordered(range: SetRange, largest: number): { low: number; high: number } {
  const first = range.first === STAR ? largest : range.first;
  const last = range.last === STAR ? largest : range.last;
  return { low: Math.min(first, last), high: Math.max(first, last) };
}

/** The first position whose value is at least `value`. */
function lowerBound(values: ArrayLike<number>, value: number): number {
  let low = 0;
  let high = values.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((values[middle] ?? 0) < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

function merge(ranges: IndexRange[]): IndexRange[] {
  const merged: IndexRange[] = [];
  for (const range of ranges.filter(({ start, end }) => start < end).sort((a, b) => a.start - b.start)) {
    const previous = merged.at(-1);
    if (previous !== undefined && range.start <= previous.end) previous.end = Math.max(previous.end, range.end);
    else merged.push(range);
  }
  return merged;
}
