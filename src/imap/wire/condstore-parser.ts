/**
 * What CONDSTORE and QRESYNC add to commands (RFC 7162 §7): parameters of SELECT and EXAMINE, modifiers of FETCH and STORE,
 * and the MODSEQ key of SEARCH. Parameters not known to the server are refused.
 */
import type { CommandReader } from './command-reader.ts';
import type { FetchCommand, Resync, SelectCommand } from './commands.ts';
import { parsePartialRange } from './partial.ts';
import type { SearchKey } from './search-commands.ts';
import { countOfAscending, SAVED, type SequenceSet } from './sets.ts';

const ENTRY_TYPE = /(?:all|priv|shared)(?= )/iy;

export function parseSelect(reader: CommandReader, name: SelectCommand['name']): SelectCommand {
  reader.space();
  const command: SelectCommand = { name, mailbox: reader.mailbox(), condstore: false, qresync: null };
  if (!reader.skipSpaces() || reader.atEnd()) return command;
  modifiers(reader, (parameter) => {
    if (parameter === 'CONDSTORE') command.condstore = true;
    else if (parameter === 'QRESYNC') command.qresync = parseResync(reader);
    else throw reader.syntax('Unknown SELECT parameter');
  });
  return command;
}

/** ` (67890007 90060115194045000 41:211 (1,5,9 41,45,49))`, the last two optional. */
function parseResync(reader: CommandReader): Resync {
  reader.space();
  reader.expect('(');
  const uidValidity = reader.nonZeroNumber();
  reader.space();
  const resync: Resync = { uidValidity, modseq: reader.modSequence(), knownUids: null, match: null };
  if (resync.modseq === 0) throw reader.syntax('Mod-sequence must not be zero');
  if (reader.skipSpaces() && /^\d$/.test(reader.peek())) {
    resync.knownUids = ascending(reader);
    reader.skipSpaces();
  }
  if (reader.peek() === '(') resync.match = parseMatch(reader);
  reader.skipSpaces();
  reader.expect(')');
  return resync;
}

function parseMatch(reader: CommandReader): Resync['match'] {
  reader.expect('(');
  const numbers = ascending(reader);
  reader.space();
  const uids = ascending(reader);
  reader.expect(')');
  if (countOfAscending(numbers) !== countOfAscending(uids)) throw reader.syntax('Not as many numbers as UIDs');
  return { numbers, uids };
}

function ascending(reader: CommandReader): SequenceSet {
  const set = reader.sequenceSet();
  if (set === SAVED || countOfAscending(set) === null) throw reader.syntax('Expected an ascending set without "*"');
  return set;
}

/** `(CHANGEDSINCE 12345 VANISHED PARTIAL 1:50)` behind the items of FETCH; VANISHED only in UID FETCH. */
export function parseFetchModifiers(
  reader: CommandReader,
  uid: boolean,
): Pick<FetchCommand, 'changedSince' | 'vanished' | 'partial'> {
  const asked: ReturnType<typeof parseFetchModifiers> = { changedSince: null, vanished: false, partial: null };
  if (!reader.skipSpaces() || reader.atEnd()) return asked;
  modifiers(reader, (modifier) => {
    if (modifier === 'VANISHED' && uid) asked.vanished = true;
    else if (modifier === 'PARTIAL') asked.partial = parsePartialRange(reader);
    else if (modifier === 'CHANGEDSINCE') {
      reader.space();
      asked.changedSince = reader.modSequence();
    } else throw reader.syntax('Unknown FETCH modifier');
  });
  if (asked.vanished && asked.changedSince === null) throw reader.syntax('VANISHED needs CHANGEDSINCE');
  return asked;
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
