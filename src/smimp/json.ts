/**
 * Strict I-JSON (SMIMP 0.1 §1.1, RFC 7493 §2): no duplicate or forbidden names, no lone surrogates or
 * noncharacters, whole numbers within ±(2⁵³−1) only, bounded depth. One pass over the bytes; memory is a small
 * multiple of the input whatever it holds, and recursion is bounded by the depth limit, so hostile input costs
 * no more than honest input of its size.
 */
import { Buffer, isUtf8 } from 'node:buffer';
import { view } from './encoding.ts';
import { ProfileError, type ProfileErrorCode } from './errors.ts';
import { readString, readText } from './json-string.ts';

export type JsonValue = null | boolean | number | string | JsonValue[] | JsonObject;
export type JsonObject = { [name: string]: JsonValue };

/** `1` is 0, `[]` is 1 (SMIMP 0.1 §1.1). */
export const MAX_JSON_DEPTH = 16;

/** Names that mean something to JavaScript objects and have caused prototype pollution. */
export const FORBIDDEN_NAMES: ReadonlySet<string> = new Set(['__proto__', 'constructor', 'prototype']);
/** 2⁵³−1 has 16 digits; more digits never fit. */
const MAX_DIGITS = 16;

const QUOTE = 0x22;
const COMMA = 0x2c;
const MINUS = 0x2d;
const DOT = 0x2e;
const ZERO = 0x30;
const NINE = 0x39;
const COLON = 0x3a;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;

function fail(code: ProfileErrorCode): never {
  throw new ProfileError(code);
}

/** What may hold long strings as views into the document. */
type Parsed = null | boolean | number | string | Buffer | Parsed[] | ParsedObject;
type ParsedObject = { [name: string]: Parsed };

class Parser {
  readonly #bytes: Buffer;
  readonly #maxDepth: number;
  readonly #viewFromBytes: number;
  #at = 0;

  constructor(bytes: Buffer, maxDepth: number, viewFromBytes: number) {
    this.#bytes = bytes;
    this.#maxDepth = maxDepth;
    this.#viewFromBytes = viewFromBytes;
  }

  document(): Parsed {
    const value = this.#value(0);
    if (this.#next() !== undefined) fail('json-syntax');
    return value;
  }

  /** The next byte that is no white space, not consumed; `undefined` at the end. */
  #next(): number | undefined {
    for (;;) {
      const byte = this.#bytes[this.#at];
      if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) return byte;
      this.#at++;
    }
  }

  #value(depth: number): Parsed {
    const byte = this.#next();
    if (byte === QUOTE) return this.#text();
    if (byte === OPEN_BRACE) return this.#object(this.#deeper(depth));
    if (byte === OPEN_BRACKET) return this.#array(this.#deeper(depth));
    if (byte === 0x74) return this.#word('true', true);
    if (byte === 0x66) return this.#word('false', false);
    if (byte === 0x6e) return this.#word('null', null);
    return this.#number();
  }

  #deeper(depth: number): number {
    if (depth >= this.#maxDepth) fail('json-depth');
    this.#at++;
    return depth + 1;
  }

  #word<T>(word: string, value: T): T {
    const end = this.#at + word.length;
    if (this.#bytes.toString('latin1', this.#at, end) !== word) fail('json-syntax');
    this.#at = end;
    return value;
  }

  #string(): string {
    const { text, end } = readString(this.#bytes, this.#at + 1);
    this.#at = end;
    return text;
  }

  /** A string as a value. */
  #text(): string | Buffer {
    const { text, end } = readText(this.#bytes, this.#at + 1, this.#viewFromBytes);
    this.#at = end;
    return text;
  }

  #array(depth: number): Parsed[] {
    const items: Parsed[] = [];
    if (this.#next() === CLOSE_BRACKET) return this.#closed(items);
    for (;;) {
      items.push(this.#value(depth));
      const byte = this.#next();
      if (byte === CLOSE_BRACKET) return this.#closed(items);
      if (byte !== COMMA) fail('json-syntax');
      this.#at++;
    }
  }

  #object(depth: number): ParsedObject {
    const members: ParsedObject = {};
    if (this.#next() === CLOSE_BRACE) return this.#closed(members);
    for (;;) {
      const name = this.#name(members);
      members[name] = this.#value(depth);
      const byte = this.#next();
      if (byte === CLOSE_BRACE) return this.#closed(members);
      if (byte !== COMMA) fail('json-syntax');
      this.#at++;
    }
  }

  #closed<T>(value: T): T {
    this.#at++;
    return value;
  }

  /** A member name and its colon. Names are compared after unescaping. */
  #name(members: ParsedObject): string {
    if (this.#next() !== QUOTE) fail('json-syntax');
    const name = this.#string();
    if (FORBIDDEN_NAMES.has(name)) fail('json-forbidden-name');
    if (Object.hasOwn(members, name)) fail('json-duplicate-name');
    if (this.#next() !== COLON) fail('json-syntax');
    this.#at++;
    return name;
  }

  /** Skips digits; throws unless there is at least one. */
  #digits(): void {
    const start = this.#at;
    for (;;) {
      const byte = this.#bytes[this.#at];
      if (byte === undefined || byte < ZERO || byte > NINE) break;
      this.#at++;
    }
    if (this.#at === start) fail('json-syntax');
  }

  #number(): number {
    const start = this.#at;
    const negative = this.#bytes[start] === MINUS;
    if (negative) this.#at++;
    const firstDigit = this.#at;
    this.#digits();
    const digits = this.#at - firstDigit;
    if (digits > 1 && this.#bytes[firstDigit] === ZERO) fail('json-syntax');
    if (this.#skipFractionAndExponent() || digits > MAX_DIGITS) fail('json-number');
    const value = Number(this.#bytes.toString('latin1', start, this.#at));
    if (!Number.isSafeInteger(value) || Object.is(value, -0)) fail('json-number');
    return value;
  }

  /** JSON allows them, the profile does not: `1.` is a syntax error, `1.0` is a number out of bounds. */
  #skipFractionAndExponent(): boolean {
    const start = this.#at;
    if (this.#bytes[this.#at] === DOT) {
      this.#at++;
      this.#digits();
    }
    const byte = this.#bytes[this.#at];
    if (byte === 0x65 || byte === 0x45) {
      this.#at++;
      const sign = this.#bytes[this.#at];
      if (sign === 0x2b || sign === MINUS) this.#at++;
      this.#digits();
    }
    return this.#at > start;
  }
}

function utf8Bytes(input: Uint8Array | string): Buffer {
  if (typeof input !== 'string') {
    const bytes = view(input);
    if (!isUtf8(bytes)) fail('json-encoding');
    return bytes;
  }
  if (!input.isWellFormed()) fail('json-lone-surrogate');
  return Buffer.from(input, 'utf8');
}

/**
 * The value of one strict JSON document. Bytes must be UTF-8 without BOM; a string must be well-formed.
 * Objects are plain and safe: no name can reach a prototype. Throws a `json-*` code.
 */
export function parseStrictJson(input: Uint8Array | string, options: { maxDepth?: number } = {}): JsonValue {
  // Nothing is long enough to be a view.
  return parseDocument(utf8Bytes(input), { ...options, viewFromBytes: Number.POSITIVE_INFINITY }) as JsonValue;
}

/**
 * As parseStrictJson, but a string value of at least `viewFromBytes` bytes that is plain ASCII, without an escape, is not
 * copied: it is given as a view into `bytes`. For documents that are mostly one string of tens of megabytes.
 */
export function parseStrictJsonInPlace(bytes: Uint8Array, options: { viewFromBytes: number }): unknown {
  return parseDocument(utf8Bytes(bytes), options);
}

function parseDocument(bytes: Buffer, options: { maxDepth?: number; viewFromBytes: number }): Parsed {
  if (bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf) fail('json-encoding');
  return new Parser(bytes, options.maxDepth ?? MAX_JSON_DEPTH, options.viewFromBytes).document();
}
