/**
 * Characters: what may stand in a JSON string (RFC 7493 §2.1), what may stand in one line of a header, and
 * the reading of bytes in any character set. Everything here is total: each input gives some text.
 */
import { Buffer } from 'node:buffer';
import { TextDecoder } from 'node:util';
import iconv from 'iconv-lite';

/** Lone surrogates and noncharacters; strict I-JSON refuses them (SMIMP 0.1 §1.1). */
const NONCHARACTERS = /\p{Noncharacter_Code_Point}/gu;
const LINE_ENDS = /\r\n?|[\u2028\u2029\u0085]/g;
const CONTROLS = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g;
/** Marks that reorder what follows: `exe.gpj` must not read as `jpg.exe`. */
const DIRECTION_MARKS = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;
const SPACES = /[\s\u0000]+/g;

/** Text of several lines: line ends are `\n`, no controls but tab, well-formed and free of noncharacters. */
export function cleanText(text: string): string {
  return text.toWellFormed().replace(LINE_ENDS, '\n').replace(CONTROLS, '').replace(NONCHARACTERS, '\ufffd');
}

/** Text of one line, trimmed: line ends and tabs are spaces, no controls, no direction marks. */
export function cleanLine(text: string): string {
  return cleanText(text.replace(SPACES, ' ')).replace(DIRECTION_MARKS, '').trim();
}

/** Cuts to at most `maxChars` UTF-16 units, never inside a character. */
export function truncate(text: string, maxChars: number): string {
  return text.length <= maxChars ? text : text.slice(0, maxChars).replace(/[\ud800-\udbff]$/, '');
}

/** Labels whose bytes are UTF-8 until shown otherwise. */
const UTF8_LABELS = new Set([
  '',
  'utf-8',
  'utf8',
  'us-ascii',
  'ascii',
  'ansi_x3.4-1968',
  '7bit',
  '8bit',
  'unknown-8bit',
  'x-unknown',
]);
/** Senders write these for nearly anything, above all for UTF-8. */
const LATIN1_LABELS = new Set(['iso-8859-1', 'iso8859-1', 'latin1', 'l1', 'windows-1252', 'cp1252']);
/** Not character sets of mail: UTF-7 hides markup from filters, the others are transfer encodings. */
const REFUSED_LABELS = /^(?:(?:cs)?unicode-?1-?1-?)?utf-?7|^(?:base64|hex|binary)$/;
/** ISO-2022-JP is 7-bit; its escape gives it away under any label. */
const JAPANESE_ESCAPE = /\x1b\$[@B]/;

/** Bytes to text by the label of the sender, corrected where the bytes contradict it. Never throws. */
export function decodeBytes(bytes: Uint8Array, label: string | null): string {
  const charset = (label ?? '')
    .trim()
    .toLowerCase()
    .replace(/^["']|["']$/g, '');
  if (UTF8_LABELS.has(charset)) return decodeUnlabelled(bytes);
  if (LATIN1_LABELS.has(charset)) return validUtf8(bytes) ?? decodeWith('windows-1252', bytes) ?? '';
  if (REFUSED_LABELS.test(charset)) return decodeUnlabelled(bytes);
  return decodeWith(charset, bytes) ?? decodeWithIconv(charset, bytes) ?? decodeUnlabelled(bytes);
}

/** UTF-8 if the bytes are; ISO-2022-JP by its escape; broken UTF-8 with marks; else windows-1252. */
function decodeUnlabelled(bytes: Uint8Array): string {
  const utf8 = validUtf8(bytes);
  if (utf8 !== null) return JAPANESE_ESCAPE.test(utf8) ? (decodeWith('iso-2022-jp', bytes) ?? utf8) : utf8;
  const marked = new TextDecoder('utf-8').decode(bytes);
  const broken = count(marked, /\ufffd/g);
  const sound = count(marked, /[^\u0000-\u007f\ufffd]/g);
  return broken <= sound ? marked : (decodeWith('windows-1252', bytes) ?? marked);
}

function count(text: string, pattern: RegExp): number {
  let found = 0;
  for (const _match of text.matchAll(pattern)) found += 1;
  return found;
}

function validUtf8(bytes: Uint8Array): string | null {
  return tryDecoder(() => new TextDecoder('utf-8', { fatal: true }), bytes);
}

function decodeWith(charset: string, bytes: Uint8Array): string | null {
  return tryDecoder(() => new TextDecoder(charset), bytes);
}

/** `null` when the label is unknown (RangeError) or the bytes are not of that charset (TypeError). */
function tryDecoder(create: () => TextDecoder, bytes: Uint8Array): string | null {
  try {
    return create().decode(bytes);
  } catch (error) {
    if (error instanceof RangeError || error instanceof TypeError) return null;
    throw error;
  }
}

function decodeWithIconv(charset: string, bytes: Uint8Array): string | null {
  if (!iconv.encodingExists(charset)) return null;
  return iconv.decode(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength), charset);
}
