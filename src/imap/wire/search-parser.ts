/**
 * SEARCH (RFC 3501 §6.4.4): every key, nested lists, OR, NOT, and strings decoded from the named charset. Recursion is
 * bounded by the reader's depth.
 */
import type { DayComparison, EpochDay } from '../../mime/structure/calendar-day.ts';
import type { CommandReader } from './command-reader.ts';
import { parseModSequenceKey } from './condstore-parser.ts';
import { parseDay } from './date-time.ts';
import { canonicalFlag } from './flags.ts';
import { parsePartialRange } from './partial.ts';
import { decodeSearchString, isSearchCharset } from './search-charset.ts';
import type { SearchCommand, SearchKey, SearchReturn } from './search-commands.ts';
import { WireError } from './wire-error.ts';

type KeyParser = (context: KeyContext) => SearchKey;

interface KeyContext {
  reader: CommandReader;
  charset: string | null;
}

const PLAIN_RETURNS: ReadonlySet<string> = new Set<keyof SearchReturn>(['min', 'max', 'all', 'count', 'save']);
const DATE_TEXT = /[0-9A-Za-z-]+/y;
const OBJECT_ID = /[A-Za-z0-9_-]{1,255}/y;
const KEY_NAME = /[A-Za-z0-9]+/y;

const KEYS: ReadonlyMap<string, KeyParser> = new Map<string, KeyParser>([
  ['ALL', () => ({ type: 'all' })],
  ...flagKeys('ANSWERED', 'DELETED', 'DRAFT', 'FLAGGED', 'SEEN'),
  ['RECENT', () => flagKey('\\Recent', true)],
  ['OLD', () => flagKey('\\Recent', false)],
  ['NEW', () => ({ type: 'and', keys: [flagKey('\\Recent', true), flagKey('\\Seen', false)] })],
  [
    'KEYWORD',
    ({ reader }) =>
      flagKey(
        argument(reader, () => reader.atom()),
        true,
      ),
  ],
  [
    'UNKEYWORD',
    ({ reader }) =>
      flagKey(
        argument(reader, () => reader.atom()),
        false,
      ),
  ],
  ...headerKeys('BCC', 'CC', 'FROM', 'SUBJECT', 'TO'),
  ['HEADER', headerKey],
  ['BODY', (context) => ({ type: 'body', value: searchString(context) })],
  ['TEXT', (context) => ({ type: 'text', value: searchString(context) })],
  ...dateKeys('internaldate', ''),
  ...dateKeys('sentdate', 'SENT'),
  ...dateKeys('savedate', 'SAVED'),
  // RFC 8514 §4.3: of every mailbox here.
  ['SAVEDATESUPPORTED', () => ({ type: 'all' })],
  ['LARGER', ({ reader }) => ({ type: 'larger', sizeBytes: argument(reader, () => reader.number64()) })],
  ['SMALLER', ({ reader }) => ({ type: 'smaller', sizeBytes: argument(reader, () => reader.number64()) })],
  ['OLDER', ({ reader }) => ({ type: 'older', seconds: argument(reader, () => reader.nonZeroNumber()) })],
  ['YOUNGER', ({ reader }) => ({ type: 'younger', seconds: argument(reader, () => reader.nonZeroNumber()) })],
  ['UID', ({ reader }) => ({ type: 'uid', set: argument(reader, () => reader.sequenceSet()) })],
  ['EMAILID', (context) => objectKey(context, 'emailid')],
  ['THREADID', (context) => objectKey(context, 'threadid')],
  ['MODSEQ', ({ reader }) => parseModSequenceKey(reader)],
  ['NOT', (context) => ({ type: 'not', key: nestedKey(context) })],
  ['OR', (context) => ({ type: 'or', left: nestedKey(context), right: nestedKey(context) })],
]);

export function parseSearch(reader: CommandReader, uid: boolean): SearchCommand {
  reader.space();
  const context: KeyContext = { reader, charset: null };
  const keys: SearchKey[] = [];
  let returns: SearchReturn | null = null;
  do {
    const name = keyName(reader);
    const isFirst = keys.length === 0 && context.charset === null && returns === null;
    if (name === 'RETURN' && isFirst) returns = parseReturns(reader);
    else if (name === 'CHARSET' && keys.length === 0 && context.charset === null)
      context.charset = parseCharset(reader);
    else keys.push(namedKey(context, name));
  } while (reader.skipSpaces() && !reader.atEnd());
  if (keys.length === 0) throw reader.syntax('Expected a SEARCH key');
  return { name: 'SEARCH', uid, returns, charset: context.charset, key: conjunction(keys) };
}

/** Keys behind a charset that was named already (RFC 5256 §3). */
export function parseSearchKeys(reader: CommandReader, charset: string): SearchKey {
  reader.space();
  const keys: SearchKey[] = [];
  do keys.push(namedKey({ reader, charset }, keyName(reader)));
  while (reader.skipSpaces() && !reader.atEnd());
  return conjunction(keys);
}

/** `(MIN MAX)`; nothing named means ALL (RFC 4731 §3.1). */
export function parseReturns(reader: CommandReader): SearchReturn {
  const returns: SearchReturn = { min: false, max: false, all: false, count: false, save: false, partial: null };
  reader.space();
  const names = reader.list(() => {
    const name = reader.keyword().toLowerCase();
    if (name === 'partial' && returns.partial === null) returns.partial = parsePartialRange(reader);
    else if (isPlainReturn(name)) returns[name] = true;
    else throw reader.syntax('Unknown SEARCH return option');
  });
  if (names.length === 0) returns.all = true;
  // RFC 9394 §3.1: the one or the other.
  if (returns.all && returns.partial !== null) throw reader.syntax('ALL and PARTIAL are not for one search');
  return returns;
}

function isPlainReturn(name: string): name is Exclude<keyof SearchReturn, 'partial'> {
  return PLAIN_RETURNS.has(name);
}

export function parseCharset(reader: CommandReader): string {
  const charset = argument(reader, () => reader.astring().toString('latin1'));
  if (!isSearchCharset(charset)) throw new WireError('BAD_CHARSET', 'Character set is not supported');
  return charset;
}

function conjunction(keys: SearchKey[]): SearchKey {
  const [only] = keys;
  return only !== undefined && keys.length === 1 ? only : { type: 'and', keys };
}

/** The name of a key, or null where a list or a sequence set stands. */
function keyName(reader: CommandReader): string | null {
  return /^[A-Za-z]$/.test(reader.peek()) ? reader.pattern(KEY_NAME, 'a SEARCH key').toUpperCase() : null;
}

function namedKey(context: KeyContext, name: string | null): SearchKey {
  if (name === null) return listOrSet(context);
  const parser = KEYS.get(name);
  if (parser === undefined) throw context.reader.syntax('Unknown SEARCH key');
  return parser(context);
}

function listOrSet(context: KeyContext): SearchKey {
  const { reader } = context;
  if (reader.peek() !== '(') return { type: 'sequence', set: reader.sequenceSet() };
  const keys = reader.list(() => namedKey(context, keyName(reader)));
  if (keys.length === 0) throw reader.syntax('Expected a SEARCH key');
  return conjunction(keys);
}

function nestedKey(context: KeyContext): SearchKey {
  context.reader.space();
  return context.reader.nested(() => namedKey(context, keyName(context.reader)));
}

function argument<T>(reader: CommandReader, read: () => T): T {
  reader.space();
  return read();
}

function searchString({ reader, charset }: KeyContext): string {
  return decodeSearchString(
    argument(reader, () => reader.astring()),
    charset,
  );
}

function objectKey({ reader }: KeyContext, type: 'emailid' | 'threadid'): SearchKey {
  return { type, id: argument(reader, () => reader.pattern(OBJECT_ID, 'an object id')) };
}

function headerKey(context: KeyContext): SearchKey {
  const field = argument(context.reader, () => context.reader.astring().toString('latin1'));
  return { type: 'header', field, value: searchString(context) };
}

function headerKeys(...names: string[]): [string, KeyParser][] {
  return names.map((name) => [name, (context) => ({ type: 'header', field: name, value: searchString(context) })]);
}

function flagKey(flag: string, present: boolean): SearchKey {
  return { type: 'flag', flag: canonicalFlag(flag), present };
}

function flagKeys(...names: string[]): [string, KeyParser][] {
  return names.flatMap((name): [string, KeyParser][] => [
    [name, () => flagKey(`\\${name}`, true)],
    [`UN${name}`, () => flagKey(`\\${name}`, false)],
  ]);
}

function dateKeys(type: 'internaldate' | 'sentdate' | 'savedate', prefix: string): [string, KeyParser][] {
  const comparisons: DayComparison[] = ['before', 'on', 'since'];
  return comparisons.map((comparison) => [
    `${prefix}${comparison.toUpperCase()}`,
    ({ reader }) => ({ type, comparison, day: argument(reader, () => searchDay(reader)) }),
  ]);
}

function searchDay(reader: CommandReader): EpochDay {
  const quoted = reader.accept('"');
  const day = parseDay(reader.pattern(DATE_TEXT, 'a date'));
  if (quoted) reader.expect('"');
  if (day === null) throw reader.syntax('Invalid date');
  return day;
}
