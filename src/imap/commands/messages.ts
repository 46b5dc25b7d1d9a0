/** STORE, COPY, MOVE, EXPUNGE (RFC 3501 §6.4; RFC 4315 UIDPLUS, RFC 6851 MOVE). */
import { changeFlags, type FlagChange, sameFlags } from '../../mailbox/flags.ts';
import type { ShownMessage, Transferred } from '../../mailbox/types.ts';
import {
  type Done,
  done,
  doneKeepingNumbers,
  enableCondstore,
  type Handler,
  highestModseq,
  type Session,
  selectedOf,
  targetFolder,
  writableOf,
} from '../context.ts';
import { Refusal } from '../replies.ts';
import type { Selected } from '../selected.ts';
import { Answer } from '../wire/answer.ts';
import type { FetchValue } from '../wire/fetch-response.ts';
import { untaggedLine } from '../wire/responses.ts';
import type { SequenceSet } from '../wire/sets.ts';
import { removeDeleted } from './mailboxes.ts';

/** The messages of a set that are still there, with their positions. */
export function messagesOf(selected: Selected, set: SequenceSet, byUid: boolean): number[] {
  if (!byUid && selected.isOutOfRange(set)) throw new Refusal('BAD', 'There is no message of this number');
  return selected.positions(set, byUid);
}

export const store: Handler<'STORE'> = async (session, { uid, set, mode, silent, flags, unchangedSince }) => {
  const selected = writableOf(session);
  if (unchangedSince !== null) await enableCondstore(session);
  const positions = messagesOf(selected, set, uid);
  const before = positions.map((position) => selected.at(position)).filter((message) => !selected.isGone(message));
  const { view } = selected;
  const change = { mode, flags };
  const isSilent = silent ? expectation(before, change) : () => false;
  const linesOf = (after: readonly ShownMessage[]): Buffer[] => storeLines(selected, after, { uid, isSilent });
  // Made while the change is written.
  let made: Buffer[] | null = null;
  const ready = (after: readonly ShownMessage[]): void => {
    made = linesOf(after);
  };
  const { after, refused } =
    unchangedSince === null
      ? { after: await view.changeFlags(before, change, ready), refused: [] }
      : await view.changeFlagsUnlessChanged(before, change, unchangedSince);
  await session.send(...selected.know(after));
  await session.send(...(made ?? linesOf(after)));
  return endStore(uid, uid ? refused : refused.map((own) => (selected.positionOf(own) ?? -1) + 1));
};

function storeLines(
  selected: Selected,
  after: readonly ShownMessage[],
  { uid, isSilent }: { uid: boolean; isSilent: (message: ShownMessage) => boolean },
): Buffer[] {
  const answer = new Answer();
  for (const message of after) {
    const position = selected.positionOf(message.uid);
    const values = storeValues(selected, message, { uid, silent: isSilent(message) });
    if (position !== null && values.length > 0) answer.add(selected.fetchPieces(position, values));
  }
  return answer.take();
}

/** Whether a message has the flags that follow from those it had. */
function expectation(before: readonly ShownMessage[], change: FlagChange): (after: ShownMessage) => boolean {
  const expected = new Map(before.map(({ uid, flags }) => [uid, changeFlags(flags, change)]));
  return ({ uid, flags }) => sameFlags(expected.get(uid) ?? [], flags);
}

/**
 * SILENT leaves the flags out, not the mod-sequence (RFC 7162 §3.1.3); but not flags that another session changed, too, of
 * which this one would never hear again.
 */
function storeValues(
  selected: Selected,
  message: ShownMessage,
  { uid, silent }: { uid: boolean; silent: boolean },
): FetchValue[] {
  const told = selected.flagValues(message);
  const values = silent ? told.filter(({ type }) => type !== 'flags') : told;
  return uid && values.length > 0 ? [{ type: 'uid', uid: message.uid }, ...values] : values;
}

function endStore(uid: boolean, modified: readonly number[]): Done {
  const text = `${uid ? 'UID ' : ''}STORE ${modified.length === 0 ? 'completed' : 'done for the messages not changed since'}`;
  const code = modified.length === 0 ? undefined : { name: 'MODIFIED' as const, numbers: modified };
  return uid ? done(text, code) : doneKeepingNumbers(text, code);
}

export const copy: Handler<'COPY' | 'MOVE'> = async (session, { name, uid, set, mailbox: path }) => {
  const selected = name === 'MOVE' ? writableOf(session) : selectedOf(session);
  const messages = messagesOf(selected, set, uid).map((position) => selected.at(position));
  const folder = await targetFolder(session, path);
  const text = `${uid ? 'UID ' : ''}${name} completed`;
  if (messages.length === 0) return done(text);
  const { view } = selected;
  const moved = await (name === 'MOVE' ? view.move(messages, folder) : view.copy(messages, folder));
  if (moved.source.length === 0) return done(text);
  return name === 'MOVE' ? endMove(session, moved, text) : done(text, copyCode(moved));
};

/** RFC 6851 §4.3: COPYUID comes before the EXPUNGEs. */
async function endMove(session: Session, moved: Transferred, text: string): Promise<Done> {
  await session.send(untaggedLine('OK', 'Moved', copyCode(moved)));
  return doneWithHighest(session, text);
}

function copyCode({ uidValidity, source, target }: Transferred) {
  return { name: 'COPYUID' as const, uidValidity, source, target };
}

export const expunge: Handler<'EXPUNGE'> = async (session, { uid, set }) => {
  const selected = writableOf(session);
  await session.send(...(await removeDeleted(selected, set === null ? undefined : selected.positions(set, true))));
  return doneWithHighest(session, `${uid ? 'UID ' : ''}EXPUNGE completed`);
};

/** Whoever knows mod-sequences hears the one after the removal, once everything up to it was told (RFC 7162 §3.2.7). */
async function doneWithHighest(session: Session, text: string): Promise<Done> {
  const selected = selectedOf(session);
  const news = await selected.sync(true);
  await session.send(...news);
  if (!selected.tellsModseq || news.length === 0) return done(text);
  return done(text, highestModseq(selected.view.highestRevision));
}
