/** FETCH of what the list of a folder holds. Nothing is read for it, so many lines are written at once, as text. */
import type { ShownMessage } from '../../mailbox/types.ts';
import type { Session } from '../context.ts';
import { emailId } from '../object-id.ts';
import type { Selected } from '../selected.ts';
import type { FetchItem } from '../wire/fetch-items.ts';
import { fetchHead, type KnownValue, knownText } from '../wire/fetch-response.ts';

/** Enough for one write to be worth it, little enough to be held. */
const FLUSH_CHARS = 64 * 1024;

export type KnownItem = { type: 'flags' | 'uid' | 'modseq' | 'emailid' };

const KNOWN: ReadonlySet<FetchItem['type']> = new Set(['flags', 'uid', 'modseq', 'emailid']);

export const isKnownType = (type: FetchItem['type']): type is KnownItem['type'] => KNOWN.has(type);

export const isKnown = (item: { type: FetchItem['type'] }): item is KnownItem => isKnownType(item.type);

export function knownValue({ type }: KnownItem, selected: Selected, message: ShownMessage): KnownValue {
  switch (type) {
    case 'flags':
      return { type, flags: selected.flagsOf(message) };
    case 'uid':
      return { type, uid: message.uid };
    case 'modseq':
      return { type, modseq: message.revision };
    case 'emailid':
      return { type, id: emailId(message) };
  }
}

/** The same lines as `sendItems` sends. */
export async function sendKnown(
  session: Session,
  selected: Selected,
  positions: readonly number[],
  { items, asksUid }: { items: readonly KnownItem[]; asksUid: boolean },
): Promise<void> {
  const told = selected.tellsUidOnly && !asksUid ? items.filter(({ type }) => type !== 'uid') : items;
  if (told.length === 0) return;
  let lines = '';
  for (const position of positions) {
    lines += knownLine(selected, position, told);
    if (lines.length < FLUSH_CHARS) continue;
    await session.send(Buffer.from(lines, 'latin1'));
    if (session.closed) return;
    lines = '';
  }
  if (lines !== '') await session.send(Buffer.from(lines, 'latin1'));
}

function knownLine(selected: Selected, position: number, items: readonly KnownItem[]): string {
  const message = selected.at(position);
  let values = '';
  for (const item of items) {
    if (values !== '') values += ' ';
    values += knownText(knownValue(item, selected, message));
  }
  return `${fetchHead(selected.addressOf(position))}(${values})\r\n`;
}
