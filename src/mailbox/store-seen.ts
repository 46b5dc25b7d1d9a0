/**
 * `\Seen` of messages whose folder is in memory: nothing has to be read, and what is told of the change is made while PostgreSQL
 * writes it.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { advanceMailbox } from '../store/accounts.ts';
import type { Tx } from '../store/database.ts';
import { type Stretch, writeRead } from '../store/flag-changes.ts';
import { changeFlags, type FlagChange } from './flags.ts';
import { type FolderState, placeOf } from './folder-state.ts';
import type { Folder } from './folder-tree.ts';
import type { MailAccount } from './mail-account.ts';
import { revised } from './shown-messages.ts';
import type { ConditionalChange, ShownMessage } from './types.ts';

/** `unlessAfter`: passes over what changed after that revision. `ready`: see FolderView. */
export type Change = FlagChange & {
  unlessAfter: number | null;
  ready?: ((after: readonly ShownMessage[]) => void) | undefined;
};

/** What a change comes to. `revision`: that of the change; null when there was nothing to write. */
export type Stored = ConditionalChange & { revision: number | null; written: readonly ShownMessage[] };

export const isRefused = ({ unlessAfter }: Change, revision: number): boolean =>
  unlessAfter !== null && revision > unlessAfter;

/** `state`: the folder at the locked revision. */
export async function storeSeen(
  tx: Tx,
  { account: { accountId }, folder, state }: { account: MailAccount; folder: Folder; state: FolderState },
  messages: readonly ShownMessage[],
  change: Change,
): Promise<Stored> {
  const { places, refused } = chosen(state, messages, change);
  const asked = places.map((place) => state.messages[place] as ShownMessage);
  const listAfter = listsAfter(change);
  const count = asked.filter(({ flags }) => listAfter(flags) !== flags).length;
  if (count === 0) return { after: asked, refused, revision: null, written: [] };
  const { revision } = await advanceMailbox(tx, accountId, { seqs: 0 });
  const written: ShownMessage[] = [];
  const make = (message: ShownMessage): ShownMessage => {
    const flags = listAfter(message.flags);
    if (flags === message.flags) return message;
    const made = revised(message, { revision, flags });
    written.push(made);
    return made;
  };
  const stretches = stretchesAt(state, places);
  const read = change.mode === 'add';
  const writing = writeRead(tx, { accountId, folderId: folder.id, revision, stretches, count, read });
  const making = nextTurn().then(() => {
    const made = asked.map(make);
    change.ready?.(made);
    return made;
  });
  const [after] = await Promise.all([making, writing]);
  return { after, refused, revision, written };
}

/** Where those messages stand that are still there, ascending; UIDs of those that are passed over. */
function chosen(state: FolderState, messages: readonly ShownMessage[], change: Change) {
  const revisionAt = (place: number): number => state.messages[place]?.revision ?? 0;
  const there = placesOf(state, messages);
  if (change.unlessAfter === null) return { places: there, refused: [] };
  const refused = there.filter((place) => isRefused(change, revisionAt(place)));
  return {
    places: there.filter((place) => !isRefused(change, revisionAt(place))),
    refused: refused.map((place) => state.messages[place]?.uid ?? 0),
  };
}

function placesOf({ messages }: FolderState, asked: readonly ShownMessage[]): number[] {
  const places: number[] = [];
  let last = -1;
  let ascends = true;
  for (const { uid } of asked) {
    const place = messages[last + 1]?.uid === uid ? last + 1 : placeOf(messages, uid);
    if (messages[place]?.uid !== uid) continue;
    ascends &&= place > last;
    last = place;
    places.push(place);
  }
  return ascends ? places : [...new Set(places)].sort((a, b) => a - b);
}

/** Places that follow on one another, as the seqs of the first and the last. */
function stretchesAt({ messages }: FolderState, places: readonly number[]): Stretch[] {
  const stretches: Stretch[] = [];
  let before = Number.NaN;
  for (const place of places) {
    const seq = messages[place]?.uid ?? 0;
    const last = stretches.at(-1);
    if (last !== undefined && before === place - 1) last.last = seq;
    else stretches.push({ first: seq, last: seq });
    before = place;
  }
  return stretches;
}

/** The flags after the change by those before it, so that equal ones stay one object; the same where nothing changes. */
function listsAfter(change: FlagChange): (flags: readonly string[]) => readonly string[] {
  const lists = new Map<readonly string[], readonly string[]>();
  return (flags) => {
    const known = lists.get(flags);
    if (known !== undefined) return known;
    const changed = changeFlags(flags, change);
    const after = changed.length === flags.length ? flags : changed;
    lists.set(flags, after);
    return after;
  };
}
