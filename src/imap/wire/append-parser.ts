/**
 * APPEND (RFC 3501 §6.3.11) of one message or several (RFC 3502), each also as `UTF8 (~{n} …)` (RFC 6855 §4), and REPLACE
 * (RFC 8508).
 */
import type { CommandReader } from './command-reader.ts';
import type { AppendCommand, AppendMessage, ReplaceCommand } from './commands.ts';
import { type ImapDateTime, parseDateTime } from './date-time.ts';
import { settableFlags } from './flags.ts';
import { SAVED } from './sets.ts';

export function parseAppend(reader: CommandReader): AppendCommand {
  reader.space();
  const mailbox = reader.mailbox();
  const messages: AppendMessage[] = [];
  do {
    reader.space();
    messages.push(parseMessage(reader));
  } while (!reader.atEnd());
  return { name: 'APPEND', mailbox, messages };
}

export function parseReplace(reader: CommandReader, uid: boolean): ReplaceCommand {
  reader.space();
  const set = reader.sequenceSet();
  const [only, ...more] = set;
  if (set === SAVED || only === undefined || more.length > 0 || only.first !== only.last) {
    throw reader.syntax('Expected the number of one message');
  }
  reader.space();
  const mailbox = reader.mailbox();
  reader.space();
  return { name: 'REPLACE', uid, set, mailbox, message: parseMessage(reader) };
}

function parseMessage(reader: CommandReader): AppendMessage {
  const flags = reader.peek() === '(' ? parseFlags(reader) : [];
  const internalDate = reader.peek() === '"' ? parseInternalDate(reader) : null;
  const utf8 = reader.peek() !== '';
  const message = utf8 ? utf8Message(reader) : reader.literal(true).bytes;
  return { flags, internalDate, message, utf8 };
}

function parseFlags(reader: CommandReader): string[] {
  const flags = settableFlags(reader.list(() => reader.flag()));
  reader.space();
  return flags;
}

function parseInternalDate(reader: CommandReader): ImapDateTime {
  const date = parseDateTime(reader.string().toString('latin1'));
  if (date === null) throw reader.syntax('Invalid date');
  reader.space();
  return date;
}

function utf8Message(reader: CommandReader): Buffer {
  if (reader.keyword() !== 'UTF8') throw reader.syntax('Expected a message literal');
  reader.space();
  reader.expect('(');
  const { bytes } = reader.literal(true);
  reader.expect(')');
  return bytes;
}
