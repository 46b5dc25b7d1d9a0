/** Every response of the server but FETCH (RFC 3501 §7), each a whole line. */

import type { StatusItem } from './commands.ts';
import type { DecoderEvent } from './decoder.ts';
import type { Dialect } from './dialect.ts';
import { ResponseLine } from './encoder.ts';
import type { PartialRange } from './partial.ts';
import { formatResponseCode, type ResponseCode } from './response-code.ts';
import { ADVERTISED_CHARSETS } from './search-charset.ts';
import { formatSequenceSet } from './sets.ts';

export type StatusName = 'OK' | 'NO' | 'BAD';

/** `A1 OK [CODE] text`. */
export function taggedLine(tag: string, status: StatusName, text: string, code?: ResponseCode): Buffer {
  return statusText(`${tag} ${status}`, text, code);
}

/** `* OK [CODE] text`; also the greeting and BYE. */
export function untaggedLine(status: StatusName | 'BYE' | 'PREAUTH', text: string, code?: ResponseCode): Buffer {
  return statusText(`* ${status}`, text, code);
}

/** `+ text`; in AUTHENTICATE the text is base64 of the challenge, possibly empty. */
export function continuationLine(text = ''): Buffer {
  return new ResponseLine().raw(`+ ${printable(text)}`).toBuffer();
}

/** The answer to what the decoder could not read. Without a tag it is untagged; fatal errors are BYE. */
export function errorLine(error: Extract<DecoderEvent, { type: 'error' }>): Buffer {
  if (error.fatal) return untaggedLine('BYE', error.message);
  const { status, code } = errorStatus(error.code);
  return error.tag === null ? untaggedLine('BAD', error.message) : taggedLine(error.tag, status, error.message, code);
}

export function capabilityLine(capabilities: readonly string[]): Buffer {
  return new ResponseLine().raw(`* CAPABILITY ${capabilities.join(' ')}`).toBuffer();
}

export function enabledLine(capabilities: readonly string[]): Buffer {
  return new ResponseLine().raw(['* ENABLED', ...capabilities].join(' ')).toBuffer();
}

/** `* 23 EXISTS`, `* 5 RECENT`, `* 44 EXPUNGE`. */
export function countLine(number: number, name: 'EXISTS' | 'RECENT' | 'EXPUNGE'): Buffer {
  return new ResponseLine().raw(`* ${number} ${name}`).toBuffer();
}

/** `* VANISHED (EARLIER) 41,43:116` (RFC 7162 §3.2.10): `uids` is a set, as it is written. */
export function vanishedLine(uids: string, { earlier }: { earlier: boolean }): Buffer {
  return new ResponseLine().raw(`* VANISHED ${earlier ? '(EARLIER) ' : ''}${uids}`).toBuffer();
}

export function flagsLine(flags: readonly string[]): Buffer {
  return new ResponseLine().raw(`* FLAGS (${flags.join(' ')})`).toBuffer();
}

/** Numbers or UIDs, none of them for an empty result; `modseq`: the highest of the messages found, when it was searched for. */
export function searchLine(
  numbers: readonly number[],
  modseq: number | null = null,
  name: 'SEARCH' | 'SORT' = 'SEARCH',
): Buffer {
  const end = modseq === null ? [] : [`(MODSEQ ${modseq})`];
  return new ResponseLine().raw([`* ${name}`, ...numbers, ...end].join(' ')).toBuffer();
}

/** `threads` as they are written (RFC 5256 §4); empty for none. */
export function threadLine(threads: string): Buffer {
  return new ResponseLine().raw(threads === '' ? '* THREAD' : `* THREAD ${threads}`).toBuffer();
}

/** What ESEARCH tells; a part that is null was not asked for, or there is nothing to tell (RFC 4731 §3.1). */
export interface SearchResult {
  tag: string;
  uid: boolean;
  min: number | null;
  max: number | null;
  all: readonly number[] | null;
  count: number | null;
  modseq: number | null;
  partial: { range: PartialRange; numbers: readonly number[] } | null;
}

export function esearchLine({ tag, uid, min, max, all, count, modseq, partial }: SearchResult): Buffer {
  const line = new ResponseLine()
    .raw('* ESEARCH (TAG ')
    .nstring(tag)
    .raw(uid ? ') UID' : ')');
  if (min !== null) line.raw(` MIN ${min}`);
  if (max !== null) line.raw(` MAX ${max}`);
  if (all !== null && all.length > 0) line.raw(` ALL ${formatSequenceSet(all)}`);
  if (partial !== null) {
    const { range, numbers } = partial;
    const found = numbers.length === 0 ? 'NIL' : formatSequenceSet(numbers);
    line.raw(` PARTIAL (${range.first}:${range.last} ${found})`);
  }
  if (count !== null) line.raw(` COUNT ${count}`);
  if (modseq !== null) line.raw(` MODSEQ ${modseq}`);
  return line.toBuffer();
}

export interface ListEntry {
  /** `\Noselect`, `\HasChildren`, `\Sent` and so on. */
  attributes: readonly string[];
  /** One character, or null for a flat name. */
  delimiter: string | null;
  mailbox: string;
  /** RFC 5258 §3.5: CHILDINFO, the selection options that children match. */
  childInfo?: readonly string[];
  /** RFC 9051 §6.3.9.7: OLDNAME, what the mailbox was called before, or by the client. */
  oldName?: string;
}

export function listLine(name: 'LIST' | 'LSUB', entry: ListEntry, dialect: Dialect): Buffer {
  const line = new ResponseLine(dialect).raw(`* ${name} (${entry.attributes.join(' ')}) `);
  line.nstring(entry.delimiter).raw(' ').mailbox(entry.mailbox);
  const { childInfo = [], oldName } = entry;
  if (childInfo.length > 0) {
    line
      .raw(' ("CHILDINFO" ')
      .list(childInfo, (option) => line.nstring(option))
      .raw(')');
  }
  if (oldName !== undefined) line.raw(' ("OLDNAME" (').mailbox(oldName).raw('))');
  return line.toBuffer();
}

/** Items in the order they were asked for; an id stands in parentheses. */
export function statusLine(
  mailbox: string,
  items: readonly (readonly [item: StatusItem, value: number | string])[],
  dialect: Dialect,
): Buffer {
  const values = items.map(([item, value]) => `${item} ${typeof value === 'string' ? `(${value})` : value}`).join(' ');
  return new ResponseLine(dialect).raw('* STATUS ').mailbox(mailbox).raw(` (${values})`).toBuffer();
}

/** `* QUOTA "" (STORAGE 10 512)` in KiB (RFC 2087 §5.1); no resource where there is no limit. */
export function quotaLine(root: string, storage: { usedKib: number; limitKib: number } | null): Buffer {
  const resources = storage === null ? '' : `STORAGE ${storage.usedKib} ${storage.limitKib}`;
  return new ResponseLine().raw('* QUOTA ').astring(root).raw(` (${resources})`).toBuffer();
}

export function quotaRootLine(mailbox: string, roots: readonly string[], dialect: Dialect): Buffer {
  const line = new ResponseLine(dialect).raw('* QUOTAROOT ').mailbox(mailbox);
  for (const root of roots) line.raw(' ').astring(root);
  return line.toBuffer();
}

export interface NamespaceEntry {
  prefix: string;
  delimiter: string | null;
}

/** RFC 2342 §5; null for a kind of namespace that is not there. */
export function namespaceLine(namespaces: {
  personal: readonly NamespaceEntry[] | null;
  others: readonly NamespaceEntry[] | null;
  shared: readonly NamespaceEntry[] | null;
}): Buffer {
  const line = new ResponseLine().raw('* NAMESPACE');
  for (const entries of [namespaces.personal, namespaces.others, namespaces.shared]) {
    line.raw(' ');
    if (entries === null || entries.length === 0) line.raw('NIL');
    else line.list(entries, (entry) => writeNamespace(line, entry), '');
  }
  return line.toBuffer();
}

/** RFC 2971 §3.2; null gives NIL. */
export function idLine(fields: readonly (readonly [field: string, value: string | null])[] | null): Buffer {
  const line = new ResponseLine().raw('* ID ');
  if (fields === null) return line.raw('NIL').toBuffer();
  return line.list(fields, ([field, value]) => line.utf8(field).raw(' ').utf8(value)).toBuffer();
}

/** LIST and namespaces show the delimiter and a prefix as strings, never as atoms. */
function writeNamespace(line: ResponseLine, { prefix, delimiter }: NamespaceEntry): void {
  line.raw('(').nstring(prefix).raw(' ').nstring(delimiter).raw(')');
}

function errorStatus(code: Extract<DecoderEvent, { type: 'error' }>['code']): {
  status: StatusName;
  code?: ResponseCode;
} {
  switch (code) {
    case 'LITERAL_TOO_BIG':
      return { status: 'NO', code: 'TOOBIG' };
    case 'BAD_CHARSET':
      return { status: 'NO', code: { name: 'BADCHARSET', charsets: ADVERTISED_CHARSETS } };
    case 'BAD_MAILBOX_NAME':
      return { status: 'NO', code: 'CANNOT' };
    default:
      return { status: 'BAD' };
  }
}

function statusText(head: string, text: string, code: ResponseCode | undefined): Buffer {
  const bracketed = code === undefined ? '' : `${formatResponseCode(code)} `;
  // Without a code the text must not look like one.
  const safe = printable(text).replace(/^\[/, '(');
  return new ResponseLine().raw(`${head} ${bracketed}${safe === '' ? '.' : safe}`).toBuffer();
}

/** Text for people (RFC 3501 §9: text): what cannot stand in it becomes a question mark. */
function printable(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, '?');
}
