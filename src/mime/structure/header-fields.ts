/**
 * Header fields as byte ranges (RFC 5322 §2.2): finding, unfolding and looking up, in one pass over the header. Lines
 * end with CRLF or LF. A line that is neither a field nor a continuation belongs to no field.
 */
import type { ByteString } from './types.ts';

const LF = 0x0a;
const CR = 0x0d;
const SPACE = 0x20;
const TAB = 0x09;
const COLON = 0x3a;
/** RFC 5322 §2.1.1 bounds lines at 998; a longer name is none. */
const NAME_BYTES = 998;
const NOT_NAME = /[^\x21-\x7e]/;

/** One field. All are offsets into the buffer. */
export interface FieldRange {
  /** Lower case. */
  name: string;
  start: number;
  valueStart: number;
  /** Behind the line end of the field's last line. */
  end: number;
}

/** Up to here a loop finds the line end faster than a native search, which has a price per call. */
const SHORT_LINE_BYTES = 16;

/** Where the line that starts at `start` ends, its line end included, at most `end`. */
export function lineEnd(raw: Buffer, start: number, end: number): number {
  const short = Math.min(start + SHORT_LINE_BYTES, end);
  for (let position = start; position < short; position += 1) if (raw[position] === LF) return position + 1;
  const newline = raw.indexOf(LF, short);
  return newline < 0 || newline >= end ? end : newline + 1;
}

/** True for a line of nothing but its line end. Relays that turn LF into CRLF twice leave CR CR LF. */
export function isBlankLine(raw: Buffer, start: number, end: number): boolean {
  if (start >= end || raw[start] === LF) return true;
  if (raw[start] !== CR) return false;
  const next = raw[start + 1];
  return start + 1 >= end || next === LF || (next === CR && raw[start + 2] === LF);
}

/** Where the header that starts at `start` ends, its blank line included; `end` when there is no blank line. */
export function headerEnd(raw: Buffer, start = 0, end = raw.length): number {
  let position = start;
  while (position < end) {
    const next = lineEnd(raw, position, end);
    if (isBlankLine(raw, position, next)) return next;
    position = next;
  }
  return end;
}

/** Every field between `start` and `end`, in order; stops at a blank line. */
export function* headerFields(raw: Buffer, start = 0, end = raw.length): Generator<FieldRange> {
  let position = start;
  while (position < end) {
    let next = lineEnd(raw, position, end);
    if (isBlankLine(raw, position, next)) return;
    while (next < end && isFold(raw[next]) && !isBlankLine(raw, next, end)) next = lineEnd(raw, next, end);
    const field = fieldAt(raw, position, next);
    if (field !== null) yield field;
    position = next;
  }
}

/**
 * As headerFields, of a string of bytes from its start on: several times as fast for a short header. With
 * `wanted`, a name in lower case, only fields of that name.
 */
export function* textFields(
  header: string,
  wanted: string | null = null,
): Generator<Pick<FieldRange, 'name' | 'start' | 'end'>> {
  const first = wanted === null ? -1 : wanted.charCodeAt(0) | CASE_BIT;
  for (let position = 0; position < header.length; ) {
    if (isBlankText(header, position)) return;
    let next = textLineEnd(header, position);
    while (next < header.length && isFold(header.charCodeAt(next))) next = textLineEnd(header, next);
    const mayBe = first < 0 || (header.charCodeAt(position) | CASE_BIT) === first;
    const name = mayBe ? textName(header, position, next) : null;
    if (name !== null && (wanted === null || name === wanted)) yield { name, start: position, end: next };
    position = next;
  }
}

/** What tells a small ASCII letter from a large one. */
const CASE_BIT = 0x20;

function textLineEnd(header: string, start: number): number {
  const newline = header.indexOf('\n', start);
  return newline < 0 ? header.length : newline + 1;
}

function isBlankText(header: string, start: number): boolean {
  const first = header.charCodeAt(start);
  if (first !== CR) return first === LF;
  return start + 1 >= header.length || header.charCodeAt(start + 1) === LF;
}

function textName(header: string, start: number, end: number): string | null {
  const colon = header.indexOf(':', start);
  if (colon <= start || colon >= end || colon - start > NAME_BYTES) return null;
  const name = header.slice(start, colon).trimEnd();
  return name === '' || NOT_NAME.test(name) ? null : name.toLowerCase();
}

/** The value without its folds, its white space at both ends removed. Looks at `maxBytes` of it at most. */
export function unfoldedValue(raw: Buffer, field: FieldRange, maxBytes: number): ByteString {
  const end = Math.min(field.end, field.valueStart + maxBytes);
  // Only line ends go: the white space that starts the next line is part of the value (RFC 5322 §2.2.3).
  return raw
    .toString('latin1', field.valueStart, end)
    .replace(/[\r\n]+/g, '')
    .trim() as ByteString;
}

/** Unfolded values by lower-case name, of the wanted fields only, each in the order of the header. */
export function collectFields(
  raw: Buffer,
  options: { start: number; end: number; wanted: ReadonlySet<string>; maxBytes: number },
): Map<string, ByteString[]> {
  const collected = new Map<string, ByteString[]>();
  for (const field of headerFields(raw, options.start, options.end)) {
    if (!options.wanted.has(field.name)) continue;
    const value = unfoldedValue(raw, field, options.maxBytes);
    const values = collected.get(field.name);
    if (values === undefined) collected.set(field.name, [value]);
    else values.push(value);
  }
  return collected;
}

function fieldAt(raw: Buffer, start: number, end: number): FieldRange | null {
  const colon = raw.subarray(start, Math.min(end, start + NAME_BYTES + 1)).indexOf(COLON);
  if (colon <= 0) return null;
  // White space before the colon is obsolete syntax (RFC 5322 §4.5).
  const name = raw.toString('latin1', start, start + colon).trimEnd();
  if (name === '' || NOT_NAME.test(name)) return null;
  return { name: name.toLowerCase(), start, valueStart: start + colon + 1, end };
}

function isFold(byte: number | undefined): boolean {
  return byte === SPACE || byte === TAB;
}
