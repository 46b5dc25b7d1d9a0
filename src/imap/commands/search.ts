/**
 * SEARCH (RFC 3501 §6.4.4). Flags, numbers and UIDs are known; dates, sizes and headers come from the index; only BODY
 * and TEXT open messages, and only those that everything else left over.
 */
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
import { Refusal } from '../replies.ts';
import type { Selected } from '../selected.ts';
import { untaggedLine } from '../wire/responses.ts';
import type { SearchCommand, SearchKey, SearchReturn } from '../wire/search-commands.ts';
import { Ahead } from './read-ahead.ts';
import { answerOf, type Found, savedOf } from './search-answer.ts';
import { SearchBudget } from './search-budget.ts';
import { type Candidate, holds, knownToHold, LISTED, MODSEQ, needs, SAVE_DATES, THREADS } from './search-keys.ts';

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
