/**
 * Sections of a message (RFC 3501 §6.4.5: BODY[…]): from the index and the bytes, or from the index alone where only
 * the header of the message is asked for. Part numbers count as RFC 3501 has it: a message that is no multipart has
 * one part, 1, and an embedded message is looked into.
 */
import { textFields } from './header-fields.ts';
import type { ByteString, MessageIndex, Part } from './types.ts';

export interface Section {
  /** Part numbers, each at least 1; empty for the message itself. */
  part: number[];
  /**
   * `all` the body of the part or the whole message; `header`, `fields`, `fields-not` and `text` of the message or an
   * embedded message; `mime` the header of a part.
   */
  kind: 'all' | 'header' | 'fields' | 'fields-not' | 'text' | 'mime';
  /** Names for `fields` and `fields-not`, as sent. */
  fields: string[];
}

export interface ByteRange {
  start: number;
  end: number;
}

export const WHOLE_MESSAGE: Section = { part: [], kind: 'all', fields: [] };

const CRLF = '\r\n';
const LF = 0x0a;

/** The bytes of the section, or null when the message has no such part. Shares memory with `raw` where it can. */
export function extractSection(raw: Buffer, index: MessageIndex, section: Section): Buffer | null {
  const range = sectionRange(index, section);
  if (range === null) return null;
  const bytes = raw.subarray(range.start, range.end);
  return selectsFields(section) ? selectFields(bytes, section) : bytes;
}

/** True when `extractFromIndex` can answer: a part of the message's own header, which the index has kept. */
export function isHeaderSection(index: MessageIndex, section: Section): boolean {
  return index.header !== null && section.part.length === 0 && (section.kind === 'header' || selectsFields(section));
}

/** The bytes of a header section without those of the message; null when `isHeaderSection` is false. */
export function extractFromIndex(index: MessageIndex, section: Section): Buffer | null {
  const text = headerText(index, section);
  return text === null ? null : Buffer.from(text, 'latin1');
}

/** The same as a string of bytes. */
export function headerText(index: MessageIndex, section: Section): ByteString | null {
  if (!isHeaderSection(index, section)) return null;
  const { header } = index;
  return header === null || section.kind === 'header' ? header : selectFieldsText(header, section);
}

/** RFC 3501 §6.4.5: what lies beyond the end is left out; an offset beyond it gives nothing. */
export function applyPartial(bytes: Buffer, partial: { offset: number; count: number } | null): Buffer {
  return partial === null ? bytes : bytes.subarray(partial.offset, partial.offset + partial.count);
}

/** Where the section lies; for header fields, where the header lies that they are selected from. */
export function sectionRange(index: MessageIndex, section: Section): ByteRange | null {
  if (section.part.length === 0) return wholeRange(index, section.kind);
  const part = findPart(index, section.part);
  if (part === null) return null;
  if (section.kind === 'all') return { start: part.bodyStart, end: part.bodyEnd };
  if (section.kind === 'mime') return { start: part.headerStart, end: part.bodyStart };
  return part.kind === 'message' ? messageRange(part.message, section.kind) : null;
}

/** The part with these numbers, or null. */
export function findPart(index: MessageIndex, numbers: readonly number[]): Part | null {
  let container = index.structure;
  let found: Part | null = null;
  for (const number of numbers) {
    if (found !== null && found.kind === 'leaf') return null;
    container = found === null ? container : found.kind === 'message' ? found.message : found;
    found = container.kind === 'multipart' ? (container.children[number - 1] ?? null) : number === 1 ? container : null;
    if (found === null) return null;
  }
  return found;
}

/** The message itself, without a look at its structure. */
function wholeRange({ headerBytes, sizeBytes }: MessageIndex, kind: Section['kind']): ByteRange | null {
  return messageRange({ headerStart: 0, bodyStart: headerBytes, bodyEnd: sizeBytes }, kind);
}

type Span = Pick<Part, 'headerStart' | 'bodyStart' | 'bodyEnd'>;

function messageRange(message: Span, kind: Section['kind']): ByteRange | null {
  if (kind === 'mime') return null;
  const start = kind === 'text' ? message.bodyStart : message.headerStart;
  const end = kind === 'text' || kind === 'all' ? message.bodyEnd : message.bodyStart;
  return { start, end };
}

function selectsFields(section: Section): boolean {
  return section.kind === 'fields' || section.kind === 'fields-not';
}

/** The fields named, or all others, as they stand in the header, and a blank line. */
function selectFields(header: Buffer, section: Section): Buffer {
  return Buffer.from(selectFieldsText(header.toString('latin1') as ByteString, section), 'latin1');
}

/** Asked for once, looked up in every message. */
const fieldNames = new WeakMap<Section, ReadonlySet<string>>();

function namesOf(section: Section): ReadonlySet<string> {
  const names = fieldNames.get(section) ?? new Set(section.fields.map((name) => name.toLowerCase()));
  fieldNames.set(section, names);
  return names;
}

/** The same of a string of bytes: a name is no longer than a line may be, and no field is read that is not wanted. */
function selectFieldsText(header: ByteString, section: Section): ByteString {
  const names = namesOf(section);
  const wanted = section.kind === 'fields';
  let selected = '';
  for (const { name, start, end } of textFields(header)) {
    if (names.has(name) !== wanted) continue;
    selected += header.slice(start, end);
    if (header.charCodeAt(end - 1) !== LF) selected += CRLF;
  }
  return (selected + CRLF) as ByteString;
}
