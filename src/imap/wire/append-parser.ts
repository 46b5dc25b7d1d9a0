/** APPEND (RFC 3501 §6.3.11), and its message as `UTF8 (~{n} …)` (RFC 6855 §4). */
import type { CommandReader } from './command-reader.ts';
import type { AppendCommand } from './commands.ts';
import { type ImapDateTime, parseDateTime } from './date-time.ts';
import { settableFlags } from './flags.ts';

export function parseAppend(reader: CommandReader): AppendCommand {
  reader.space();
  const mailbox = reader.mailbox();
  reader.space();
  const flags = reader.peek() === '(' ? parseFlags(reader) : [];
  const internalDate = reader.peek() === '"' ? parseInternalDate(reader) : null;
  const utf8 = reader.peek() !== '';
  const message = utf8 ? utf8Message(reader) : reader.literal(true).bytes;
  return { name: 'APPEND', mailbox, flags, internalDate, message, utf8 };
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
