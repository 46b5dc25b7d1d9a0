/**
 * LIST (RFC 3501 §6.3.8) with all options of LIST-EXTENDED, SPECIAL-USE and LIST-STATUS (RFC 5258 §3, RFC 6154 §5.2,
 * RFC 5819 §2).
 * Options not known to the server are refused (RFC 5258 §3: BAD).
 */
import type { CommandReader } from './command-reader.ts';
import type { ListCommand, ListReturn, ListSelection, StatusItem } from './commands.ts';
import type { MailboxName } from './mailbox-name.ts';
import { parseStatusItems } from './status-parser.ts';

const SELECTIONS: ReadonlySet<string> = new Set<ListSelection>([
  'SUBSCRIBED',
  'REMOTE',
  'RECURSIVEMATCH',
  'SPECIAL-USE',
]);
const RETURNS: ReadonlySet<string> = new Set<ListReturn>(['SUBSCRIBED', 'CHILDREN', 'SPECIAL-USE']);

export function parseList(reader: CommandReader): ListCommand {
  reader.space();
  const hasSelection = reader.peek() === '(';
  const selection = hasSelection ? parseSelection(reader) : [];
  const reference = reader.mailbox();
  reader.space();
  const severalPatterns = reader.peek() === '(';
  const patterns = severalPatterns ? parsePatterns(reader) : [reader.listMailbox()];
  const hasReturn = reader.skipSpaces() && !reader.atEnd();
  const { returns, status } = hasReturn ? parseReturns(reader) : { returns: [], status: [] };
  return {
    name: 'LIST',
    selection,
    reference,
    patterns,
    returns,
    status,
    extended: hasSelection || severalPatterns || hasReturn,
  };
}

function parseSelection(reader: CommandReader): ListSelection[] {
  const selection = reader.list(() => option(reader, isSelection));
  reader.space();
  // RFC 5258 §3.1: RECURSIVEMATCH alone selects nothing.
  const selects = selection.some((name) => name !== 'RECURSIVEMATCH' && name !== 'REMOTE');
  if (selection.includes('RECURSIVEMATCH') && !selects) throw reader.syntax('RECURSIVEMATCH needs another option');
  return selection;
}

function parsePatterns(reader: CommandReader): MailboxName[] {
  const patterns = reader.list(() => reader.listMailbox());
  if (patterns.length === 0) throw reader.syntax('Expected a mailbox pattern');
  return patterns;
}

function parseReturns(reader: CommandReader): Pick<ListCommand, 'returns' | 'status'> {
  if (reader.keyword() !== 'RETURN') throw reader.syntax('Expected RETURN');
  reader.space();
  const returns: ListReturn[] = [];
  let status: StatusItem[] = [];
  reader.list(() => {
    const name = reader.keyword();
    if (name === 'STATUS') status = parseStatusItems(reader);
    else returns.push(option(reader, isReturn, name));
  });
  return { returns, status };
}

function option<T extends string>(
  reader: CommandReader,
  known: (name: string) => name is T,
  name: string = reader.keyword(),
): T {
  if (!known(name)) throw reader.syntax('Unknown LIST option');
  return name;
}

function isSelection(name: string): name is ListSelection {
  return SELECTIONS.has(name);
}

function isReturn(name: string): name is ListReturn {
  return RETURNS.has(name);
}
