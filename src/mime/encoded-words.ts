/**
 * Encoded words (RFC 2047 §2, with the language of RFC 2231 §5), read as they are written in practice: too long, with spaces,
 * without white space between them, cut within a character. Total, and linear for all that is not bounded by a word.
 */
import { Buffer } from 'node:buffer';
import { decodeBytes } from './text.ts';

/** RFC 2047 §2 allows 75; programs that do not fold write whole subjects as one. */
const MAX_WORD_CHARS = 2_000;
const WORD = new RegExp(`=\\?([^?\\s=]{1,60})\\?([bq])\\?([^\\r\\n]{0,${MAX_WORD_CHARS}}?)\\?=`, 'gi');

type Open = { charset: string; bytes: Buffer[] };

/** Text with its words decoded. White space between two words is none (RFC 2047 §6.2). */
export function decodeWords(text: string): string {
  if (!text.includes('=?')) return text;
  let decoded = '';
  let open: Open | null = null;
  let from = 0;
  for (const match of text.matchAll(WORD)) {
    const between = text.slice(from, match.index);
    const charset = (match[1] ?? '').replace(/\*.*$/, '').toLowerCase();
    const bytes = wordBytes(match[2] ?? '', match[3] ?? '');
    const adjacent = open !== null && /^\s*$/.test(between);
    if (open !== null && adjacent && open.charset === charset) open.bytes.push(bytes);
    else {
      decoded += closed(open) + (adjacent ? '' : between);
      open = { charset, bytes: [bytes] };
    }
    from = match.index + match[0].length;
  }
  return decoded + closed(open) + text.slice(from);
}

/** Together, because a character may begin in one word and end in the next. */
function closed(open: Open | null): string {
  return open === null ? '' : decodeBytes(Buffer.concat(open.bytes), open.charset);
}

function wordBytes(encoding: string, text: string): Buffer {
  if (encoding.toLowerCase() === 'b') return Buffer.from(text, 'base64');
  const escaped = text
    .replaceAll('_', ' ')
    .replace(/=([0-9a-f]{2})/gi, (_all, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  // A character beyond a byte was decoded before, where no encoding was needed.
  return Buffer.from(escaped, /[^\x00-\xff]/.test(escaped) ? 'utf8' : 'latin1');
}
