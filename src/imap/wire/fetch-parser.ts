/** FETCH (RFC 3501 §6.4.5): macros, items, sections of the body and partial ranges. */
import { type Section, WHOLE_MESSAGE } from '../../mime/structure/section.ts';
import { parseBinary } from './binary-parser.ts';
import type { CommandReader } from './command-reader.ts';
import type { FetchCommand } from './commands.ts';
import { parseFetchModifiers } from './condstore-parser.ts';
import type { FetchBinary, FetchBinarySize, FetchItem, FetchPreview, FetchSection } from './fetch-items.ts';
import { parsePartial, partNumbers } from './part-parser.ts';
import { parsePreviewModifiers } from './preview-parser.ts';

type PlainItem = Exclude<FetchItem, FetchSection | FetchBinary | FetchBinarySize | FetchPreview>;

const ITEM_NAME = /[A-Za-z0-9.]+/y;
const SECTION_NAME = /[A-Za-z.]+/y;

const PLAIN_ITEMS: ReadonlyMap<string, PlainItem['type']> = new Map([
  ['FLAGS', 'flags'],
  ['UID', 'uid'],
  ['MODSEQ', 'modseq'],
  ['EMAILID', 'emailid'],
  ['THREADID', 'threadid'],
  ['INTERNALDATE', 'internaldate'],
  ['SAVEDATE', 'savedate'],
  ['RFC822.SIZE', 'rfc822.size'],
  ['ENVELOPE', 'envelope'],
  ['BODYSTRUCTURE', 'bodystructure'],
]);

const RFC822_ITEMS: ReadonlyMap<string, FetchSection> = new Map([
  ['RFC822', rfc822('RFC822', WHOLE_MESSAGE, false)],
  ['RFC822.HEADER', rfc822('RFC822.HEADER', { ...WHOLE_MESSAGE, kind: 'header' }, true)],
  ['RFC822.TEXT', rfc822('RFC822.TEXT', { ...WHOLE_MESSAGE, kind: 'text' }, false)],
]);

const FAST: readonly FetchItem[] = [{ type: 'flags' }, { type: 'internaldate' }, { type: 'rfc822.size' }];
const MACROS: ReadonlyMap<string, readonly FetchItem[]> = new Map([
  ['FAST', FAST],
  ['ALL', [...FAST, { type: 'envelope' }]],
  ['FULL', [...FAST, { type: 'envelope' }, { type: 'body' }]],
]);

/** Sections that are parts of a header list, or stand for a whole part. */
const SECTION_KINDS: ReadonlyMap<string, Section['kind']> = new Map([
  ['HEADER', 'header'],
  ['HEADER.FIELDS', 'fields'],
  ['HEADER.FIELDS.NOT', 'fields-not'],
  ['TEXT', 'text'],
  ['MIME', 'mime'],
]);

export function parseFetch(reader: CommandReader, uid: boolean): FetchCommand {
  reader.space();
  const set = reader.sequenceSet();
  reader.space();
  const items = reader.peek() === '(' ? reader.list(() => parseFetchItem(reader)) : macroOrItem(reader);
  if (items.length === 0) throw reader.syntax('Expected a FETCH item');
  const modifiers = parseFetchModifiers(reader, uid);
  const has = (type: FetchItem['type']): boolean => items.some((item) => item.type === type);
  const asked = uid && has('uid') ? { asksUid: true as const } : {};
  if (uid && !has('uid')) items.unshift({ type: 'uid' });
  if (modifiers.changedSince !== null && !has('modseq')) items.push({ type: 'modseq' });
  return { name: 'FETCH', uid, set, items, ...asked, ...modifiers };
}

function macroOrItem(reader: CommandReader): FetchItem[] {
  const name = itemName(reader);
  const macro = MACROS.get(name);
  return macro === undefined ? [namedItem(reader, name)] : [...macro];
}

export function parseFetchItem(reader: CommandReader): FetchItem {
  return namedItem(reader, itemName(reader));
}

function itemName(reader: CommandReader): string {
  return reader.pattern(ITEM_NAME, 'a FETCH item').toUpperCase();
}

function namedItem(reader: CommandReader, name: string): FetchItem {
  const plain = PLAIN_ITEMS.get(name);
  if (plain !== undefined) return { type: plain };
  const legacy = RFC822_ITEMS.get(name);
  if (legacy !== undefined) return legacy;
  if (name === 'PREVIEW') return { type: 'preview', lazy: parsePreviewModifiers(reader) };
  const binary = parseBinary(reader, name);
  if (binary !== null) return binary;
  const bracket = reader.accept('[');
  if (name === 'BODY' && !bracket) return { type: 'body' };
  if (!bracket || (name !== 'BODY' && name !== 'BODY.PEEK')) throw reader.syntax('Unknown FETCH item');
  const section = parseSection(reader);
  return { type: 'section', section, peek: name === 'BODY.PEEK', partial: parsePartial(reader), label: 'BODY' };
}

/** What stands between the brackets, closing bracket included. */
function parseSection(reader: CommandReader): Section {
  reader.skipSpaces();
  const { part, closed } = partNumbers(reader);
  const section = closed || reader.peek() === ']' ? { part, kind: 'all' as const, fields: [] } : named(reader, part);
  reader.skipSpaces();
  reader.expect(']');
  return section;
}

function named(reader: CommandReader, part: number[]): Section {
  const kind = SECTION_KINDS.get(reader.pattern(SECTION_NAME, 'a section').toUpperCase());
  if (kind === undefined || (kind === 'mime' && part.length === 0)) throw reader.syntax('Unknown section');
  if (kind !== 'fields' && kind !== 'fields-not') return { part, kind, fields: [] };
  reader.skipSpaces();
  const fields = reader.list(() => reader.astring().toString('latin1'));
  if (fields.length === 0) throw reader.syntax('Expected a header field name');
  return { part, kind, fields };
}

function rfc822(label: FetchSection['label'], section: Section, peek: boolean): FetchSection {
  return { type: 'section', section, peek, partial: null, label };
}
