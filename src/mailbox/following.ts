/**
 * What the folders of an account hold, told to whoever wants to hear of every change. However many sessions listen, the
 * database is asked once for all of them, and not again before a moment has passed.
 */
import type { Events } from '../events.ts';
import type { Db, Listener } from '../store/database.ts';
import { countShown, type FolderCounts, listMailFolders } from '../store/folders.ts';
import { mailboxRevision } from '../store/mailbox.ts';
import { folderTree } from './folder-tree.ts';
import type { FolderStates } from './types.ts';

/** The first change is told at once; those that follow closely, together. */
const LOOK_EVERY_MS = 250;
const NOTHING: FolderCounts = { messages: 0, unseen: 0, recent: 0, highestRevision: 0 };

export interface Following {
  /** How the folders are now; from then on `changed` is told of them. Ends when `stop` is called. */
  follow(
    accountId: number,
    changed: (states: FolderStates) => void,
  ): { states: Promise<FolderStates>; stop: () => void };
}

export function createFollowing(options: { db: Db; listener: Listener; events: Events }): Following {
  const { listener } = options;
  const followed = new Map<number, AccountFollowing>();
  const heard = (payload: string): void => followed.get(Number(payload))?.changed();
  const reconnected = (): void => {
    for (const account of followed.values()) account.changed();
  };
  const leave = (accountId: number, account: AccountFollowing): void => {
    if (account.listeners.size > 0 || followed.get(accountId) !== account) return;
    followed.delete(accountId);
    account.stop();
    if (followed.size === 0) listener.off('mailbox_changed', heard).off('reconnected', reconnected);
  };
  return {
    follow(accountId, changed) {
      if (followed.size === 0) listener.on('mailbox_changed', heard).on('reconnected', reconnected);
      const account = followed.get(accountId) ?? new AccountFollowing({ ...options, accountId });
      followed.set(accountId, account);
      account.listeners.add(changed);
      const stop = (): void => {
        account.listeners.delete(changed);
        leave(accountId, account);
      };
      return { states: account.look(), stop };
    },
  };
}

type Options = { db: Db; events: Events; accountId: number };

class AccountFollowing {
  readonly listeners = new Set<(states: FolderStates) => void>();
  readonly #options: Options;
  #last: Look | null = null;
  /** Ends with the last look that was begun: one comes after the other, so that nobody is told of an older one later. */
  #looking: Promise<void> = Promise.resolve();
  #pause: NodeJS.Timeout | null = null;
  #again = false;

  constructor(options: Options) {
    this.#options = options;
  }

  async look(): Promise<FolderStates> {
    const { db, accountId } = this.#options;
    const looked = this.#looking.then(() => lookAt(db, accountId, this.#last));
    this.#looking = looked.then(
      (look) => this.#tell(look),
      () => undefined,
    );
    const { states } = await looked;
    return states;
  }

  #tell(look: Look): void {
    this.#last = look;
    for (const told of [...this.listeners]) told(look.states);
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

type Look = { revision: number; states: FolderStates };

/** Messages are counted again only when some of them changed since the look before. */
async function lookAt(db: Db, accountId: number, before: Look | null): Promise<Look> {
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
