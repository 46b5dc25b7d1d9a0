/**
 * FETCH (RFC 3501 §6.4.5, §7.4.2). What is listed comes from the index, taken in batches; a message is opened only for
 * the bytes of its body, one at a time, and the next one when the client has taken the last.
 */
import type { ListedMessage, ShownMessage } from '../../mailbox/types.ts';
import { previewOf } from '../../mime/preview.ts';
import { applyPartial, extractSection, headerText, isHeaderSection } from '../../mime/structure/section.ts';
import {
  done,
  doneKeepingNumbers,
  enableCondstore,
  type Handler,
  requireQresync,
  type Session,
  selectedOf,
} from '../context.ts';
import { LIST_BATCH } from '../limits.ts';
import { threadId } from '../object-id.ts';
import { Refusal } from '../replies.ts';
import type { Selected } from '../selected.ts';
import { vanishedEarlier } from '../vanished.ts';
import { Answer } from '../wire/answer.ts';
import type { ImapDateTime } from '../wire/date-time.ts';
import type { Dialect } from '../wire/dialect.ts';
import type { FetchBinary, FetchBinarySize, FetchItem, FetchPreview, FetchSection } from '../wire/fetch-items.ts';
import { envelopeText, type FetchValue, structureText } from '../wire/fetch-response.ts';
import { inWindow } from '../wire/partial.ts';
import { SAVED } from '../wire/sets.ts';
import { binaryValue } from './fetch-binary.ts';
import { isKnown, isKnownType, type KnownItem, knownValue, sendKnown } from './fetch-known.ts';
import { messagesOf } from './messages.ts';

export const fetch: Handler<'FETCH'> = async (
  session,
  { uid, set, items, asksUid, changedSince, vanished, partial },
) => {
  const selected = selectedOf(session);
  if (vanished) requireQresync(session);
  if (items.some(({ type }) => type === 'modseq')) await enableCondstore(session);
  const wanted = messagesOf(selected, set, uid).filter(
    (position) => changedSince === null || selected.at(position).revision > changedSince,
  );
  const positions = partial === null ? wanted : inWindow(wanted, partial);
  if (vanished)
    await session.send(
      ...(await vanishedEarlier(selected, {
        modseq: changedSince ?? 0,
        known: set === SAVED ? selected.savedUids() : set,
      })),
    );
  if (items.every(isKnown)) await sendKnown(session, selected, positions, { items, asksUid: asksUid === true });
  else await sendInBatches(session, selected, positions, { items, asksUid: asksUid === true });
  const text = `${uid ? 'UID ' : ''}FETCH completed`;
  return uid ? done(text) : doneKeepingNumbers(text);
};

/** Sets \Seen where it is asked for, and reads from the index what it has. Throws Refusal behind all that can be told. */
async function sendInBatches(
  session: Session,
  selected: Selected,
  positions: readonly number[],
  { items, asksUid }: { items: readonly FetchItem[]; asksUid: boolean },
): Promise<void> {
  const refusals: Refusal[] = [];
  const setsSeen = !selected.readOnly && items.some((item) => 'peek' in item && !item.peek);
  const seenItems = withFlags(items, selected);
  for (let from = 0; from < positions.length && !session.closed; from += LIST_BATCH) {
    const batch = positions.slice(from, from + LIST_BATCH);
    const seenNow = setsSeen ? await markSeen(session, selected, batch) : new Set<number>();
    await sendItems(session, selected, batch, {
      itemsOf: (uid) => (seenNow.has(uid) ? seenItems : items),
      refusals,
      asksUid,
    });
  }
  for (const refusal of refusals) throw refusal;
}

/** What can be told of the others is told, before the command is refused for one message. */
function answered(values: () => FetchValue[], refusals: Refusal[]): FetchValue[] {
  try {
    return values();
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    if (refusals.length === 0) refusals.push(error);
    return [];
  }
}

/** Tells of a batch of messages what is asked of each; what cannot be told goes to `refusals`. */
export async function sendItems(
  session: Session,
  selected: Selected,
  positions: readonly number[],
  asked: { itemsOf: (uid: number) => readonly FetchItem[]; refusals: Refusal[]; asksUid?: boolean },
): Promise<void> {
  const { itemsOf, refusals, asksUid = false } = asked;
  const messages = positions.map((position) => selected.at(position));
  const lists = [...new Set(messages.map(({ uid }) => itemsOf(uid)))];
  const isAsked = (wanted: FetchItem['type']): boolean =>
    lists.some((items) => items.some(({ type }) => type === wanted));
  const isListed = lists.some(needsIndex);
  const listed = isListed ? await selected.view.list(messages) : [];
  const saved = isAsked('savedate') ? await selected.view.saveDates(messages) : [];
  const threads = isAsked('threadid') ? await selected.view.threadIds(messages) : [];
  if (lists.some(needsBytes)) await selected.view.prefetch(messages);
  const answer = new Answer();
  for (const [n, message] of messages.entries()) {
    const items = itemsOf(message.uid);
    const known = { listed: listed[n] ?? null, saved: saved[n] ?? null, thread: threads[n] ?? null };
    // Waiting for each would take longer than all that is done of it.
    const raw = opens(items, known.listed) ? await selected.view.raw(message) : null;
    const values = answered(() => valuesOf(selected, message, items, { ...known, raw }), refusals);
    if (values.length > 0) answer.add(selected.fetchPieces(positions[n] ?? 0, values, { asksUid }));
    if (answer.sizeBytes > FLUSH_BYTES) await session.send(...answer.take());
    if (session.closed) return;
  }
  await session.send(...answer.take());
}

/** What \Seen changed is told, too. */
function withFlags(items: readonly FetchItem[], { tellsModseq }: Selected): FetchItem[] {
  const told = tellsModseq ? (['flags', 'modseq'] as const) : (['flags'] as const);
  const missing = told.filter((name) => !items.some(({ type }) => type === name));
  return [...items, ...missing.map((type) => ({ type }))];
}

/** Enough for one write to be worth it, little enough to be held. */
const FLUSH_BYTES = 128 * 1024;

/** What is known of every message. */
const KNOWN: ReadonlySet<FetchItem['type']> = new Set(['flags', 'uid', 'modseq', 'emailid', 'threadid', 'savedate']);

const needsIndex = (items: readonly FetchItem[]): boolean => items.some(({ type }) => !KNOWN.has(type));

/** Whether the message itself will be asked for, or, with a header too large for the index, may be. */
const needsBytes = (items: readonly FetchItem[]): boolean =>
  items.some((item) => item.type === 'section' && !['header', 'fields', 'fields-not'].includes(item.section.kind)) ||
  items.some(({ type }) => type.startsWith('binary'));

/** Sets \Seen where it is not yet; the UIDs that are answered with their new flags. */
async function markSeen(session: Session, selected: Selected, positions: readonly number[]): Promise<Set<number>> {
  const unseen = positions
    .map((position) => selected.at(position))
    .filter((message) => !message.flags.includes('\\Seen') && !selected.isGone(message));
  if (unseen.length === 0) return new Set();
  const changed = await selected.view.changeFlags(unseen, { mode: 'add', flags: ['\\Seen'] });
  await session.send(...selected.know(changed));
  return new Set(changed.map(({ uid }) => uid));
}

/** Whether one of these cannot be told from the index of the message. */
function opens(items: readonly FetchItem[], listed: ListedMessage | null): boolean {
  if (listed === null) return false;
  return items.some((item) => {
    if (item.type === 'section') return !isHeaderSection(listed.index, item.section);
    if (item.type === 'preview') return !item.lazy && listed.preview === undefined;
    return item.type === 'binary' || item.type === 'binary.size';
  });
}

/** Nothing for a message that is gone: its number is still there, but there is nothing to say of it. */
function valuesOf(
  selected: Selected,
  message: ShownMessage,
  items: readonly FetchItem[],
  {
    listed,
    saved,
    thread,
    raw,
  }: { listed: ListedMessage | null; saved: Date | null; thread: Buffer | null; raw: Buffer | null },
): FetchValue[] {
  if (needsIndex(items) && listed === null) return [];
  const values: FetchValue[] = [];
  for (const item of items) {
    if (item.type === 'binary' || item.type === 'binary.size') {
      if (raw === null) return [];
      values.push(binaryValue(item, (listed as ListedMessage).index, raw));
    } else if (item.type === 'preview') {
      const { preview, index } = listed as ListedMessage;
      values.push({ type: 'preview', text: preview ?? (raw === null ? null : previewOf(raw, index)) });
    } else if (item.type === 'threadid') values.push({ type: 'threadid', id: thread && threadId(thread) });
    else if (item.type === 'savedate') values.push({ type: 'savedate', date: saved && utc(saved) });
    else if (isKnownType(item.type)) values.push(knownValue({ type: item.type }, selected, message));
    else if (item.type !== 'section') values.push(indexedValue(item.type, listed as ListedMessage, selected.dialect));
    else {
      const { index } = listed as ListedMessage;
      const data = sectionOf(index, item, raw);
      if (data === undefined) return [];
      values.push({ type: 'section', item, data });
    }
  }
  return values;
}

const utc = (date: Date): ImapDateTime => ({ unixSeconds: Math.floor(date.getTime() / 1000), zoneMinutes: 0 });

/** Undefined when the message is gone; null when it has no such part. */
function sectionOf(
  index: ListedMessage['index'],
  { section, partial }: FetchSection,
  raw: Buffer | null,
): Buffer | string | null | undefined {
  const header = headerText(index, section);
  if (header !== null) return partial === null ? header : header.slice(partial.offset, partial.offset + partial.count);
  if (raw === null) return undefined;
  const bytes = extractSection(raw, index, section);
  return bytes === null ? null : applyPartial(bytes, partial);
}

/** What has a value for each name alone. */
type PlainItem = Exclude<FetchItem, FetchSection | FetchBinary | FetchBinarySize | FetchPreview>;

type IndexedType = Exclude<PlainItem['type'], KnownItem['type'] | 'savedate' | 'threadid'>;

function indexedValue(type: IndexedType, listed: ListedMessage, dialect: Dialect): FetchValue {
  const { index, internalDate } = listed;
  switch (type) {
    case 'internaldate':
      return { type, date: internalDate };
    case 'rfc822.size':
      return { type, sizeBytes: index.sizeBytes };
    case 'envelope':
      return written('ENVELOPE', listed, dialect, () => envelopeText(index.envelope, dialect));
    default:
      return written(type.toUpperCase(), listed, dialect, () =>
        structureText(index.structure, type === 'bodystructure', dialect),
      );
  }
}

/** Written once for a message, as long as that is kept in memory: clients ask for it again and again. */
function written(name: string, { memo }: ListedMessage, { utf8 }: Dialect, write: () => string): FetchValue {
  const key = utf8 ? `${name} UTF8` : name;
  const text = memo[key] ?? write();
  memo[key] = text;
  return { type: 'written', name, text };
}
