/**
 * Quoted-printable again as a program wrote it (RFC 2045 §6.7). Programs differ in which bytes they escape and where they
 * break lines, so both are noted: the escaped values with the exceptions to them, and for every line one byte of the skeleton.
 */
import { Buffer } from 'node:buffer';
import { type Hex32, toHex } from '../../smimp/encoding.ts';
import { MAX_EXCEPTIONS, OriginalError, type QuotedLayout } from './format.ts';

const LF = 0x0a;
const CR = 0x0d;
const SPACE = 0x20;
const TAB = 0x09;
const EQUALS = 0x3d;
const VALUES = 256;
const BITS = 8;
/** Letters before a soft line break: its byte is one more, 0 is a line that ends where the content says. */
const MAX_SOFT_LETTERS = 254;
/** `=3D`, and `=` with CRLF. */
const ESCAPE_BYTES = 3;

export type Measured = { layout: QuotedLayout; breaks: Buffer; end: number };

/** Reads how `bytes` stand in the message from `start` on; null when they do not, or not in lines that can be noted. */
export function measureQuoted(raw: Buffer, start: number, bytes: Buffer): Measured | null {
  const reading = new Reading(raw, start, bytes);
  return reading.read() ? reading.result() : null;
}

class Reading {
  readonly #raw: Buffer;
  readonly #start: number;
  readonly #bytes: Buffer;
  readonly #isEscaped: Uint8Array;
  readonly #breaks: number[] = [];
  #at: number;
  #lineStart: number;
  #lineEnd: string | null = null;
  #upperCase: boolean | null = null;

  constructor(raw: Buffer, start: number, bytes: Buffer) {
    this.#raw = raw;
    this.#start = start;
    this.#bytes = bytes;
    this.#isEscaped = new Uint8Array(bytes.length);
    this.#at = start;
    this.#lineStart = start;
  }

  read(): boolean {
    for (let index = 0; index < this.#bytes.length; ) {
      const byte = this.#raw[this.#at];
      if (byte !== EQUALS) {
        if (byte !== this.#bytes[index]) return false;
        this.#at += 1;
        index += 1;
        if (byte === LF) this.#endLine(0);
      } else if (this.#isEscapeOf(this.#bytes[index] ?? 0)) {
        this.#isEscaped[index] = 1;
        this.#at += 3;
        index += 1;
      } else if (!this.#softBreak()) return false;
    }
    if (this.#lineStart < this.#at) this.#endLine(0);
    return true;
  }

  #endLine(code: number): void {
    this.#breaks.push(code);
    this.#lineStart = this.#at;
  }

  #isEscapeOf(byte: number): boolean {
    const digits = this.#raw.toString('latin1', this.#at + 1, this.#at + 3);
    const upper = hexOf(byte, true);
    const lower = hexOf(byte, false);
    if (digits !== upper && digits !== lower) return false;
    if (upper === lower) return true;
    this.#upperCase ??= digits === upper;
    return digits === hexOf(byte, this.#upperCase);
  }

  #softBreak(): boolean {
    const letters = this.#at - this.#lineStart;
    const behind = this.#at + 1;
    const lineEnd = this.#raw[behind] === LF ? '\n' : this.#raw.toString('latin1', behind, behind + 2);
    if (letters > MAX_SOFT_LETTERS || (lineEnd !== '\n' && lineEnd !== '\r\n')) return false;
    this.#lineEnd ??= lineEnd;
    this.#at = behind + lineEnd.length;
    this.#endLine(letters + 1);
    return lineEnd === this.#lineEnd;
  }

  result(): Measured | null {
    const escaped = this.#usuallyEscaped();
    const exceptions: number[] = [];
    for (let index = 0; index < this.#bytes.length; index += 1) {
      if (isEscapedBy(escaped, this.#bytes, index) !== (this.#isEscaped[index] === 1)) exceptions.push(index);
      if (exceptions.length > MAX_EXCEPTIONS) return null;
    }
    const layout = {
      bytes: this.#at - this.#start,
      line_end: this.#lineEnd ?? '',
      upper_case: this.#upperCase ?? true,
      escaped: toHex<Hex32>(escaped),
      exceptions,
      lines: this.#breaks.length,
    };
    return { layout, breaks: Buffer.from(this.#breaks), end: this.#at };
  }

  /** One bit for each value, the lowest of the first byte for 0. */
  #usuallyEscaped(): Buffer {
    const balance = new Int32Array(VALUES);
    for (const [index, byte] of this.#bytes.entries()) {
      if (!isTrailing(this.#bytes, index))
        balance[byte] = (balance[byte] ?? 0) + (this.#isEscaped[index] === 1 ? 1 : -1);
    }
    const escaped = Buffer.alloc(VALUES / BITS);
    for (const [value, sum] of balance.entries()) {
      if (sum > 0) escaped[value >> 3] = (escaped[value >> 3] ?? 0) | (1 << (value % BITS));
    }
    return escaped;
  }
}

const HEX = [true, false].map((upper) =>
  Array.from({ length: VALUES }, (_, value) => {
    const digits = value.toString(16).padStart(2, '0');
    return upper ? digits.toUpperCase() : digits;
  }),
);

function hexOf(byte: number, upperCase: boolean): string {
  return HEX[upperCase ? 0 : 1]?.[byte] ?? '';
}

/** White space at the end of a line is escaped, whatever else is. */
function isTrailing(bytes: Buffer, index: number): boolean {
  const byte = bytes[index];
  if (byte !== SPACE && byte !== TAB) return false;
  const next = bytes[index + 1];
  return next === undefined || next === LF || (next === CR && bytes[index + 2] === LF);
}

function isEscapedBy(escaped: Buffer, bytes: Buffer, index: number): boolean {
  const byte = bytes[index] ?? 0;
  return ((escaped[byte >> 3] ?? 0) & (1 << (byte % BITS))) !== 0 || isTrailing(bytes, index);
}

/** The bytes as the layout says; it has passed `isPossible`. Throws `lines`. */
export function writeQuoted(layout: QuotedLayout, bytes: Buffer, breaks: Buffer): Buffer {
  const writing = new Writing(layout, bytes);
  for (const code of breaks) writing.line(code);
  return writing.finish();
}

/** Whether so many bytes can come out: each is escaped at most, each line has a soft end at most. */
export function isPossible({ bytes, lines }: QuotedLayout, contentBytes: number): boolean {
  return bytes <= ESCAPE_BYTES * contentBytes + ESCAPE_BYTES * lines;
}

class Writing {
  readonly #layout: QuotedLayout;
  readonly #bytes: Buffer;
  readonly #escaped: Buffer;
  readonly #exceptions: ReadonlySet<number>;
  readonly #out: Buffer;
  #read = 0;
  #written = 0;

  constructor(layout: QuotedLayout, bytes: Buffer) {
    this.#layout = layout;
    this.#bytes = bytes;
    this.#escaped = Buffer.from(layout.escaped, 'hex');
    this.#exceptions = new Set(layout.exceptions);
    this.#out = Buffer.allocUnsafe(layout.bytes);
  }

  /** Up to the end of the line in the content, or until its letters are written and a soft break follows. */
  line(code: number): void {
    const end = this.#written + code - 1;
    while (this.#read < this.#bytes.length && (code === 0 || this.#written < end)) {
      const isHardEnd = this.#item();
      if (code === 0 && isHardEnd) return;
    }
    if (code === 0) return;
    if (this.#written !== end) throw new OriginalError('lines');
    this.#put(`=${this.#layout.line_end}`);
  }

  /** One byte of the content; whether it ends a line. */
  #item(): boolean {
    const byte = this.#bytes[this.#read] ?? 0;
    const usual = isEscapedBy(this.#escaped, this.#bytes, this.#read);
    const escapes = usual !== this.#exceptions.has(this.#read);
    this.#read += 1;
    if (escapes) this.#put(`=${hexOf(byte, this.#layout.upper_case)}`);
    else {
      if (this.#written === this.#out.length) throw new OriginalError('lines');
      this.#out[this.#written] = byte;
      this.#written += 1;
    }
    return byte === LF && !escapes;
  }

  #put(text: string): void {
    if (this.#written + text.length > this.#out.length) throw new OriginalError('lines');
    this.#written += this.#out.write(text, this.#written, 'latin1');
  }

  finish(): Buffer {
    if (this.#read < this.#bytes.length || this.#written < this.#out.length) throw new OriginalError('lines');
    return this.#out;
  }
}
