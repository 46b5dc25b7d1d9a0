/**
 * What a session is told without asking (RFC 5465): of the selected mailbox, of other mailboxes, of names and subscriptions.
 * Also of what it did itself to other mailboxes. States are compared, not events collected, so nothing piles up for a client
 * that is slow to take them.
 */
import type { Folder } from '../mailbox/folder-tree.ts';
import type { AccountMailbox, FolderState, FolderStates } from '../mailbox/types.ts';
import { MAX_NOTIFICATIONS } from './limits.ts';
import type { NotifyEvent, NotifyFilter, NotifyGroup, StatusItem } from './wire/commands.ts';
import type { Dialect } from './wire/dialect.ts';
import type { FetchItem } from './wire/fetch-items.ts';
import { isOfSelected } from './wire/notify-parser.ts';
import { listLine, statusLine } from './wire/responses.ts';

/** How the session reads: mod-sequences only where it knows them. */
type Reader = { selectedId: number | null; knowsModseq: boolean; dialect: Dialect };

export class Notify {
  readonly #groups: readonly NotifyGroup[];
  /** The folders as the client knows them. */
  #known: FolderStates = new Map();
  /** What the folders are now, when that is not told yet. */
  #news: FolderStates | null = null;
  #selectedChanged = false;
  readonly #stops: (() => void)[] = [];

  /** No groups: the client wants to hear nothing. */
  constructor(groups: readonly NotifyGroup[]) {
    this.#groups = groups;
  }

  /** Listens, until stopped. `wake`: something is to be told. */
  async start(mailbox: AccountMailbox, wake: () => void): Promise<void> {
    if (this.selected !== null) {
      const changed = (): void => {
        this.#selectedChanged = true;
        wake();
      };
      this.#stops.push(mailbox.watch(changed));
    }
    if (!this.#groups.some(({ filter, events }) => !isOfSelected(filter) && events.length > 0)) return;
    const { states, stop } = mailbox.followFolders((news) => {
      this.#news = news;
      wake();
    });
    this.#stops.push(stop);
    this.#known = await states;
  }

  stop(): void {
    for (const stop of this.#stops) stop();
  }

  get isDue(): boolean {
    return this.#selectedChanged || this.#news !== null;
  }

  /** True once for each change of the mailbox. */
  takeSelectedChanged(): boolean {
    const changed = this.#selectedChanged;
    this.#selectedChanged = false;
    return changed;
  }

  /** What of the selected mailbox is told; null for nothing. `atOnce`: removals, too, while no command is worked on. */
  get selected(): { flags: boolean; items: readonly FetchItem[]; atOnce: boolean } | null {
    const group = this.#groups.find(({ filter }) => isOfSelected(filter));
    if (group === undefined || group.events.length === 0) return null;
    const { filter, events, items } = group;
    return { flags: events.includes('FlagChange'), items, atOnce: filter.type === 'selected' };
  }

  /** Lines for what became different in other mailboxes; null when that is too much to be told. */
  takeNews(reader: Reader): Buffer[] | null {
    const now = this.#news;
    if (now === null) return [];
    this.#news = null;
    const before = this.#known;
    this.#known = now;
    const gone = [...before].filter(([id]) => !now.has(id));
    const lines = [
      ...gone.flatMap(([, state]) => this.#lines(state, null, reader)),
      ...[...now].flatMap(([id, state]) => this.#lines(before.get(id) ?? null, state, reader)),
    ];
    return lines.length > MAX_NOTIFICATIONS ? null : lines;
  }

  /** How the mailboxes are that will be told of (RFC 5465 §3.1: STATUS). */
  statusLines(reader: Reader): Buffer[] {
    return [...this.#known.values()].flatMap((state) => {
      const events = this.#messageEvents(state.folder, reader);
      if (!events.has('MessageNew')) return [];
      const asked: StatusItem[] = ['MESSAGES', 'UIDNEXT', 'UIDVALIDITY'];
      if (events.has('FlagChange') || reader.knowsModseq) asked.push('HIGHESTMODSEQ');
      return [statusOf(state, asked, reader)];
    });
  }

  #lines(before: FolderState | null, now: FolderState | null, reader: Reader): Buffer[] {
    return [
      ...this.#nameLines(before?.folder ?? null, now?.folder ?? null, reader),
      ...this.#countLines(before, now, reader),
    ];
  }

  #nameLines(before: Folder | null, now: Folder | null, { dialect }: Reader): Buffer[] {
    const wants = (event: NotifyEvent): boolean =>
      [before, now].some((folder) => folder !== null && this.#events(folder).has(event));
    const folder = now ?? before;
    if (folder === null) return [];
    const renamed = before !== null && now !== null && before.path !== now.path;
    const named = renamed || before === null || now === null || before.specialUse !== now.specialUse;
    const subscribed = (before?.subscribed ?? false) !== (now?.subscribed ?? false);
    if (!(named && wants('MailboxName')) && !(subscribed && now !== null && wants('SubscriptionChange'))) return [];
    const entry = {
      attributes: now === null ? goneAttributes(folder) : attributesOf(now),
      delimiter: '/',
      mailbox: folder.path,
    };
    return [listLine('LIST', renamed && wants('MailboxName') ? { ...entry, oldName: before.path } : entry, dialect)];
  }

  #countLines(before: FolderState | null, now: FolderState | null, reader: Reader): Buffer[] {
    if (now === null) return [];
    const events = this.#messageEvents(now.folder, reader);
    if (!events.has('MessageNew')) return [];
    const counted = before === null ? now.counts.messages > 0 : isOtherCount(before, now);
    if (!events.has('FlagChange')) {
      const asked: StatusItem[] = reader.knowsModseq
        ? ['UIDNEXT', 'MESSAGES', 'HIGHESTMODSEQ']
        : ['UIDNEXT', 'MESSAGES'];
      return counted ? [statusOf(now, asked, reader)] : [];
    }
    const changed = counted || (before !== null && before.counts.highestRevision !== now.counts.highestRevision);
    return changed ? [statusOf(now, ['UIDNEXT', 'MESSAGES', 'UNSEEN', 'UIDVALIDITY', 'HIGHESTMODSEQ'], reader)] : [];
  }

  /** Messages of the selected mailbox are told as what they are. */
  #messageEvents(folder: Folder, { selectedId }: Reader): ReadonlySet<NotifyEvent> {
    return folder.id === selectedId ? new Set() : this.#events(folder);
  }

  /** The first group that a mailbox belongs to decides. */
  #events(folder: Folder): ReadonlySet<NotifyEvent> {
    return new Set(this.#groups.find(({ filter }) => isChosen(filter, folder))?.events);
  }
}

function isChosen({ type, names }: NotifyFilter, { path, subscribed }: Folder): boolean {
  switch (type) {
    case 'personal':
      return true;
    case 'inboxes':
      return path === 'INBOX';
    case 'subscribed':
      return subscribed;
    case 'mailboxes':
      return names.some((name) => name === path);
    case 'subtree':
      return names.some((name) => name === path || path.startsWith(`${name}/`));
    default:
      return false;
  }
}

function isOtherCount(before: FolderState, now: FolderState): boolean {
  return before.counts.messages !== now.counts.messages || before.folder.uidNext !== now.folder.uidNext;
}

/** A subscription outlives its mailbox. */
function goneAttributes({ subscribed }: Folder): string[] {
  return subscribed ? ['\\NonExistent', '\\Subscribed'] : ['\\NonExistent'];
}

function attributesOf({ hasChildren, specialUse, subscribed }: Folder): string[] {
  return [
    hasChildren ? '\\HasChildren' : '\\HasNoChildren',
    ...(specialUse === null ? [] : [specialUse]),
    ...(subscribed ? ['\\Subscribed'] : []),
  ];
}

function statusOf({ folder, counts }: FolderState, asked: readonly StatusItem[], { dialect }: Reader): Buffer {
  const values: Partial<Record<StatusItem, number>> = {
    MESSAGES: counts.messages,
    UNSEEN: counts.unseen,
    UIDNEXT: folder.uidNext,
    UIDVALIDITY: folder.uidValidity,
    HIGHESTMODSEQ: Math.max(1, counts.highestRevision),
  };
  return statusLine(
    folder.path,
    asked.map((item) => [item, values[item] ?? 0] as const),
    dialect,
  );
}
