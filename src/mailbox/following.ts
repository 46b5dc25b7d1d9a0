/**
 * What the folders of an account hold, told to whoever wants to hear of every change. However many sessions listen, the
 * database is asked once for all of them, and not again before a moment has passed.
 */
import type { Events } from '../events.ts';
import type { Channel, Db, Listener } from '../store/database.ts';
import { countShown, type FolderCounts, listMailFolders } from '../store/folders.ts';
import { mailboxRevision } from '../store/mailbox.ts';
import { folderTree } from './folder-tree.ts';
import type { FolderStates } from './types.ts';

/** The first change is told at once; those that follow closely, together. */
const LOOK_EVERY_MS = 250;
const NOTHING: FolderCounts = { messages: 0, unseen: 0, recent: 0, highestRevision: 0 };

export interface Following<Look> {
  /** How it is now; from then on `changed` is told of it. Ends when `stop` is called. */
  follow(accountId: number, changed: (look: Look) => void): { look: Promise<Look>; stop: () => void };
}

interface FollowingOptions<Look> {
  listener: Listener;
  /** On which is told that an account is worth another look. */
  channel: Channel;
  /** `before`: what was seen the last time. */
  lookAt(accountId: number, before: Look | null): Promise<Look>;
  events: Events;
}

export function createFollowing<Look>(options: FollowingOptions<Look>): Following<Look> {
  const { listener, channel } = options;
  const followed = new Map<number, AccountFollowing<Look>>();
  const heard = (payload: string): void => followed.get(Number(payload))?.changed();
  const reconnected = (): void => {
    for (const account of followed.values()) account.changed();
  };
  const leave = (accountId: number, account: AccountFollowing<Look>): void => {
    if (account.listeners.size > 0 || followed.get(accountId) !== account) return;
    followed.delete(accountId);
    account.stop();
    if (followed.size === 0) listener.off(channel, heard).off('reconnected', reconnected);
  };
  return {
    follow(accountId, changed) {
      if (followed.size === 0) listener.on(channel, heard).on('reconnected', reconnected);
      const account = followed.get(accountId) ?? new AccountFollowing({ ...options, accountId });
      followed.set(accountId, account);
      account.listeners.add(changed);
      const stop = (): void => {
        account.listeners.delete(changed);
        leave(accountId, account);
      };
      return { look: account.look(), stop };
    },
  };
}

class AccountFollowing<Look> {
  readonly listeners = new Set<(look: Look) => void>();
  readonly #options: FollowingOptions<Look> & { accountId: number };
  #last: Look | null = null;
  /** Ends with the last look that was begun: one comes after the other, so that nobody is told of an older one later. */
  #looking: Promise<void> = Promise.resolve();
  #pause: NodeJS.Timeout | null = null;
  #again = false;

  constructor(options: FollowingOptions<Look> & { accountId: number }) {
    this.#options = options;
  }

  look(): Promise<Look> {
    const looked = this.#looking.then(() => this.#options.lookAt(this.#options.accountId, this.#last));
    this.#looking = looked.then(
      (look) => this.#tell(look),
      () => undefined,
    );
    return looked;
  }

  #tell(look: Look): void {
    this.#last = look;
    for (const told of [...this.listeners]) told(look);
  }

  changed(): void {
    if (this.#pause !== null) {
      this.#again = true;
      return;
    }
    this.#pause = setTimeout(() => {
      this.#pause = null;
      if (this.#again) this.changed();
    }, LOOK_EVERY_MS);
    this.#again = false;
    // Whoever listens is told at the next change.
    this.look().catch((error: unknown) => this.#options.events.unexpected('following folders', error));
  }

  stop(): void {
    if (this.#pause !== null) clearTimeout(this.#pause);
  }
}

export type FoldersLook = { revision: number; states: FolderStates };

/** Messages are counted again only when some of them changed since the look before. */
export async function lookAtFolders(db: Db, accountId: number, before: FoldersLook | null): Promise<FoldersLook> {
  const revision = await mailboxRevision(db, accountId);
  const folders = folderTree(await listMailFolders(db, accountId));
  const known: FolderStates = before !== null && before.revision === revision ? before.states : new Map();
  const uncounted = folders.filter(({ id }) => !known.has(id)).map(({ id }) => id);
  const counted = uncounted.length === 0 ? null : await countShown(db, uncounted);
  const states = new Map(
    folders.map((folder) => {
      const counts = known.get(folder.id)?.counts ?? counted?.get(folder.id) ?? NOTHING;
      return [folder.id, { folder, counts }] as const;
    }),
  );
  return { revision, states };
}
