/** The FETCH response (RFC 3501 §7.4.2). */
import type { Section } from '../../mime/structure/section.ts';
import type { Envelope, Part } from '../../mime/structure/types.ts';
import { formatDateTime, type ImapDateTime } from './date-time.ts';
import { ASCII, type Dialect } from './dialect.ts';
import { ResponseLine } from './encoder.ts';
import type { FetchBinary, FetchBinarySize, FetchSection } from './fetch-items.ts';
import { writeEnvelope, writeStructure } from './structure-encoder.ts';

export type FetchValue =
  | { type: 'flags'; flags: readonly string[] }
  | { type: 'uid'; uid: number }
  | { type: 'modseq'; modseq: number }
  /** RFC 8474 §5; null where there is none. */
  | { type: 'emailid' | 'threadid'; id: string | null }
  | { type: 'internaldate'; date: ImapDateTime }
  | { type: 'savedate'; date: ImapDateTime | null }
  /** Unicode; null when it was asked for lazily and is not known. */
  | { type: 'preview'; text: string | null }
  | { type: 'rfc822.size'; sizeBytes: number }
  | { type: 'envelope'; envelope: Envelope }
  | { type: 'body' | 'bodystructure'; structure: Part }
  /** `data` is what the partial range left; null where the message has no such part. */
  | { type: 'section'; item: FetchSection; data: Buffer | string | null }
  | { type: 'binary'; item: FetchBinary; data: Buffer | null }
  | { type: 'binary.size'; item: FetchBinarySize; sizeBytes: number }
  /** Of `text`, what `envelopeText` or `structureText` gave. */
  | { type: 'written'; name: string; text: string };

const INSTEAD_OF_NUL = 0x80;
const SECTION_NAMES: Readonly<Record<Section['kind'], string>> = {
  all: '',
  header: 'HEADER',
  fields: 'HEADER.FIELDS',
  'fields-not': 'HEADER.FIELDS.NOT',
  text: 'TEXT',
  mime: 'MIME',
};

/** A message by its number, or by its UID alone (RFC 9586 §3). */
export type FetchAddress = { number: number } | { uid: number };

/** `* 12 FETCH (…)` or `* 4711 UIDFETCH (…)` as buffers to be written in order; section data is not copied. */
export function fetchLine(address: FetchAddress, values: readonly FetchValue[], dialect: Dialect = ASCII): Buffer[] {
  return responseLine(address, values, dialect).end();
}

/** The same for an `Answer`. */
export function fetchPieces(
  address: FetchAddress,
  values: readonly FetchValue[],
  dialect: Dialect,
): readonly (string | Buffer)[] {
  return responseLine(address, values, dialect).pieces();
}

/** What a line begins with. */
export const fetchHead = (address: FetchAddress): string =>
  'uid' in address ? `* ${address.uid} UIDFETCH ` : `* ${address.number} FETCH `;

function responseLine(address: FetchAddress, values: readonly FetchValue[], dialect: Dialect): ResponseLine {
  const line = new ResponseLine(dialect).raw(fetchHead(address));
  return line.list(values, (value) => writeValue(line, value));
}

/** An envelope as it stands in a response. */
export function envelopeText(envelope: Envelope, dialect: Dialect): string {
  const line = new ResponseLine(dialect);
  writeEnvelope(line, envelope);
  return line.toText();
}

/** BODYSTRUCTURE, or BODY when it is not `extensible`. */
export function structureText(structure: Part, extensible: boolean, dialect: Dialect): string {
  const line = new ResponseLine(dialect);
  writeStructure(line, structure, extensible);
  return line.toText();
}

/** What has no strings in it, as text. */
export type KnownValue = Extract<FetchValue, { type: 'flags' | 'uid' | 'modseq' | 'emailid' | 'threadid' }>;

export function knownText(value: KnownValue): string {
  switch (value.type) {
    case 'flags':
      return flagsText(value.flags);
    case 'uid':
      return `UID ${value.uid}`;
    case 'modseq':
      return `MODSEQ (${value.modseq})`;
    default:
      return `${value.type.toUpperCase()} ${value.id === null ? 'NIL' : `(${value.id})`}`;
  }
}

/** Most messages share their list of flags with others, so its text is made once. */
const flagTexts = new WeakMap<readonly string[], string>();

function flagsText(flags: readonly string[]): string {
  const text = flagTexts.get(flags) ?? new ResponseLine().raw(`FLAGS (${flags.join(' ')})`).toText();
  flagTexts.set(flags, text);
  return text;
}

function writeValue(line: ResponseLine, value: FetchValue): void {
  switch (value.type) {
    case 'flags':
    case 'uid':
    case 'modseq':
    case 'emailid':
    case 'threadid':
      line.written(knownText(value));
      return;
    case 'internaldate':
      line.raw(`INTERNALDATE "${formatDateTime(value.date)}"`);
      return;
    case 'savedate':
      line.raw(`SAVEDATE ${value.date === null ? 'NIL' : `"${formatDateTime(value.date)}"`}`);
      return;
    case 'preview':
      line.raw('PREVIEW ').utf8(value.text);
      return;
    case 'rfc822.size':
      line.raw(`RFC822.SIZE ${value.sizeBytes}`);
      return;
    case 'envelope':
      writeEnvelope(line.raw('ENVELOPE '), value.envelope);
      return;
    case 'section':
      writeSection(line, value.item, value.data);
      return;
    case 'binary':
      writeBinary(line, value.item, value.data);
      return;
    case 'written':
      line.raw(`${value.name} `).written(value.text);
      return;
    case 'binary.size':
      line.raw(`BINARY.SIZE[${value.item.part.join('.')}] ${value.sizeBytes}`);
      return;
    default:
      writeStructure(line.raw(`${value.type.toUpperCase()} `), value.structure, value.type === 'bodystructure');
  }
}

function writeSection(line: ResponseLine, item: FetchSection, data: Buffer | string | null): void {
  line.raw(item.label);
  if (item.label === 'BODY') writeSectionName(line, item);
  line.raw(' ');
  if (data === null) line.raw('NIL');
  else line.literal(printableNul(data));
}

/** A literal may not hold NUL (RFC 3501 §9: CHAR8); what came from elsewhere with one keeps its length. */
function printableNul(data: Buffer | string): Buffer | string {
  if (typeof data === 'string') return data.replaceAll('\0', String.fromCharCode(INSTEAD_OF_NUL));
  return data.includes(0) ? Buffer.from(data.map((byte) => (byte === 0 ? INSTEAD_OF_NUL : byte))) : data;
}

/** Only bytes with a NUL among them go out as a literal8 (RFC 3516 §4.3). */
function writeBinary(line: ResponseLine, { part, partial }: FetchBinary, data: Buffer | null): void {
  line.raw(`BINARY[${part.join('.')}]${partial === null ? '' : `<${partial.offset}>`} `);
  if (data === null) line.raw('NIL');
  else if (data.includes(0)) line.literal8(data);
  else line.literal(data);
}

/** Asked for once, said for every message. */
const sectionNames = new WeakMap<FetchSection, string>();

function writeSectionName(line: ResponseLine, item: FetchSection): void {
  const known = sectionNames.get(item) ?? sectionName(item);
  sectionNames.set(item, known);
  line.written(known);
}

function sectionName({ section, partial }: FetchSection): string {
  const line = new ResponseLine();
  line.raw(`[${[...section.part, SECTION_NAMES[section.kind]].filter((piece) => piece !== '').join('.')}`);
  if (section.fields.length > 0) line.raw(' ').list(section.fields, (field) => line.astring(field));
  return line.raw(partial === null ? ']' : `]<${partial.offset}>`).toText();
}
