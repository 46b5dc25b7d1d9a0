/** Part numbers and ranges of bytes, as BODY and BINARY of FETCH have them (RFC 3501 §6.4.5, RFC 3516 §7). */
import type { CommandReader } from './command-reader.ts';
import type { FetchSection } from './fetch-items.ts';

/** `1.2` or `1.2.`; `closed` when no name may follow. */
export function partNumbers(reader: CommandReader): { part: number[]; closed: boolean } {
  const part: number[] = [];
  while (/^\d$/.test(reader.peek())) {
    part.push(reader.nonZeroNumber());
    if (!reader.accept('.')) return { part, closed: true };
  }
  if (part.length > 0 && reader.peek() === ']') throw reader.syntax('Section ends with a dot');
  return { part, closed: false };
}

export function parsePartial(reader: CommandReader): FetchSection['partial'] {
  if (!reader.accept('<')) return null;
  const offset = reader.number64();
  reader.expect('.');
  const count = reader.number64();
  if (count === 0) throw reader.syntax('Number must not be zero');
  reader.expect('>');
  return { offset, count };
}
