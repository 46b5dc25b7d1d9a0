/** Items of STATUS (RFC 3501 §6.3.10), also as LIST asks for them (RFC 5819). */
import type { CommandReader } from './command-reader.ts';
import type { StatusItem } from './commands.ts';

const STATUS_ITEMS: ReadonlySet<string> = new Set<StatusItem>([
  ...(['MESSAGES', 'RECENT', 'UIDNEXT', 'UIDVALIDITY', 'UNSEEN', 'DELETED', 'SIZE'] as const),
  ...(['HIGHESTMODSEQ', 'APPENDLIMIT', 'MAILBOXID'] as const),
]);

/** `(MESSAGES UNSEEN)`, at least one. */
export function parseStatusItems(reader: CommandReader): StatusItem[] {
  reader.space();
  const items = reader.list(() => {
    const item = reader.keyword();
    if (!isStatusItem(item)) throw reader.syntax('Unknown STATUS item');
    return item;
  });
  if (items.length === 0) throw reader.syntax('Expected a STATUS item');
  return items;
}

function isStatusItem(item: string): item is StatusItem {
  return STATUS_ITEMS.has(item);
}
