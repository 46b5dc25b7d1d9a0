/** NOTIFY (RFC 5465 §8). Events that nobody here knows are no mistake of syntax: they are refused with the names of those known. */
import type { CommandReader } from './command-reader.ts';
import type { NotifyCommand, NotifyEvent, NotifyFilter, NotifyGroup } from './commands.ts';
import { parseFetchItem } from './fetch-parser.ts';

/** In their usual spelling, by their upper case. */
const EVENTS: ReadonlyMap<string, NotifyEvent> = new Map(
  (['MessageNew', 'MessageExpunge', 'FlagChange', 'MailboxName', 'SubscriptionChange'] as const).map((name) => [
    name.toUpperCase(),
    name,
  ]),
);
export const NOTIFY_EVENTS: readonly NotifyEvent[] = [...EVENTS.values()];
const MESSAGE_EVENTS: ReadonlySet<string> = new Set(['MESSAGENEW', 'MESSAGEEXPUNGE', 'FLAGCHANGE', 'ANNOTATIONCHANGE']);
/** What `selected` and `selected-delayed` are named by. */
const WITHOUT_NAMES: ReadonlyMap<string, NotifyFilter['type']> = new Map([
  ['SELECTED', 'selected'],
  ['SELECTED-DELAYED', 'selected-delayed'],
  ['INBOXES', 'inboxes'],
  ['PERSONAL', 'personal'],
  ['SUBSCRIBED', 'subscribed'],
]);
const WITH_NAMES: ReadonlyMap<string, 'subtree' | 'mailboxes'> = new Map([
  ['SUBTREE', 'subtree'],
  ['MAILBOXES', 'mailboxes'],
]);

export function parseNotify(reader: CommandReader): NotifyCommand {
  reader.space();
  const form = reader.keyword();
  if (form === 'NONE') return { name: 'NOTIFY', groups: null, status: false };
  if (form !== 'SET') throw reader.syntax('Expected SET or NONE');
  reader.space();
  const status = reader.peek() !== '(';
  if (status && reader.keyword() !== 'STATUS') throw reader.syntax('Expected STATUS or a group of events');
  if (status) reader.space();
  const groups = [parseGroup(reader)];
  while (reader.skipSpaces() && !reader.atEnd()) groups.push(parseGroup(reader));
  if (groups.filter(({ filter }) => isOfSelected(filter)).length > 1)
    throw reader.syntax('The selected mailbox is named twice');
  return { name: 'NOTIFY', groups, status };
}

export function isOfSelected({ type }: NotifyFilter): boolean {
  return type === 'selected' || type === 'selected-delayed';
}

function parseGroup(reader: CommandReader): NotifyGroup {
  reader.expect('(');
  const filter = parseFilter(reader);
  reader.space();
  const { names, items } = reader.peek() === '(' ? parseEvents(reader) : parseNone(reader);
  reader.expect(')');
  checkTogether(reader, names, isOfSelected(filter));
  if (items.length > 0 && !isOfSelected(filter)) throw reader.syntax('Only of the selected mailbox messages are told');
  const events = names.flatMap((name) => EVENTS.get(name) ?? []);
  return { filter, events, items, unknown: events.length < names.length };
}

function parseFilter(reader: CommandReader): NotifyFilter {
  const name = reader.keyword();
  const plain = WITHOUT_NAMES.get(name);
  if (plain !== undefined) return { type: plain, names: [] };
  const type = WITH_NAMES.get(name);
  if (type === undefined) throw reader.syntax('Unknown choice of mailboxes');
  reader.space();
  const names = reader.peek() === '(' ? reader.list(() => reader.mailbox()) : [reader.mailbox()];
  if (names.length === 0) throw reader.syntax('Expected a mailbox');
  return { type, names };
}

type Events = { names: string[]; items: NotifyGroup['items'] };

function parseNone(reader: CommandReader): Events {
  if (reader.keyword() !== 'NONE') throw reader.syntax('Expected events or NONE');
  return { names: [], items: [] };
}

/** `(MessageNew (UID FLAGS) MessageExpunge)`, at least one event. */
function parseEvents(reader: CommandReader): Events {
  const events: Events = { names: [], items: [] };
  reader.expect('(');
  reader.skipSpaces();
  let goesOn = true;
  while (goesOn) {
    const name = reader.keyword();
    events.names.push(name);
    goesOn = reader.skipSpaces();
    if (name === 'MESSAGENEW' && reader.peek() === '(') {
      events.items.push(...reader.list(() => parseFetchItem(reader)));
      if (events.items.length === 0) throw reader.syntax('Expected a FETCH item');
      goesOn = reader.skipSpaces();
    }
    if (reader.peek() === ')') goesOn = false;
  }
  reader.expect(')');
  return events;
}

/** RFC 5465 §5, §6.1: which events may be asked for with which. */
function checkTogether(reader: CommandReader, names: readonly string[], ofSelected: boolean): void {
  const has = (name: string): boolean => names.includes(name);
  if (has('MESSAGENEW') !== has('MESSAGEEXPUNGE')) throw reader.syntax('MessageNew and MessageExpunge go together');
  if ((has('FLAGCHANGE') || has('ANNOTATIONCHANGE')) && !has('MESSAGENEW'))
    throw reader.syntax('Changes are told with MessageNew and MessageExpunge');
  if (ofSelected && names.some((name) => !MESSAGE_EVENTS.has(name)))
    throw reader.syntax('Only messages are told of the selected mailbox');
}
