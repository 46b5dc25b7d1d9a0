/** What a client is told of what SEARCH found (RFC 3501 §7.2.5, RFC 4731 §3.1), and what is kept of it (RFC 5182). */
import type { ShownMessage } from '../../mailbox/types.ts';
import { inWindow } from '../wire/partial.ts';
import { esearchLine, searchLine } from '../wire/responses.ts';
import type { SearchReturn } from '../wire/search-commands.ts';

export interface Found {
  message: ShownMessage;
  /** From 1. */
  number: number;
}

/** No line at all when the result is only to be kept. */
export function answerOf(
  found: readonly Found[],
  ask: { name: 'SEARCH' | 'SORT'; tag: string; uid: boolean; returns: SearchReturn | null; byModseq: boolean },
): Buffer[] {
  const { tag, uid, returns } = ask;
  const numberOf = ({ message, number }: Found): number => (uid ? message.uid : number);
  const numbers = found.map(numberOf);
  if (returns === null) return [searchLine(numbers, ask.byModseq ? highest(found) : null, ask.name)];
  const { min, max, all, count, partial } = returns;
  if (!min && !max && !all && !count && partial === null) return [];
  const line = esearchLine({
    ...{ tag, uid },
    min: min ? (numbers[0] ?? null) : null,
    max: max ? (numbers.at(-1) ?? null) : null,
    all: all ? numbers : null,
    count: count ? numbers.length : null,
    modseq: ask.byModseq ? highest(savedOf(found, returns)) : null,
    partial: partial === null ? null : { range: partial, numbers: inWindow(numbers, partial) },
  });
  return [line];
}

/** What was told of, and what `$` stands for afterwards: what was asked for, and everything when that cannot be told apart (RFC 5182 §2.4). */
export function savedOf(found: readonly Found[], { min, max, all, count, partial }: SearchReturn): readonly Found[] {
  if (all || count || !(min || max || partial !== null)) return found;
  const shown = new Set([
    ...(min ? found.slice(0, 1) : []),
    ...(max ? found.slice(-1) : []),
    ...(partial === null ? [] : inWindow(found, partial)),
  ]);
  return found.filter((one) => shown.has(one));
}

/** Null when there is none (RFC 7162 §3.1.10). */
function highest(found: readonly Found[]): number | null {
  return found.reduce<number | null>((last, { message }) => Math.max(last ?? 0, message.revision), null);
}
