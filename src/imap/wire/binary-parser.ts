/** BINARY, BINARY.PEEK and BINARY.SIZE of FETCH (RFC 3516 §4.2, §7). */
import type { CommandReader } from './command-reader.ts';
import type { FetchBinary, FetchBinarySize } from './fetch-items.ts';
import { parsePartial, partNumbers } from './part-parser.ts';

const NAMES: ReadonlySet<string> = new Set(['BINARY', 'BINARY.PEEK', 'BINARY.SIZE']);

/** The item of that name; null when it is none of these. The reader stands behind the name. */
export function parseBinary(reader: CommandReader, name: string): FetchBinary | FetchBinarySize | null {
  if (!NAMES.has(name)) return null;
  reader.expect('[');
  reader.skipSpaces();
  const { part } = partNumbers(reader);
  reader.skipSpaces();
  reader.expect(']');
  if (name === 'BINARY.SIZE') return { type: 'binary.size', part };
  return { type: 'binary', part, peek: name === 'BINARY.PEEK', partial: parsePartial(reader) };
}
