/** From the frame of one command to a typed command (RFC 3501 §9: command). A table of command names and readers. */
import { parseAppend, parseReplace } from './append-parser.ts';
import type { CommandFrame } from './command-reader.ts';
import { CommandReader } from './command-reader.ts';
import type { Command, CommandBody, MailboxCommandName, SimpleCommandName } from './commands.ts';
import { parseSelect, parseUnchangedSince } from './condstore-parser.ts';
import type { Dialect } from './dialect.ts';
import { parseFetch } from './fetch-parser.ts';
import { settableFlags } from './flags.ts';
import type { DecoderLimits } from './limits.ts';
import { parseList } from './list-parser.ts';
import { parseNotify } from './notify-parser.ts';
import { decodeSaslBase64 } from './sasl-line.ts';
import { parseSearch } from './search-parser.ts';
import { parseSort, parseThread } from './sort-parser.ts';
import { parseStatusItems } from './status-parser.ts';
import { WireError } from './wire-error.ts';

type BodyParser = (reader: CommandReader) => CommandBody;

const SASL_RESPONSE = /[A-Za-z0-9+/=]+/y;
const STORE_ITEM = /[+-]?flags(?:\.silent)?/iy;

const COMMANDS: ReadonlyMap<string, BodyParser> = new Map<string, BodyParser>([
  ...simple(
    'CAPABILITY',
    'NOOP',
    'LOGOUT',
    'STARTTLS',
    'CHECK',
    'CLOSE',
    'UNSELECT',
    'NAMESPACE',
    'IDLE',
    'UNAUTHENTICATE',
  ),
  ['SELECT', (reader) => parseSelect(reader, 'SELECT')],
  ['EXAMINE', (reader) => parseSelect(reader, 'EXAMINE')],
  ...withMailbox('DELETE', 'SUBSCRIBE', 'UNSUBSCRIBE'),
  ['AUTHENTICATE', parseAuthenticate],
  ['LOGIN', parseLogin],
  ['COMPRESS', parseCompress],
  ['CREATE', parseCreate],
  ['RENAME', parseRename],
  ['LIST', parseList],
  ['LSUB', parseLsub],
  ['STATUS', parseStatus],
  ['APPEND', parseAppend],
  ['REPLACE', (reader) => parseReplace(reader, false)],
  ['EXPUNGE', () => ({ name: 'EXPUNGE', uid: false, set: null })],
  ['SEARCH', (reader) => parseSearch(reader, false)],
  ['SORT', (reader) => parseSort(reader, false)],
  ['THREAD', (reader) => parseThread(reader, false)],
  ['NOTIFY', parseNotify],
  ['FETCH', (reader) => parseFetch(reader, false)],
  ['STORE', (reader) => parseStore(reader, false)],
  ['COPY', (reader) => parseTransfer(reader, 'COPY', false)],
  ['MOVE', (reader) => parseTransfer(reader, 'MOVE', false)],
  ['UID', parseUid],
  ['GETQUOTA', (reader) => parseQuota(reader, 'GETQUOTA')],
  ['SETQUOTA', (reader) => parseQuota(reader, 'SETQUOTA')],
  ['GETQUOTAROOT', parseQuotaRoot],
  ['ID', parseId],
  ['ENABLE', parseEnable],
]);

const UID_COMMANDS: ReadonlyMap<string, BodyParser> = new Map<string, BodyParser>([
  ['REPLACE', (reader) => parseReplace(reader, true)],
  ['EXPUNGE', parseUidExpunge],
  ['SEARCH', (reader) => parseSearch(reader, true)],
  ['SORT', (reader) => parseSort(reader, true)],
  ['THREAD', (reader) => parseThread(reader, true)],
  ['FETCH', (reader) => parseFetch(reader, true)],
  ['STORE', (reader) => parseStore(reader, true)],
  ['COPY', (reader) => parseTransfer(reader, 'COPY', true)],
  ['MOVE', (reader) => parseTransfer(reader, 'MOVE', true)],
]);

export type ParsedCommand = { tag: string; command: Command } | { tag: string | null; error: WireError };

/** Reads a whole command. Errors are returned together with the tag, as far as it could be read. */
export function parseCommand(frame: CommandFrame, limits: DecoderLimits, dialect: Dialect): ParsedCommand {
  const reader = new CommandReader(frame, limits, dialect);
  let tag: string | null = null;
  try {
    tag = reader.tag();
    reader.space();
    const body = lookUp(COMMANDS, reader)(reader);
    reader.end();
    return { tag, command: { tag, ...body } };
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
    return { tag, error };
  }
}

function lookUp(table: ReadonlyMap<string, BodyParser>, reader: CommandReader): BodyParser {
  const parser = table.get(reader.keyword());
  if (parser === undefined) throw new WireError('UNKNOWN_COMMAND', 'Unknown command');
  return parser;
}

function simple(...names: SimpleCommandName[]): [string, BodyParser][] {
  return names.map((name) => [name, () => ({ name })]);
}

function withMailbox(...names: MailboxCommandName[]): [string, BodyParser][] {
  return names.map((name) => [
    name,
    (reader) => {
      reader.space();
      return { name, mailbox: reader.mailbox() };
    },
  ]);
}

function parseUid(reader: CommandReader): CommandBody {
  reader.space();
  return lookUp(UID_COMMANDS, reader)(reader);
}

function parseAuthenticate(reader: CommandReader): CommandBody {
  reader.space();
  const mechanism = reader.keyword();
  if (!reader.skipSpaces() || reader.atEnd()) return { name: 'AUTHENTICATE', mechanism, initialResponse: null };
  const text = reader.pattern(SASL_RESPONSE, 'an initial response');
  const initialResponse = text === '=' ? Buffer.alloc(0) : decodeSaslBase64(text);
  if (initialResponse === null) throw reader.syntax('Initial response is not base64');
  return { name: 'AUTHENTICATE', mechanism, initialResponse };
}

function parseLogin(reader: CommandReader): CommandBody {
  reader.space();
  const user = reader.text();
  reader.space();
  return { name: 'LOGIN', user, password: reader.text() };
}

function parseCompress(reader: CommandReader): CommandBody {
  reader.space();
  return { name: 'COMPRESS', mechanism: reader.keyword() };
}

function parseCreate(reader: CommandReader): CommandBody {
  reader.space();
  const mailbox = reader.mailbox();
  if (!reader.skipSpaces() || reader.atEnd()) return { name: 'CREATE', mailbox, specialUse: [] };
  reader.expect('(');
  if (reader.keyword() !== 'USE') throw reader.syntax('Expected USE');
  reader.space();
  const specialUse = reader.list(() => reader.flag());
  reader.skipSpaces();
  reader.expect(')');
  return { name: 'CREATE', mailbox, specialUse };
}

function parseRename(reader: CommandReader): CommandBody {
  reader.space();
  const from = reader.mailbox();
  reader.space();
  return { name: 'RENAME', from, to: reader.mailbox() };
}

function parseLsub(reader: CommandReader): CommandBody {
  reader.space();
  const reference = reader.mailbox();
  reader.space();
  return { name: 'LSUB', reference, pattern: reader.listMailbox() };
}

function parseStatus(reader: CommandReader): CommandBody {
  reader.space();
  const mailbox = reader.mailbox();
  return { name: 'STATUS', mailbox, items: parseStatusItems(reader) };
}

function parseStore(reader: CommandReader, uid: boolean): CommandBody {
  reader.space();
  const set = reader.sequenceSet();
  reader.space();
  const unchangedSince = reader.peek() === '(' ? parseUnchangedSince(reader) : null;
  const item = reader.pattern(STORE_ITEM, 'FLAGS').toUpperCase();
  reader.space();
  const flags = settableFlags(reader.peek() === '(' ? reader.list(() => reader.flag()) : bareFlags(reader));
  const mode = item.startsWith('+') ? 'add' : item.startsWith('-') ? 'remove' : 'replace';
  return { name: 'STORE', uid, set, mode, silent: item.endsWith('.SILENT'), flags, unchangedSince };
}

function bareFlags(reader: CommandReader): string[] {
  const flags = [reader.flag()];
  while (reader.skipSpaces() && !reader.atEnd()) flags.push(reader.flag());
  return flags;
}

function parseTransfer(reader: CommandReader, name: 'COPY' | 'MOVE', uid: boolean): CommandBody {
  reader.space();
  const set = reader.sequenceSet();
  reader.space();
  return { name, uid, set, mailbox: reader.mailbox() };
}

function parseUidExpunge(reader: CommandReader): CommandBody {
  reader.space();
  return { name: 'EXPUNGE', uid: true, set: reader.sequenceSet() };
}

/** The limits that SETQUOTA names are read and forgotten: they are set elsewhere. */
function parseQuota(reader: CommandReader, name: 'GETQUOTA' | 'SETQUOTA'): CommandBody {
  reader.space();
  const root = reader.text();
  if (name === 'GETQUOTA') return { name, root };
  reader.space();
  reader.list(() => {
    reader.atom();
    reader.space();
    reader.number();
  });
  return { name, root };
}

function parseQuotaRoot(reader: CommandReader): CommandBody {
  reader.space();
  return { name: 'GETQUOTAROOT', mailbox: reader.mailbox() };
}

function parseId(reader: CommandReader): CommandBody {
  reader.space();
  if (reader.peek() !== '(') {
    if (reader.keyword() !== 'NIL') throw reader.syntax('Expected a list or NIL');
    return { name: 'ID', fields: null };
  }
  const fields = reader.list((): [string, string | null] => {
    const field = reader.string().toString('utf8');
    reader.space();
    return [field, reader.nstring()?.toString('utf8') ?? null];
  });
  return { name: 'ID', fields };
}

function parseEnable(reader: CommandReader): CommandBody {
  reader.space();
  const capabilities = [reader.keyword()];
  while (reader.skipSpaces() && !reader.atEnd()) capabilities.push(reader.keyword());
  return { name: 'ENABLE', capabilities };
}
