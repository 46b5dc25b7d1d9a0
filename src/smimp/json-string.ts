/**
 * String literals of strict JSON (RFC 8259 §7, RFC 7493 §2.1). The first pass finds the end and refuses
 * what is wrong in plain text; only a string with escapes takes a second pass, into a buffer no longer than
 * the literal. The bytes are known to be UTF-8.
 */
import { Buffer } from 'node:buffer';
import { ProfileError, type ProfileErrorCode } from './errors.ts';

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const LETTER_U = 0x75;

function fail(code: ProfileErrorCode): never {
  throw new ProfileError(code);
}

/** What `\x` stands for, by the byte x; 0 where there is no such escape. */
const SHORT_ESCAPES = new Uint8Array(256);
for (const [letter, byte] of [
  ['"', 0x22],
  ['\\', 0x5c],
  ['/', 0x2f],
  ['b', 0x08],
  ['f', 0x0c],
  ['n', 0x0a],
  ['r', 0x0d],
  ['t', 0x09],
] as const) {
  SHORT_ESCAPES[letter.charCodeAt(0)] = byte;
}

/** U+FDD0–U+FDEF and the last two code points of every plane (Unicode 15, chapter 23.7). */
function isNoncharacter(codePoint: number): boolean {
  return (codePoint & 0xfffe) === 0xfffe || (codePoint >= 0xfdd0 && codePoint <= 0xfdef);
}

/** Whether the UTF-8 sequence that begins at `at` (first byte EF or above) is a noncharacter. */
function isNoncharacterAt(bytes: Buffer, at: number): boolean {
  const b0 = bytes[at] ?? 0;
  const b1 = (bytes[at + 1] ?? 0) & 0x3f;
  const b2 = (bytes[at + 2] ?? 0) & 0x3f;
  if (b0 < 0xf0) return isNoncharacter(((b0 & 0x0f) << 12) | (b1 << 6) | b2);
  return isNoncharacter(((b0 & 0x07) << 18) | (b1 << 12) | (b2 << 6) | ((bytes[at + 3] ?? 0) & 0x3f));
}

type Literal = { start: number; closing: number; ascii: boolean; escaped: boolean };

/** The text of the literal whose first byte after the quote is at `start`, and the position after its closing quote. */
export function readString(bytes: Buffer, start: number): { text: string; end: number } {
  const literal = scan(bytes, start);
  return { text: textOf(bytes, literal), end: literal.closing + 1 };
}

/** As readString; a plain literal of at least `viewFromBytes` bytes is given as a view of its ASCII bytes. */
export function readText(bytes: Buffer, start: number, viewFromBytes: number): { text: string | Buffer; end: number } {
  const literal = scan(bytes, start);
  const { closing, ascii, escaped } = literal;
  const isView = ascii && !escaped && closing - start >= viewFromBytes;
  return { text: isView ? bytes.subarray(start, closing) : textOf(bytes, literal), end: closing + 1 };
}

function textOf(bytes: Buffer, { start, closing, ascii, escaped }: Literal): string {
  if (escaped) return unescaped(bytes.subarray(start, closing));
  return bytes.toString(ascii ? 'latin1' : 'utf8', start, closing);
}

/** Finds the closing quote. */
function scan(bytes: Buffer, start: number): Literal {
  let ascii = true;
  let escaped = false;
  for (let at = start; ; at++) {
    const byte = bytes[at];
    if (byte === undefined || byte < 0x20) fail('json-syntax');
    if (byte === QUOTE) return { start, closing: at, ascii, escaped };
    if (byte === BACKSLASH) {
      escaped = true;
      at++;
    } else if (byte >= 0x80) {
      ascii = false;
      if (byte >= 0xef && isNoncharacterAt(bytes, at)) fail('json-noncharacter');
    }
  }
}

function hexDigit(byte: number | undefined): number {
  if (byte === undefined) fail('json-syntax');
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const lower = byte | 0x20;
  if (lower >= 0x61 && lower <= 0x66) return lower - 0x57;
  return fail('json-syntax');
}

/** The four hex digits at `at`. */
function hexUnit(raw: Buffer, at: number): number {
  return (
    (hexDigit(raw[at]) << 12) | (hexDigit(raw[at + 1]) << 8) | (hexDigit(raw[at + 2]) << 4) | hexDigit(raw[at + 3])
  );
}

/** The code point whose `\u` has its digits at `at`, and where its escape or pair of escapes ends. */
function escapedCodePoint(raw: Buffer, at: number): { codePoint: number; end: number } {
  const unit = hexUnit(raw, at);
  if (unit < 0xd800 || unit > 0xdfff) return { codePoint: unit, end: at + 4 };
  if (unit > 0xdbff || raw[at + 4] !== BACKSLASH || raw[at + 5] !== LETTER_U) fail('json-lone-surrogate');
  const low = hexUnit(raw, at + 6);
  if (low < 0xdc00 || low > 0xdfff) fail('json-lone-surrogate');
  return { codePoint: 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00), end: at + 10 };
}

/** Writes one code point as UTF-8 and returns the position after it. Never longer than its escape. */
function writeCodePoint(out: Buffer, at: number, codePoint: number): number {
  if (codePoint < 0x80) {
    out[at] = codePoint;
    return at + 1;
  }
  if (codePoint < 0x800) {
    out[at] = 0xc0 | (codePoint >> 6);
    out[at + 1] = 0x80 | (codePoint & 0x3f);
    return at + 2;
  }
  const tail = codePoint < 0x10000 ? at : at + 1;
  if (codePoint < 0x10000) out[at] = 0xe0 | (codePoint >> 12);
  else {
    out[at] = 0xf0 | (codePoint >> 18);
    out[at + 1] = 0x80 | ((codePoint >> 12) & 0x3f);
  }
  out[tail + 1] = 0x80 | ((codePoint >> 6) & 0x3f);
  out[tail + 2] = 0x80 | (codePoint & 0x3f);
  return tail + 3;
}

function unescaped(raw: Buffer): string {
  const out = Buffer.allocUnsafe(raw.length);
  let length = 0;
  for (let at = 0; at < raw.length; ) {
    const byte = raw[at] as number;
    if (byte !== BACKSLASH) {
      out[length++] = byte;
      at++;
      continue;
    }
    const letter = raw[at + 1] as number;
    if (letter === LETTER_U) {
      const { codePoint, end } = escapedCodePoint(raw, at + 2);
      if (isNoncharacter(codePoint)) fail('json-noncharacter');
      length = writeCodePoint(out, length, codePoint);
      at = end;
    } else {
      const short = SHORT_ESCAPES[letter];
      if (!short) fail('json-syntax');
      out[length++] = short;
      at += 2;
    }
  }
  return out.toString('utf8', 0, length);
}
