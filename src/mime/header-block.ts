/**
 * The header block at the top of a message, found and bounded by one linear scan before any parser sees it.
 * Ugly mail is normal: a message without a header, with an mbox line, or with a hundred thousand fields.
 */
import { Buffer } from 'node:buffer';
import { parseRawField, type RawField } from './headers.ts';

/** The longest real headers (many relays, ARC, DKIM) stay far below both. */
export const MAX_HEADER_LINES = 4_000;
export const MAX_HEADER_BYTES = 512 * 1024;
/** Fields that decide what a message means; kept wherever they stand, up to the hard end of the scan. */
const ESSENTIAL = new Set([
  ...['from', 'to', 'cc', 'reply-to', 'subject', 'date', 'message-id', 'in-reply-to', 'references'],
  ...['mime-version', 'content-type', 'content-transfer-encoding', 'content-disposition', 'content-id'],
]);
const LF = 0x0a;
const BYTE_ORDER_MARK = Buffer.from([0xef, 0xbb, 0xbf]);
const STRUCTURE_FIELD = /^content-/i;
const FIELD_START = /^[\x21-\x39\x3b-\x7e]+[ \t]*:/;

/** `structure`: the fields that say how the body is made, as they came. `bodyStart` is an offset into the message. */
export type HeaderBlock = { structure: string[]; fields: RawField[]; bodyStart: number };

/** Splits and bounds. A message that does not start with a field is all body. Linear in the header's size. */
export function readHeaderBlock(message: Buffer): HeaderBlock {
  const start = message.subarray(0, BYTE_ORDER_MARK.length).equals(BYTE_ORDER_MARK) ? BYTE_ORDER_MARK.length : 0;
  let offset = start + mboxLineLength(message.subarray(start));
  const kept = new KeptFields();
  let strayAt = -1;
  while (offset < message.length) {
    const end = lineEnd(message, offset);
    const line = message.subarray(offset, end);
    if (isBlank(line)) return { ...kept.finish(), bodyStart: end };
    const isField = FIELD_START.test(line.toString('latin1', 0, 200));
    if (kept.isEmpty && !isField) break;
    if (!isField && !isFolded(line) && strayAt < 0) strayAt = offset;
    kept.add(line);
    offset = end;
  }
  // Without a blank line the text begins where the fields end, or it would be nobody's.
  return { ...kept.finish(), bodyStart: strayAt < 0 ? offset : strayAt };
}

const isFolded = (line: Buffer): boolean => line[0] === 0x20 || line[0] === 0x09;

function mboxLineLength(message: Buffer): number {
  const first = message.toString('latin1', 0, 6);
  return first.startsWith('From ') || first === '>From ' ? lineEnd(message, 0) : 0;
}

function lineEnd(message: Buffer, offset: number): number {
  const at = message.indexOf(LF, offset);
  return at < 0 ? message.length : at + 1;
}

/** Relays that turn LF into CRLF twice leave CR CR LF. */
function isBlank(line: Buffer): boolean {
  return line.length <= 3 && /^\r{0,2}\n$|^\r$/.test(line.toString('latin1'));
}

/** Lines of fields in order: all of them up to the limits, after that only the first of each essential name. */
class KeptFields {
  readonly #lines: Buffer[] = [];
  readonly #seen = new Set<string>();
  #sizeBytes = 0;
  #keeping = false;
  #fieldBytes = 0;

  get isEmpty(): boolean {
    return this.#lines.length === 0;
  }

  add(line: Buffer): void {
    if (!isFolded(line)) {
      this.#fieldBytes = 0;
      this.#keeping = this.#wants(line);
    }
    this.#fieldBytes += line.length;
    if (this.#keeping && this.#fieldBytes <= MAX_HEADER_BYTES) this.#push(line);
  }

  #wants(line: Buffer): boolean {
    const within = this.#lines.length < MAX_HEADER_LINES && this.#sizeBytes + line.length <= MAX_HEADER_BYTES;
    const name = fieldName(line);
    const first = ESSENTIAL.has(name) && !this.#seen.has(name);
    if (first) this.#seen.add(name);
    return within || first;
  }

  #push(line: Buffer): void {
    const open = this.#lines.length < 2 * MAX_HEADER_LINES && this.#sizeBytes + line.length <= 2 * MAX_HEADER_BYTES;
    if (!open) return;
    this.#lines.push(line);
    this.#sizeBytes += line.length;
  }

  finish(): { structure: string[]; fields: RawField[] } {
    const texts = unfoldedLines(this.#lines);
    const fields = texts.map(parseRawField).filter((field) => field !== null);
    return { structure: texts.filter((text) => STRUCTURE_FIELD.test(text)), fields };
  }
}

function fieldName(line: Buffer): string {
  const text = line.toString('latin1', 0, 64);
  return text
    .slice(0, Math.max(text.indexOf(':'), 0))
    .trim()
    .toLowerCase();
}

function unfoldedLines(lines: readonly Buffer[]): string[] {
  const fields: string[][] = [];
  for (const line of lines) {
    const text = line.toString('latin1');
    const current = fields.at(-1);
    if (/^[ \t]/.test(text) && current !== undefined) current.push(text);
    else fields.push([text]);
  }
  return fields.map((pieces) => pieces.join(''));
}
