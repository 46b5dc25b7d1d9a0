/**
 * What CONDSTORE adds to commands (RFC 7162 §3.1, §7): parameters of SELECT and EXAMINE, modifiers of FETCH and STORE, and
 * the MODSEQ key of SEARCH. Parameters not known to the server are refused.
 */
import type { CommandReader } from './command-reader.ts';
import type { SearchKey, SelectCommand } from './commands.ts';

const ENTRY_TYPE = /(?:all|priv|shared)(?= )/iy;

export function parseSelect(reader: CommandReader, name: SelectCommand['name']): SelectCommand {
  reader.space();
  const command: SelectCommand = { name, mailbox: reader.mailbox(), condstore: false };
  if (!reader.skipSpaces() || reader.atEnd()) return command;
  modifiers(reader, (parameter) => {
    if (parameter !== 'CONDSTORE') throw reader.syntax('Unknown SELECT parameter');
    command.condstore = true;
  });
  return command;
}

/** `(CHANGEDSINCE 12345)` behind the items of FETCH. */
export function parseChangedSince(reader: CommandReader): number | null {
  if (!reader.skipSpaces() || reader.atEnd()) return null;
  let changedSince: number | null = null;
  modifiers(reader, (modifier) => {
    if (modifier !== 'CHANGEDSINCE') throw reader.syntax('Unknown FETCH modifier');
    reader.space();
    changedSince = reader.modSequence();
  });
  return changedSince;
}

/** `(UNCHANGEDSINCE 12345) ` before the item of STORE. */
export function parseUnchangedSince(reader: CommandReader): number | null {
  let unchangedSince: number | null = null;
  modifiers(reader, (modifier) => {
    if (modifier !== 'UNCHANGEDSINCE') throw reader.syntax('Unknown STORE modifier');
    reader.space();
    unchangedSince = reader.modSequence();
  });
  reader.space();
  return unchangedSince;
}

/** `MODSEQ 12345`, or with the name and type of an entry: here all flags of a message share one mod-sequence. */
export function parseModSequenceKey(reader: CommandReader): SearchKey {
  reader.space();
  if (reader.peek() === '"') {
    reader.string();
    reader.space();
    reader.pattern(ENTRY_TYPE, 'the type of the entry');
    reader.space();
  }
  return { type: 'modseq', least: reader.modSequence() };
}

/** `( name … )`, each name once; `read` takes what belongs to it. */
function modifiers(reader: CommandReader, read: (name: string) => void): void {
  const seen = new Set<string>();
  reader.list(() => {
    const name = reader.keyword();
    if (seen.has(name)) throw reader.syntax('The same is said twice');
    seen.add(name);
    read(name);
  });
  if (seen.size === 0) throw reader.syntax('Expected a modifier');
}
