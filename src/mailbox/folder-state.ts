/**
 * What is in folders, kept in memory and shared by all sessions of a process. A state is never changed: a later one is
 * another object, with the same objects for the messages that are as they were.
 *
 * PostgreSQL decides what is true. Whoever uses a state first asks for the mailbox's revision, and everything after the
 * state's own revision is read then: other processes and native clients write, too. Nothing is learned from notifications,
 * so none can be missed. Whoever opens a folder also compares the newest messages.
 */
import type { Db } from '../store/database.ts';
import { expungedFloor } from '../store/expunged.ts';
import {
  changedSince,
  countedRevision,
  expungedSince,
  folderRevision,
  lastExpunged,
  shownPage,
} from '../store/mailbox.ts';
import { ByteLru } from './byte-lru.ts';
import { MailboxError } from './errors.ts';
import type { Folder } from './folder-tree.ts';
import type { MailAccount } from './mail-account.ts';
import { KnownFlags, pagedMessages, shownMessages } from './shown-messages.ts';
import type { FolderChanges, ShownMessage } from './types.ts';

/** States that nobody looks at any more are kept up to here: about 200,000 messages. */
export const STATES_BYTES = 32 * 1024 * 1024;
/** What one message takes: an object, its id and its digest. */
const MESSAGE_BYTES = 160;
/** Read at once when a folder is opened for the first time: flags are opened in between, and others have their turn. */
const PAGE = 5_000;
/** The newest messages, which are counted again when a folder is opened: rows may also be changed by hand. */
const COUNTED = 200;

export interface FolderState {
  /** All up to this revision of the mailbox is in it. */
  readonly revision: number;
  /** The last revision, up to `revision`, at which anything changed here. */
  readonly highestRevision: number;
  /** Ascending by UID. */
  readonly messages: readonly ShownMessage[];
}

export interface FolderMemory {
  /** The folder as it is now, counted. Throws MailboxError `renewed`. */
  open(account: MailAccount, folder: Folder): Promise<FolderState>;
  /** The folder as it is now; the same object when nothing changed in the mailbox. Throws `renewed`. */
  refresh(account: MailAccount, folder: Folder, since: FolderState): Promise<FolderState>;
  /** The folder at exactly this revision of the mailbox, if it is at hand. */
  at(folder: Folder, revision: number): FolderState | null;
  /** This process made a change: `changed` is all that is different at `revision`, which followed on the one before. */
  advance(folder: Folder, revision: number, changed: readonly ShownMessage[]): void;
}

/** `left` is told of messages that are seen to have left a folder, whoever deleted or moved them. */
export function createFolderMemory({
  db,
  bytes = STATES_BYTES,
  left = () => undefined,
}: {
  db: Db;
  bytes?: number;
  left?: Left;
}): FolderMemory {
  const states = new ByteLru<FolderState>(bytes);
  const loading = new Map<string, Promise<FolderState>>();
  const keyOf = ({ id, uidValidity }: Folder): string => `${id}.${uidValidity}`;
  const keep = (folder: Folder, state: FolderState): FolderState => {
    const held = states.get(keyOf(folder));
    if (held !== undefined && held.revision > state.revision) return held;
    states.set(keyOf(folder), state, state.messages.length * MESSAGE_BYTES);
    return state;
  };

  const make = (account: MailAccount, folder: Folder, revision: number, base: FolderState | null) => {
    const key = keyOf(folder);
    const made = base === null ? load(db, account, folder) : follow({ db, account, folder, left }, base, revision);
    const kept = made.then((state) => keep(folder, state)).finally(() => loading.delete(key));
    loading.set(key, kept);
    return kept;
  };

  /**
   * The state at `revision` or later, made from the latest one there is. One at a time does it. A folder may be too large to be
   * kept: then what was made is all there is.
   */
  const reach = async (account: MailAccount, folder: Folder, revision: number, from: FolderState | null) => {
    const key = keyOf(folder);
    for (;;) {
      const held = states.get(key);
      if (held !== undefined && held.revision >= revision) return held;
      const state = await (loading.get(key) ?? make(account, folder, revision, latest(held, from)));
      if (state.revision >= revision) return state;
    }
  };

  return {
    async open(account, folder) {
      const last = states.get(keyOf(folder))?.messages.slice(-COUNTED) ?? [];
      const fromSeq = last[0]?.uid ?? 0;
      const now = await countedRevision(db, account.accountId, { folderId: folder.id, fromSeq });
      requireSame(folder, now.uidValidity);
      const state = await reach(account, folder, now.revision, null);
      if (state.revision !== now.revision) return state;
      const counted = state.messages.slice(placeOf(state.messages, fromSeq));
      const sum = counted.reduce((total, { revision }) => total + revision, 0);
      if (counted.length === now.messages && sum === now.sum) return state;
      states.delete(keyOf(folder));
      const anew = await reach(account, folder, now.revision, null);
      left(account, idsOf(state.messages, changesBetween(state.messages, anew.messages).removed));
      return anew;
    },
    async refresh(account, folder, since) {
      const now = await folderRevision(db, account.accountId, folder.id);
      requireSame(folder, now.uidValidity);
      return now.revision === since.revision ? since : reach(account, folder, now.revision, since);
    },
    at(folder, revision) {
      const held = states.get(keyOf(folder));
      return held?.revision === revision ? held : null;
    },
    advance(folder, revision, changed) {
      const held = states.get(keyOf(folder));
      if (held?.revision !== revision - 1) return;
      const messages = merged(held.messages, { removed: [], changed });
      keep(folder, { ...held, revision, highestRevision: revision, messages });
    },
  };
}

type Left = (account: MailAccount, messageIds: readonly Buffer[]) => void;

/** Of those of the UIDs that are there. */
function idsOf(messages: readonly ShownMessage[], uids: readonly number[]): Buffer[] {
  return uids.flatMap((uid) => {
    const message = messages[placeOf(messages, uid)];
    return message?.uid === uid ? [message.messageId] : [];
  });
}

/** A folder that is gone is seen to become empty. */
function requireSame(folder: Folder, uidValidity: number | null): void {
  if (uidValidity !== null && uidValidity !== folder.uidValidity) throw new MailboxError('renewed');
}

function latest(a: FolderState | undefined, b: FolderState | null): FolderState | null {
  if (a === undefined || b === null) return a ?? b;
  return a.revision >= b.revision ? a : b;
}

/** From nothing, a page at a time. What changes meanwhile is of a later revision, and read again with that. */
async function load(db: Db, account: MailAccount, folder: Folder): Promise<FolderState> {
  const { revision } = await folderRevision(db, account.accountId, folder.id);
  const messages: ShownMessage[] = [];
  const flags = new KnownFlags();
  for (;;) {
    const page = await shownPage(db, folder.id, { afterSeq: messages.at(-1)?.uid ?? 0, limit: PAGE });
    if (page === null) break;
    for (const message of await pagedMessages(db, account, page, flags)) messages.push(message);
    if (page.seqs.length < PAGE) break;
  }
  const last = await lastExpunged(db, folder.id);
  return { revision, highestRevision: highest(revision, 0, [...messages, { revision: last }]), messages };
}

/** From an earlier state to one at `revision`. */
async function follow(
  { db, account, folder, left }: { db: Db; account: MailAccount; folder: Folder; left: Left },
  base: FolderState,
  revision: number,
): Promise<FolderState> {
  const { accountId } = account;
  const rows = await changedSince(db, { accountId, folderId: folder.id }, base.revision);
  const expunged = await expungedSince(db, folder.id, base.revision);
  if (base.revision < (await expungedFloor(db, accountId))) {
    const anew = await load(db, account, folder);
    left(account, idsOf(base.messages, changesBetween(base.messages, anew.messages).removed));
    return anew;
  }
  if (rows.length === 0 && expunged.length === 0) return { ...base, revision };
  const changed = await shownMessages(db, account, rows, new KnownFlags());
  const removed = expunged.map(({ seq }) => seq);
  left(account, idsOf(base.messages, removed));
  const messages = merged(base.messages, { removed, changed });
  return { revision, highestRevision: highest(revision, base.highestRevision, [...changed, ...expunged]), messages };
}

/**
 * The last revision in `rows`, which were read after the mailbox was at `now`. Of what is later than `now` some rows may be
 * missing: it does not count yet.
 */
function highest(now: number, before: number, rows: readonly { revision: number }[]): number {
  return rows.reduce((last, { revision }) => Math.max(last, Math.min(revision, now)), before);
}

/** The messages after a change, ascending. A message that is in `changed` is there, whatever left before. */
function merged(
  before: readonly ShownMessage[],
  { removed, changed }: Pick<FolderChanges, 'removed' | 'changed'>,
): readonly ShownMessage[] {
  const gone = new Set(removed);
  const kept = gone.size === 0 ? [...before] : before.filter(({ uid }) => !gone.has(uid));
  const added: ShownMessage[] = [];
  for (const message of changed) {
    const place = placeOf(kept, message.uid);
    if (kept[place]?.uid === message.uid) kept[place] = message;
    else added.push(message);
  }
  if (added.length === 0) return kept;
  const isBehind = (kept.at(-1)?.uid ?? 0) < (added[0]?.uid ?? 0);
  const all = kept.concat(added);
  return isBehind ? all : all.sort((a, b) => a.uid - b.uid);
}

/** Where a UID stands in an ascending list, or would stand. */
export function placeOf(messages: readonly ShownMessage[], uid: number): number {
  let low = 0;
  let high = messages.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((messages[middle]?.uid ?? 0) < uid) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** What is different between two states, both ascending. Messages that are as they were are the same objects. */
export function changesBetween(before: readonly ShownMessage[], after: readonly ShownMessage[]): FolderChanges {
  const removed: number[] = [];
  const changed: ShownMessage[] = [];
  let old = 0;
  for (const message of after) {
    while (before[old] !== undefined && (before[old]?.uid ?? 0) < message.uid) {
      removed.push(before[old]?.uid ?? 0);
      old += 1;
    }
    const was = before[old];
    if (was?.uid === message.uid) old += 1;
    if (was !== message && !isSame(was, message)) changed.push(message);
  }
  for (; old < before.length; old += 1) removed.push(before[old]?.uid ?? 0);
  return { removed, changed };
}

/** After a folder was read anew its messages are other objects. */
function isSame(a: ShownMessage | undefined, b: ShownMessage): boolean {
  return a !== undefined && a.uid === b.uid && a.revision === b.revision;
}
