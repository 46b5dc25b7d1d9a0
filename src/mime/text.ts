/**
 * Characters: what may stand in a JSON string (RFC 7493 §2.1), what may stand in one line of a header, and
 * the reading of bytes in any character set. Everything here is total: each input gives some text.
 */
import { Buffer } from 'node:buffer';
import { TextDecoder } from 'node:util';
import iconv from 'iconv-lite';
import { guessCharset } from './charset-guess.ts';
import { charsetName, eucOfIso2022Kr, gbkOfHz } from './charset-names.ts';

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

/** Labels that say nothing: the bytes are UTF-8 until shown otherwise. */
const SILENT_LABELS = new Set([
  ...['', 'utf-8', 'utf8', 'us-ascii', 'ascii', 'ansi_x3.4-1968', 'iso646-us', '7bit', '8bit', 'unknown-8bit'],
  ...['x-unknown', 'unknown', 'default', 'none', 'default_charset', 'unicode-1-1-utf-8', 'user-defined'],
]);
/** Letters of these follow letters: bytes that are valid UTF-8 are UTF-8, whatever label they carry. */
const WORDY_LABEL = /^(?:windows-125[012479]|iso-8859-(?:1|2|3|4|9|1[03456])|koi8-[ru]|macintosh|ibm866)$/;
/** ISO-2022-JP and ISO-2022-KR are 7-bit; their escapes give them away under any label. */
const JAPANESE_ESCAPE = /\x1b\$[@B]/;
const KOREAN_ESCAPE = /\x1b\$\)C/;

/**
 * Bytes to text by the label of the sender, corrected where the bytes contradict it. `hint` is what another part of the same
 * message says of itself; it counts where there is no label. Never throws.
 */
export function decodeBytes(bytes: Uint8Array, label: string | null, hint: string | null = null): string {
  const charset = charsetName(label ?? '') ?? '';
  if (SILENT_LABELS.has(charset)) return decodeUnlabelled(bytes, hint);
  if (WORDY_LABEL.test(charset) || LATIN1.test(charset)) return validUtf8(bytes) ?? decodeLabelled(charset, bytes);
  return decodeLabelled(charset, bytes);
}

const LATIN1 = /^(?:latin-?1|l1|iso-ir-100)$/;

/** As the label says; where the bytes cannot be that, what they can be. */
function decodeLabelled(charset: string, bytes: Uint8Array): string {
  if (charset === 'iso-2022-kr') return decodeWith('euc-kr', eucOfIso2022Kr(bytes)) ?? '';
  if (charset === 'hz-gb-2312') return decodeWith('gbk', gbkOfHz(bytes)) ?? '';
  const strict = decodeStrictly(withByteOrder(charset, bytes), bytes);
  if (strict !== null) return strict;
  const known = decodeWith(charset, bytes);
  if (known === null) return decodeWithIconv(charset, bytes) ?? decodeUnlabelled(bytes, null);
  const guessed = validUtf8(bytes) ?? decodeStrictly(guessCharset(bytes), bytes);
  return guessed !== null && count(known, /\ufffd/g) > MAX_BROKEN_SHARE * known.length ? guessed : known;
}

/** One broken character does not make a letter one of another set. */
const MAX_BROKEN_SHARE = 0.02;

/** UTF-16 without a mark of its order: where the zero bytes of its spaces and line ends stand (RFC 2781 §4.3). */
function withByteOrder(charset: string, bytes: Uint8Array): string {
  if (charset !== 'utf-16' && charset !== 'unicode') return charset;
  if (bytes[0] === 0xfe && bytes[1] === 0xff) return 'utf-16be';
  if (bytes[0] === 0xff && bytes[1] === 0xfe) return 'utf-16le';
  let high = 0;
  let low = 0;
  for (let at = 0; at + 1 < bytes.length; at += 2) {
    if (bytes[at] === 0) high += 1;
    if (bytes[at + 1] === 0) low += 1;
  }
  return low > high ? 'utf-16le' : 'utf-16be';
}

/** UTF-8 if the bytes are; a 7-bit set by its escapes; broken UTF-8 with marks; else by the hint or what is likeliest. */
function decodeUnlabelled(bytes: Uint8Array, hint: string | null): string {
  const utf8 = validUtf8(bytes);
  if (utf8 !== null) return decodeEscaped(utf8, bytes);
  const marked = new TextDecoder('utf-8').decode(bytes);
  const broken = count(marked, /\ufffd/g);
  const sound = count(marked, /[^\u0000-\u007f\ufffd]/g);
  if (broken <= sound) return marked;
  const hinted = hint === null ? null : decodeStrictly(charsetName(hint) ?? '', bytes);
  return hinted ?? decodeWith(guessCharset(bytes), bytes) ?? marked;
}

function decodeEscaped(text: string, bytes: Uint8Array): string {
  if (!text.includes('\x1b')) return text;
  if (JAPANESE_ESCAPE.test(text)) return decodeWith('iso-2022-jp', bytes) ?? text;
  return KOREAN_ESCAPE.test(text) ? (decodeWith('euc-kr', eucOfIso2022Kr(bytes)) ?? text) : text;
}

function count(text: string, pattern: RegExp): number {
  let found = 0;
  for (const _match of text.matchAll(pattern)) found += 1;
  return found;
}

function validUtf8(bytes: Uint8Array): string | null {
  return decodeStrictly('utf-8', bytes);
}

/** `null` also where a byte is not of that set. */
function decodeStrictly(charset: string, bytes: Uint8Array): string | null {
  return tryDecoder(() => new TextDecoder(charset, { fatal: true }), bytes);
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
