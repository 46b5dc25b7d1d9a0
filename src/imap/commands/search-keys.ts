/** Whether the keys of a SEARCH (RFC 3501 §6.4.4) hold for a message: first by what is known of it, then by its bytes. */
import type { ListedMessage, ShownMessage } from '../../mailbox/types.ts';
import { compareDay, dayOfDateHeader, dayOfInstant } from '../../mime/structure/calendar-day.ts';
import { addressContains, bodyContains, headerContains, isAddressField, textContains } from '../../mime/text-search.ts';
import { emailId, threadId } from '../object-id.ts';
import type { Selected } from '../selected.ts';
import { RECENT } from '../wire/flags.ts';
import type { SearchKey } from '../wire/search-commands.ts';
import { SAVED, setContains } from '../wire/sets.ts';
import type { Ahead } from './read-ahead.ts';
import type { SearchBudget } from './search-budget.ts';

export interface Candidate {
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
export const MODSEQ: ReadonlySet<SearchKey['type']> = new Set(['modseq']);
export const SAVE_DATES: ReadonlySet<SearchKey['type']> = new Set(['savedate']);
export const THREADS: ReadonlySet<SearchKey['type']> = new Set(['threadid']);
export const LISTED: ReadonlySet<SearchKey['type']> = new Set([
  ...OPENED,
  'header',
  'internaldate',
  'sentdate',
  'larger',
  'older',
  'younger',
  'smaller',
]);

export function needs(key: SearchKey, types: ReadonlySet<SearchKey['type']>): boolean {
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
export function knownToHold(key: SearchKey, candidate: Candidate): boolean | null {
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

/** Opens the message only where what is known of it is not enough. */
export async function holds(key: SearchKey, candidate: Candidate): Promise<boolean> {
  const known = knownToHold(key, candidate);
  if (known !== null) return known;
  switch (key.type) {
    case 'and':
      for (const part of key.keys) if (!(await holds(part, candidate))) return false;
      return true;
    case 'or':
      return (await holds(key.left, candidate)) || holds(key.right, candidate);
    case 'not':
      return !(await holds(key.key, candidate));
    case 'header':
      return headerHolds(key, candidate);
    case 'body':
    case 'text':
      return contains(key, candidate);
    default:
      throw new TypeError(`${key.type} is always known`);
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
