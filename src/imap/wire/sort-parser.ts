/** SORT and THREAD (RFC 5256 §3), with the keys of RFC 5957 and the return options of RFC 5267 §3. */
import type { CommandReader } from './command-reader.ts';
import type { SortCommand, SortCriterion, SortKey, ThreadAlgorithm, ThreadCommand } from './search-commands.ts';
import { parseCharset, parseReturns, parseSearchKeys } from './search-parser.ts';

const SORT_KEYS: ReadonlySet<string> = new Set<SortKey>([
  ...(['ARRIVAL', 'CC', 'DATE', 'FROM', 'SIZE', 'SUBJECT', 'TO'] as const),
  ...(['DISPLAYFROM', 'DISPLAYTO'] as const),
]);
const ALGORITHMS: ReadonlySet<string> = new Set<ThreadAlgorithm>(['REFERENCES', 'ORDEREDSUBJECT']);

/** `SORT RETURN (MIN) (REVERSE DATE SUBJECT) UTF-8 UNSEEN`: unlike that of SEARCH the charset must be there. */
export function parseSort(reader: CommandReader, uid: boolean): SortCommand {
  reader.space();
  const hasReturns = reader.peek() !== '(';
  if (hasReturns && reader.keyword() !== 'RETURN') throw reader.syntax('Expected sort criteria');
  const returns = hasReturns ? parseReturns(reader) : null;
  if (hasReturns) reader.space();
  const criteria = parseCriteria(reader);
  const charset = parseCharset(reader);
  return { name: 'SORT', uid, returns, criteria, charset, key: parseSearchKeys(reader, charset) };
}

function parseCriteria(reader: CommandReader): SortCriterion[] {
  const criteria = reader.list((): SortCriterion => {
    const first = reader.keyword();
    const reverse = first === 'REVERSE';
    if (reverse) reader.space();
    const key = reverse ? reader.keyword() : first;
    if (!isSortKey(key)) throw reader.syntax('Unknown sort key');
    return { key, reverse };
  });
  if (criteria.length === 0) throw reader.syntax('Expected a sort key');
  return criteria;
}

export function parseThread(reader: CommandReader, uid: boolean): ThreadCommand {
  reader.space();
  const algorithm = reader.keyword();
  if (!isAlgorithm(algorithm)) throw reader.syntax('Unknown threading algorithm');
  const charset = parseCharset(reader);
  return { name: 'THREAD', uid, algorithm, charset, key: parseSearchKeys(reader, charset) };
}

function isSortKey(name: string): name is SortKey {
  return SORT_KEYS.has(name);
}

function isAlgorithm(name: string): name is ThreadAlgorithm {
  return ALGORITHMS.has(name);
}
