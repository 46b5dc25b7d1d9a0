/**
 * SEARCH in the text of a message (RFC 3501 §6.4.4): substrings without regard to case, in header values and in text
 * parts after transfer encoding and charset are undone. HTML is searched as its source.
 */
import { decodeWords } from './encoded-words.ts';
import { decodeParameters } from './headers.ts';
import { fieldValues, plainText } from './plain-search.ts';
import { parameterValue } from './structure/content-fields.ts';
import { headerFields, unfoldedValue } from './structure/header-fields.ts';
import type { Envelope, LeafPart, MessageIndex, Part } from './structure/types.ts';
import { decodeBytes } from './text.ts';

/** A header value is read up to here; a longer one is no text that anybody searches. */
const VALUE_BYTES = 64 * 1024;
/** Encoded bytes of text that are searched in one message, so that one SEARCH does not decode gigabytes. */
export const SEARCHED_TEXT_BYTES = 16 * 1024 * 1024;

const EIGHT_BIT = /[\x80-\xff]/;
const EQUALS = 0x3d;
const SPACE = 0x20;
const TAB = 0x09;
const CR = 0x0d;
const LF = 0x0a;

/** The text as it is compared: composed (NFC) and in lower case. */
export function foldText(text: string): string {
  return text.normalize('NFC').toLowerCase();
}

/**
 * True when a field of that name, in any case, contains the needle; an empty needle asks whether there is such a
 * field. `header` holds the bytes of one header.
 */
export function headerContains(header: Buffer | string, fieldName: string, needle: string): boolean {
  const text = typeof header === 'string' ? header : header.toString('latin1');
  const folded = foldText(needle);
  const values = fieldValues(text, fieldName.toLowerCase(), VALUE_BYTES);
  return values.some((value) => foldText(decodeHeaderBytes(value)).includes(folded));
}

const ADDRESS_FIELDS: ReadonlySet<string> = new Set(['from', 'to', 'cc', 'bcc']);

/** Whether `addressContains` can say anything of it. */
export function isAddressField(fieldName: string): boolean {
  return ADDRESS_FIELDS.has(fieldName.toLowerCase());
}

/**
 * True when an address of From, To, Cc or Bcc contains the needle in the form a person knows: `Name <user@host>`, without
 * the comments, quoting and folding of the field (RFC 3501 §6.4.4: FROM asks for the envelope's).
 */
export function addressContains({ from, to, cc, bcc }: Envelope, fieldName: string, needle: string): boolean {
  const lists = new Map(Object.entries({ from, to, cc, bcc }));
  const addresses = lists.get(fieldName.toLowerCase()) ?? [];
  const folded = foldText(needle);
  return addresses.some(({ name, mailbox, host }) =>
    foldText(`${decodeHeaderBytes(name ?? '')} <${mailbox ?? ''}@${host ?? ''}>`).includes(folded),
  );
}

/** True when any field, its name or its decoded value, contains the needle. */
export function anyHeaderContains(header: Buffer, needle: string): boolean {
  const folded = foldText(needle);
  for (const field of headerFields(header)) {
    const value = decodeHeaderBytes(unfoldedValue(header, field, VALUE_BYTES));
    if (foldText(`${field.name}: ${value}`).includes(folded)) return true;
  }
  return false;
}

/** SEARCH BODY: text parts, and the headers of embedded messages. `raw` is the message that `index` describes. */
export function bodyContains(raw: Buffer, index: MessageIndex, needle: string): boolean {
  return new BodySearch(raw, foldText(needle), { partHeaders: false }).contains(index.structure);
}

/** SEARCH TEXT: the header of the message or its body, the headers of its parts with the names of files included. */
export function textContains(raw: Buffer, index: MessageIndex, needle: string): boolean {
  const header = raw.subarray(0, index.headerBytes);
  if (anyHeaderContains(header, needle)) return true;
  const folded = foldText(needle);
  if (parametersContain(header, folded)) return true;
  return new BodySearch(raw, folded, { partHeaders: true }).contains(index.structure);
}

const NAMING = new Set(['content-type', 'content-disposition']);

/** Names of files may be in pieces and percent-encoded (RFC 2231 §3), so they are put together first. */
function parametersContain(header: Buffer, folded: string): boolean {
  for (const field of headerFields(header)) {
    if (!NAMING.has(field.name)) continue;
    const { parameters } = decodeParameters(unfoldedValue(header, field, VALUE_BYTES));
    for (const value of parameters.values()) if (foldText(value).includes(folded)) return true;
  }
  return false;
}

/** The Unicode text of a text part, its transfer encoding and charset undone; as the rendering of the message does. */
export function decodeTextPart(raw: Buffer, part: LeafPart, maxBytes = SEARCHED_TEXT_BYTES): string {
  const body = raw.subarray(part.bodyStart, Math.min(part.bodyEnd, part.bodyStart + maxBytes));
  const charset = parameterValue(part.params, 'charset');
  return decodeBytes(decodeTransferEncoding(body, part.encoding), charset);
}

/** Undoes base64 and quoted-printable (RFC 2045 §6); other encodings leave the bytes alone. Skips what is invalid. */
export function decodeTransferEncoding(body: Buffer, encoding: string): Buffer {
  const name = encoding.toLowerCase();
  if (name === 'base64') return Buffer.from(body.toString('latin1'), 'base64');
  return name === 'quoted-printable' ? decodeQuotedPrintable(body) : body;
}

/** A header value in Unicode: RFC 2047 words decoded, bare 8-bit text read as UTF-8 where it is. */
export function decodeHeaderBytes(value: string): string {
  return decodeWords(EIGHT_BIT.test(value) ? decodeBytes(Buffer.from(value, 'latin1'), null) : value);
}

/** Text, and what programs write for one another: reports on messages, pieces of them. */
const SEARCHED_TYPES: ReadonlySet<string> = new Set(['text', 'message']);

class BodySearch {
  readonly #raw: Buffer;
  readonly #folded: string;
  readonly #partHeaders: boolean;
  #remainingBytes = SEARCHED_TEXT_BYTES;

  constructor(raw: Buffer, folded: string, { partHeaders }: { partHeaders: boolean }) {
    this.#raw = raw;
    this.#folded = folded;
    this.#partHeaders = partHeaders;
  }

  contains(part: Part): boolean {
    if (part.kind === 'multipart')
      return part.children.some((child) => this.#headerContains(child) || this.contains(child));
    if (part.kind === 'leaf') return SEARCHED_TYPES.has(part.type) && this.#leafContains(part);
    const { headerStart, bodyStart } = part.message;
    return anyHeaderContains(this.#raw.subarray(headerStart, bodyStart), this.#folded) || this.contains(part.message);
  }

  #headerContains({ headerStart, bodyStart }: Part): boolean {
    if (!this.#partHeaders) return false;
    const header = this.#raw.subarray(headerStart, bodyStart);
    return anyHeaderContains(header, this.#folded) || parametersContain(header, this.#folded);
  }

  #leafContains(part: LeafPart): boolean {
    const body = this.#raw.subarray(part.bodyStart, Math.min(part.bodyEnd, part.bodyStart + this.#remainingBytes));
    const plain = plainText(body, part.encoding, parameterValue(part.params, 'charset'));
    const text = plain?.toLowerCase() ?? foldText(decodeTextPart(this.#raw, part, this.#remainingBytes));
    this.#remainingBytes = Math.max(0, this.#remainingBytes - (part.bodyEnd - part.bodyStart));
    return text.includes(this.#folded);
  }
}

function decodeQuotedPrintable(body: Buffer): Buffer {
  const decoded = Buffer.allocUnsafe(body.length);
  let length = 0;
  for (let position = 0; position < body.length; ) {
    const byte = body[position] ?? 0;
    const softEnd = byte === EQUALS ? softBreakEnd(body, position + 1) : -1;
    const value = byte === EQUALS && softEnd < 0 ? hexByte(body, position + 1) : -1;
    if (softEnd < 0) length = decoded.writeUInt8(value < 0 ? byte : value, length);
    position = softEnd >= 0 ? softEnd : position + (value < 0 ? 1 : 3);
  }
  return decoded.subarray(0, length);
}

/** Where the line goes on when a soft line break starts here, or -1. White space may stand before the line end. */
function softBreakEnd(body: Buffer, start: number): number {
  let position = start;
  while (body[position] === SPACE || body[position] === TAB) position += 1;
  if (body[position] === CR) position += 1;
  return body[position] === LF || position >= body.length ? position + 1 : -1;
}

function hexByte(body: Buffer, start: number): number {
  const digits = body.toString('latin1', start, start + 2);
  return /^[0-9A-Fa-f]{2}$/.test(digits) ? Number.parseInt(digits, 16) : -1;
}
