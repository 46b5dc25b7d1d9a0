/** NOTIFY (RFC 5465): what is told without being asked for, also while no command is being worked on. */
import { done, type Handler, mailboxOf, type Session } from '../context.ts';
import { LIST_BATCH, MAX_NOTIFY_GROUPS, MAX_NOTIFY_NAMES } from '../limits.ts';
import { Notify } from '../notify.ts';
import { Refusal } from '../replies.ts';
import type { Selected } from '../selected.ts';
import type { NotifyGroup } from '../wire/commands.ts';
import { NOTIFY_EVENTS } from '../wire/notify-parser.ts';
import { untaggedLine } from '../wire/responses.ts';
import { sendItems } from './fetch.ts';

export const notify: Handler<'NOTIFY'> = async (session, { groups, status }) => {
  const mailbox = mailboxOf(session);
  checkGroups(groups ?? []);
  // What the client was not told so far it hears now (RFC 5465 §3.1).
  if (groups !== null && session.selected !== null) await session.send(...(await session.selected.sync(true)));
  session.notify?.stop();
  session.notify = new Notify(groups ?? []);
  await session.notify.start(mailbox, () => session.wake());
  if (status) await session.send(...session.notify.statusLines(readerOf(session)));
  return done('NOTIFY completed');
};

function checkGroups(groups: readonly NotifyGroup[]): void {
  if (groups.some(({ unknown }) => unknown))
    throw new Refusal('NO', 'There are other events', { name: 'BADEVENT', events: NOTIFY_EVENTS });
  const names = groups.reduce((sum, { filter }) => sum + filter.names.length, 0);
  if (groups.length > MAX_NOTIFY_GROUPS || names > MAX_NOTIFY_NAMES)
    throw new Refusal('NO', 'This is too much to be watched', 'NOTIFICATIONOVERFLOW');
}

const readerOf = ({ selected, enabled, dialect }: Session) => ({
  selectedId: selected?.view.folder.id ?? null,
  knowsModseq: enabled.has('CONDSTORE'),
  dialect,
});

/**
 * Tells what the client wants to hear. `mayExpunge`: numbers of messages may change now. Without a NOTIFY that is all of the
 * selected mailbox, and nothing else.
 */
export async function tellSelected(session: Session, mayExpunge: boolean): Promise<void> {
  const { selected, notify: asked } = session;
  const wishes = asked === null ? { flags: true, items: [] } : asked.selected;
  if (selected === null || wishes === null) return;
  await session.send(...(await selected.sync(mayExpunge, { flags: wishes.flags })));
  if (wishes.items.length > 0) await sendNew(session, selected, wishes.items);
}

async function sendNew(session: Session, selected: Selected, items: Parameters<typeof withUid>[0]): Promise<void> {
  const { length } = selected.messages;
  const told = withUid(items);
  for (let from = length - selected.added; from < length; from += LIST_BATCH) {
    const positions = Array.from({ length: Math.min(LIST_BATCH, length - from) }, (_one, n) => from + n);
    // What a message does not have is passed over.
    await sendItems(session, selected, positions, { itemsOf: () => told, refusals: [] });
  }
}

/** Whoever hears of messages at any time knows them by their UIDs. */
function withUid(items: NotifyGroup['items'] | readonly NotifyGroup['items'][number][]) {
  return items.some(({ type }) => type === 'uid') ? items : [{ type: 'uid' as const }, ...items];
}

/** Whether something is to be told while no command is being worked on. */
export function hasNews({ notify: asked, selected }: Session): boolean {
  if (asked === null) return false;
  return asked.isDue || (selected !== null && asked.selected?.atOnce === true && selected.hasGone);
}

/** Tells it. `idle`: within IDLE removals may be told as well. What is too much, or fails, ends all telling (RFC 5465 §5.8). */
export async function tellNews(session: Session, { idle }: { idle: boolean }): Promise<void> {
  const { notify: asked } = session;
  if (asked === null) return;
  const lines = asked.takeNews(readerOf(session));
  if (lines === null) {
    asked.stop();
    session.notify = new Notify([]);
    await session.send(untaggedLine('OK', 'Too much changed; look for yourself', 'NOTIFICATIONOVERFLOW'));
    return;
  }
  await session.send(...lines);
  const wishes = asked.selected;
  if (wishes === null) return;
  if (asked.takeSelectedChanged() || session.selected?.hasGone === true)
    await tellSelected(session, idle || wishes.atOnce);
}
