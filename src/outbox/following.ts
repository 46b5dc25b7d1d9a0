/** The folder of what waits to be sent, as it stands among the others for sessions that want to hear of every change. */

import { type Folder, SEPARATOR } from '../mailbox/folder-tree.ts';
import type { Following } from '../mailbox/following.ts';
import { OUTBOX_NAMES, sameName } from '../mailbox/special-names.ts';
import type { AccountMailbox, FolderState, FolderStates } from '../mailbox/types.ts';
import type { Db } from '../store/database.ts';
import { showOutbox } from '../store/outbox.ts';
import { outboxEntries } from './entries.ts';

/** Rows of folders have ids from 1 on. */
export const OUTBOX_ID = 0;

/** `path`: what it is called. */
export async function lookAtOutbox(db: Db, accountId: number, path: string): Promise<FolderState> {
  const { outbox, messages } = await showOutbox(db, accountId, outboxEntries);
  const { uid_validity: uidValidity, uid_next: uidNext, subscribed, revision: highestRevision } = outbox;
  const about = { path, hasChildren: false, specialUse: null, isVirtual: true };
  return {
    folder: { id: OUTBOX_ID, ...about, subscribed, uidValidity, uidNext },
    counts: { messages: messages.length, unseen: 0, recent: 0, highestRevision },
  };
}

/** Whether the user has no folder of such a name herself. */
export function isFree(name: string, folders: readonly Folder[]): boolean {
  const taken = [name, ...OUTBOX_NAMES];
  return !folders.some(({ path }) => taken.some((other) => sameName(path.split(SEPARATOR)[0] ?? '', other)));
}

/** Both are followed for themselves; a change of either tells of all there is. */
export function followBoth(
  followFolders: AccountMailbox['followFolders'],
  following: Following<FolderState>,
  { accountId, changed }: { accountId: number; changed: (states: FolderStates) => void },
): ReturnType<AccountMailbox['followFolders']> {
  let ofFolders: FolderStates | null = null;
  let ofOutbox: FolderState | null = null;
  const tell = (): void => {
    if (ofFolders !== null && ofOutbox !== null) changed(withOutboxState(ofFolders, ofOutbox));
  };
  const folders = followFolders((states) => {
    ofFolders = states;
    tell();
  });
  const outbox = following.follow(accountId, (state) => {
    ofOutbox = state;
    tell();
  });
  return {
    states: Promise.all([folders.states, outbox.look]).then(([states, state]) => withOutboxState(states, state)),
    stop() {
      folders.stop();
      outbox.stop();
    },
  };
}

function withOutboxState(states: FolderStates, outbox: FolderState): FolderStates {
  const folders = [...states.values()].map(({ folder }) => folder);
  return isFree(outbox.folder.path, folders) ? new Map([...states, [OUTBOX_ID, outbox]]) : states;
}
