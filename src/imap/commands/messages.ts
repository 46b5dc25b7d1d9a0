/** STORE, COPY, MOVE, EXPUNGE (RFC 3501 §6.4; RFC 4315 UIDPLUS, RFC 6851 MOVE). */
import type { ShownMessage, Transferred } from '../../mailbox/types.ts';
import {
  type Done,
  done,
  doneKeepingNumbers,
  type Handler,
  type Session,
  selectedOf,
  targetFolder,
  writableOf,
} from '../context.ts';
import { Refusal } from '../replies.ts';
import type { Selected } from '../selected.ts';
import { fetchLine } from '../wire/fetch-response.ts';
import { untaggedLine } from '../wire/responses.ts';
import type { SequenceSet } from '../wire/sets.ts';
import { removeDeleted } from './mailboxes.ts';

/** The messages of a set that are still there, with their positions. */
export function messagesOf(selected: Selected, set: SequenceSet, byUid: boolean): number[] {
  if (!byUid && selected.isOutOfRange(set)) throw new Refusal('BAD', 'There is no message of this number');
  return selected.positions(set, byUid);
}

export const store: Handler<'STORE'> = async (session, { uid, set, mode, silent, flags }) => {
  const selected = writableOf(session);
  const positions = messagesOf(selected, set, uid);
  const before = positions.map((position) => selected.at(position)).filter((message) => !selected.isGone(message));
  const after = await selected.view.changeFlags(before, { mode, flags });
  selected.know(after);
  if (!silent) {
    const numbers = new Map(positions.map((position) => [selected.at(position).uid, position + 1]));
    await session.send(...after.flatMap((message) => flagsAnswer(numbers.get(message.uid) ?? 0, message, uid)));
  }
  const text = `${uid ? 'UID ' : ''}STORE completed`;
  return uid ? done(text) : doneKeepingNumbers(text);
};

function flagsAnswer(number: number, { uid, flags }: ShownMessage, withUid: boolean): Buffer[] {
  return fetchLine(number, [...(withUid ? [{ type: 'uid' as const, uid }] : []), { type: 'flags', flags }]);
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
  return done(text);
}

function copyCode({ uidValidity, source, target }: Transferred) {
  return { name: 'COPYUID' as const, uidValidity, source, target };
}

export const expunge: Handler<'EXPUNGE'> = async (session, { uid, set }) => {
  const selected = writableOf(session);
  await session.send(...(await removeDeleted(selected, set === null ? undefined : selected.positions(set, true))));
  return done(`${uid ? 'UID ' : ''}EXPUNGE completed`);
};
