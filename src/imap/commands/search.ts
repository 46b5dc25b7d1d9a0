/**
 * SEARCH (RFC 3501 §6.4.4). Flags, numbers and UIDs are known; dates, sizes and headers come from the index; only BODY
 * and TEXT open messages, and only those that everything else left over.
 */
import type { ListedMessage, ShownMessage } from '../../mailbox/types.ts';
import { compareDay, dayOfDateHeader, dayOfInstant } from '../../mime/structure/calendar-day.ts';
import { addressContains, bodyContains, headerContains, isAddressField, textContains } from '../../mime/text-search.ts';
import {
  type Done,
  done,
  doneKeepingNumbers,
  enableCondstore,
  type Handler,
  type Session,
  selectedOf,
} from '../context.ts';
import { LIST_BATCH, PROGRESS_EVERY_MS } from '../limits.ts';
import { emailId, threadId } from '../object-id.ts';
import { Refusal } from '../replies.ts';
import type { Selected } from '../selected.ts';
import { RECENT } from '../wire/flags.ts';
import { untaggedLine } from '../wire/responses.ts';
import type { SearchCommand, SearchKey, SearchReturn } from '../wire/search-commands.ts';
import { SAVED, setContains } from '../wire/sets.ts';
import { Ahead } from './read-ahead.ts';
import { answerOf, type Found, savedOf } from './search-answer.ts';
import { SearchBudget } from './search-budget.ts';

/** The only answer of IMAP4rev2 is ESEARCH (RFC 9051 §6.4.4). */
const ALL: SearchReturn = { min: false, max: false, all: true, count: false, save: false, partial: null };

export const search: Handler<'SEARCH'> = async (session, command) => {
  const selected = selectedOf(session);
  if (command.charset !== null && session.enabled.has('UTF8=ACCEPT')) throw new Refusal('BAD', 'All text is UTF-8 now');
  const found = await findMessages(session, selected, command);
  const returns = command.returns ?? (session.enabled.has('IMAP4rev2') ? ALL : null);
  return tellFound(session, selected, { ...command, returns, found });
};

/** What a command searches for, and keeps or tells of what it finds; SORT and THREAD have the same. */
type Asked = Pick<SearchCommand, 'uid' | 'returns' | 'key'> & { tag: string };

/** What the keys of a command find, in the order of the mailbox. */
export async function findMessages(
  session: Session,
  selected: Selected,
  { tag, returns, key }: Asked,
): Promise<Found[]> {
  if (needs(key, MODSEQ)) await enableCondstore(session);
  const saved = new Set(selected.savedUids().map(({ first }) => first));
  // A search that fails leaves nothing behind (RFC 5182 §2.1).
  if (returns?.save === true) selected.save([]);
  const tellProgress = progressTeller(session, { tag, goal: selected.messages.length });
  const budget = new SearchBudget(session.services.sessionLimits, { key, messages: selected.messages.length });
  return foundBy(session, selected, { key, saved, tellProgress, budget });
}

/** Tells what was found, in the order it has now, and keeps it. */
export async function tellFound(
  session: Session,
  selected: Selected,
  { name, tag, uid, returns, key, found }: Asked & { name: 'SEARCH' | 'SORT'; found: readonly Found[] },
): Promise<Done> {
  if (returns?.save === true) selected.save(savedOf(found, returns).map(({ message }) => message.uid));
  await session.send(...answerOf(found, { name, tag, uid, returns, byModseq: needs(key, MODSEQ) }));
  const text = `${uid ? 'UID ' : ''}${name} completed`;
  return uid ? done(text) : doneKeepingNumbers(text);
}

/** Everything that the keys hold for, in the order of the mailbox. */
async function foundBy(
  session: Session,
  selected: Selected,
  {
    key,
    saved,
    tellProgress,
    budget,
  }: { key: SearchKey; tellProgress: TellProgress } & Pick<Candidate, 'saved' | 'budget'>,
): Promise<Found[]> {
  const found: Found[] = [];
  const { messages } = selected;
  const now = session.services.clock();
  const listing = needs(key, LISTED);
  const ahead = new Ahead(selected);
  for (let from = 0; from < messages.length && !session.closed; from += LIST_BATCH) {
    const batch = messages.slice(from, from + LIST_BATCH);
    const listed = listing ? await selected.view.list(batch) : null;
    const savedAt = needs(key, SAVE_DATES) ? await selected.view.saveDates(batch) : null;
    const threads = needs(key, THREADS) ? await selected.view.threadIds(batch) : null;
    await tellProgress(from);
    for (const [n, message] of batch.entries()) {
      const candidate: Candidate = {
        selected,
        saved,
        budget,
        now,
        message,
        number: from + n + 1,
        listed: listed?.[n] ?? null,
        savedAt: savedAt?.[n] ?? null,
        thread: threads?.[n] ?? null,
        ahead,
        raw: undefined,
      };
      if (listing && candidate.listed === null) continue;
      const known = knownToHold(key, candidate);
      if (known === null) await tellProgress(from + n);
      if (known ?? (await holds(key, candidate))) found.push({ message, number: candidate.number });
    }
  }
  return found;
}

type TellProgress = (done: number) => Promise<void>;

/** Messages are opened one by one for BODY and TEXT: that may take a while (RFC 9585). */
function progressTeller(session: Session, { tag, goal }: { tag: string; goal: number }): TellProgress {
  const { clock } = session.services;
  let lastMs = clock().getTime();
  return async (done) => {
    const nowMs = clock().getTime();
    if (nowMs - lastMs < PROGRESS_EVERY_MS) return;
    lastMs = nowMs;
    await session.send(untaggedLine('OK', 'Still searching', { name: 'INPROGRESS', tag, done, goal }));
  };
}

interface Candidate {
  selected: Selected;
  /** UIDs that `$` stands for. */
  saved: ReadonlySet<number>;
  budget: SearchBudget;
  now: Date;
  message: ShownMessage;
  /** From 1. */
  number: number;
  listed: ListedMessage | null;
  /** Null unless it was asked for. */
  savedAt: Date | null;
  thread: Buffer | null;
  ahead: Ahead;
  /** Undefined until it was asked for. */
  raw: Buffer | null | undefined;
}

const OPENED: ReadonlySet<SearchKey['type']> = new Set(['body', 'text']);
const MODSEQ: ReadonlySet<SearchKey['type']> = new Set(['modseq']);
const SAVE_DATES: ReadonlySet<SearchKey['type']> = new Set(['savedate']);
const THREADS: ReadonlySet<SearchKey['type']> = new Set(['threadid']);
const LISTED: ReadonlySet<SearchKey['type']> = new Set([
  ...OPENED,
  'header',
  'internaldate',
  'sentdate',
  'larger',
  'older',
  'younger',
  'smaller',
]);

function needs(key: SearchKey, types: ReadonlySet<SearchKey['type']>): boolean {
  switch (key.type) {
    case 'not':
      return needs(key.key, types);
    case 'or':
      return needs(key.left, types) || needs(key.right, types);
    case 'and':
      return key.keys.some((part) => needs(part, types));
    default:
      return types.has(key.type);
  }
}

/** What is known without opening the message; null where that is not enough. Nothing is waited for. */
function knownToHold(key: SearchKey, candidate: Candidate): boolean | null {
  switch (key.type) {
    case 'and':
      return allHold(key.keys, candidate);
    case 'or': {
      const left = knownToHold(key.left, candidate);
      if (left === true) return true;
      const right = knownToHold(key.right, candidate);
      return right === true || left === right ? right : null;
    }
    case 'not': {
      const known = knownToHold(key.key, candidate);
      return known === null ? null : !known;
    }
    case 'body':
    case 'text':
      return null;
    case 'header':
      return headerKnownToHold(key, candidate);
    default:
      return isKnown(key, candidate);
  }
}

function allHold(keys: readonly SearchKey[], candidate: Candidate): boolean | null {
  let all: boolean | null = true;
  for (const key of keys) {
    const known = knownToHold(key, candidate);
    if (known === false) return false;
    if (known === null) all = null;
  }
  return all;
}

/** Cheap keys first: false without opening the message, where that is enough. */
async function holds(key: SearchKey, candidate: Candidate): Promise<boolean> {
  switch (key.type) {
    case 'and': {
      const cheapFirst = [...key.keys].sort((a, b) => Number(needs(a, OPENED)) - Number(needs(b, OPENED)));
      for (const part of cheapFirst) if (!(await holds(part, candidate))) return false;
      return true;
    }
    case 'or': {
      const [first, second] = needs(key.left, OPENED) ? [key.right, key.left] : [key.left, key.right];
      return (await holds(first, candidate)) || holds(second, candidate);
    }
    case 'not':
      return !(await holds(key.key, candidate));
    case 'body':
    case 'text':
      return contains(key, candidate);
    case 'header':
      return headerHolds(key, candidate);
    default:
      return isKnown(key, candidate);
  }
}

async function contains(key: { type: 'body' | 'text'; value: string }, candidate: Candidate): Promise<boolean> {
  const { listed } = candidate;
  const raw = await bytesOf(candidate);
  if (raw === null || listed === null) return false;
  return (key.type === 'body' ? bodyContains : textContains)(raw, listed.index, key.value);
}

async function bytesOf(candidate: Candidate): Promise<Buffer | null> {
  if (candidate.raw === undefined) {
    candidate.raw = await candidate.budget.open(async () => {
      await candidate.ahead.bring(candidate.number - 1);
      return candidate.selected.view.raw(candidate.message);
    });
  }
  return candidate.raw;
}

type HeaderKey = { field: string; value: string };

/** Null: the header is too large for the index. */
function headerKnownToHold(key: HeaderKey, { listed }: Candidate): boolean | null {
  if (listed === null) return false;
  const { header } = listed.index;
  const asksAddress = key.value !== '' && isAddressField(key.field);
  if (asksAddress && addressContains(listed.index.envelope, key.field, key.value)) return true;
  return header === null ? null : headerContains(header, key.field, key.value);
}

/** A header too large for the index is read from the message itself. */
async function headerHolds(key: HeaderKey, candidate: Candidate): Promise<boolean> {
  const known = headerKnownToHold(key, candidate);
  if (known !== null) return known;
  const raw = await bytesOf(candidate);
  const bytes = candidate.listed?.index.headerBytes ?? 0;
  return raw !== null && headerContains(raw.toString('latin1', 0, bytes), key.field, key.value);
}

type KnownKey = Exclude<SearchKey, { type: 'and' | 'or' | 'not' | 'body' | 'text' | 'header' }>;

function isKnown(
  key: KnownKey,
  { message, number, listed, savedAt, thread, selected, saved, now }: Candidate,
): boolean {
  switch (key.type) {
    case 'all':
      return true;
    case 'flag':
      return (key.flag === RECENT ? selected.isRecent(message) : hasFlag(message, key.flag)) === key.present;
    case 'sequence':
      if (key.set === SAVED) return saved.has(message.uid);
      return setContains(key.set, number, selected.messages.length);
    case 'emailid':
      return emailId(message) === key.id;
    case 'threadid':
      return thread !== null && threadId(thread) === key.id;
    case 'savedate':
      return savedAt !== null && compareDay(key.comparison, dayOfInstant(savedAt.getTime() / 1000, 0), key.day);
    case 'modseq':
      return message.revision >= key.least;
    case 'uid':
      if (key.set === SAVED) return saved.has(message.uid);
      return setContains(key.set, message.uid, selected.messages.at(-1)?.uid ?? 0);
    default:
      return listed !== null && isListed(key, listed, now);
  }
}

function hasFlag({ flags }: ShownMessage, flag: string): boolean {
  const wanted = flag.toLowerCase();
  return flags.some((present) => present.toLowerCase() === wanted);
}

type ListedKey = Exclude<
  KnownKey,
  { type: 'all' | 'flag' | 'sequence' | 'uid' | 'modseq' | 'savedate' | 'emailid' | 'threadid' }
>;

function isListed(key: ListedKey, { index, internalDate }: ListedMessage, now: Date): boolean {
  const ageSeconds = now.getTime() / 1000 - internalDate.unixSeconds;
  switch (key.type) {
    case 'larger':
      return index.sizeBytes > key.sizeBytes;
    case 'smaller':
      return index.sizeBytes < key.sizeBytes;
    case 'older':
      return ageSeconds >= key.seconds;
    case 'younger':
      return ageSeconds <= key.seconds;
    case 'internaldate':
      return compareDay(key.comparison, dayOfInstant(internalDate.unixSeconds, internalDate.zoneMinutes), key.day);
    default: {
      const day = dayOfDateHeader(index.envelope.date ?? '');
      return day !== null && compareDay(key.comparison, day, key.day);
    }
  }
}
