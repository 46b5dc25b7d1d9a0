/**
 * The folder of what is waiting to be sent, as a session looks at it: nothing can be put in or changed, and what is deleted is
 * cancelled. A delivery that may have been handed over already is not cancelled, and that is said.
 */
import type { AccountKeys } from '../keystore/keystore.ts';
import { MailboxError } from '../mailbox/errors.ts';
import { type FlagChange, SEEN } from '../mailbox/flags.ts';
import { changesBetween } from '../mailbox/folder-state.ts';
import type { Folder } from '../mailbox/folder-tree.ts';
import type { AccountMailbox, FolderView, NewMail, ShownMessage, Transferred } from '../mailbox/types.ts';
import type { QueueOperations } from '../pipeline/queue-operations.ts';
import type { Db } from '../store/database.ts';
import { markOutbox, type OutboxMessage, type Shown, showOutbox } from '../store/outbox.ts';
import { type OutboxEntry, outboxEntries } from './entries.ts';
import type { OutboxMessages } from './messages.ts';

const DELETED = '\\Deleted';
const TRASH = '\\Trash';

export async function openOutboxView(options: {
  db: Db;
  keys: AccountKeys;
  folder: Folder;
  messages: OutboxMessages;
  withdraw: QueueOperations['withdraw'];
  /** Where copies go. */
  append: AccountMailbox['append'];
}): Promise<FolderView> {
  const { db, keys, messages, withdraw } = options;
  const { accountId } = keys;
  const entries = new Map<number, OutboxEntry>();
  /** Also those that changed meanwhile: whoever names one means its deliveries. */
  const named = new Map<number, OutboxEntry>();

  const look = async (): Promise<Shown<OutboxEntry>> => {
    const shown = await showOutbox(db, accountId, outboxEntries);
    if (shown.outbox.uid_validity !== options.folder.uidValidity) throw new MailboxError('renewed');
    entries.clear();
    for (const { row, entry } of shown.messages) {
      entries.set(row.uid, entry);
      named.set(row.uid, entry);
    }
    return shown;
  };
  const first = await look();
  let highestRevision = first.outbox.revision;
  const opened = first.messages.map(({ row }) => shownMessage(row));
  let shownNow: readonly ShownMessage[] = opened;

  const mark = async (wanted: readonly ShownMessage[], change: FlagChange, unlessAfter: number | null) => {
    const deleted = deletedAfter(change);
    const uids = wanted.map(({ uid }) => uid);
    const { after, refused } = await markOutbox(db, accountId, { uids, deleted, unlessAfter });
    return { after: after.map(shownMessage), refused };
  };

  /** Cancels what can be; those of which something could not. */
  const cancel = async (wanted: readonly ShownMessage[]): Promise<Set<number>> => {
    const kept = new Set<number>();
    for (const { uid } of wanted) {
      for (const { id } of named.get(uid)?.deliveries ?? []) if ((await withdraw(id)) === 'handed-over') kept.add(uid);
    }
    if (kept.size > 0) await markOutbox(db, accountId, { uids: [...kept], deleted: false, unlessAfter: null });
    return kept;
  };

  const mailOf = async (entry: OutboxEntry): Promise<NewMail> => {
    const { internalDate } = await messages.listed(keys, entry);
    return { raw: await messages.raw(keys, entry), flags: [SEEN], internalDate };
  };
  const put = async (to: Folder, mails: readonly NewMail[]): Promise<number[]> => {
    const [mail, ...more] = mails;
    return mail === undefined ? [] : (await options.append({ folder: to, ...mail, more })).uids;
  };
  const present = (wanted: readonly ShownMessage[], among = entries): { uid: number; entry: OutboxEntry }[] =>
    wanted.flatMap(({ uid }) => {
      const entry = among.get(uid);
      return entry === undefined ? [] : [{ uid, entry }];
    });

  return {
    folder: { ...options.folder, uidNext: first.outbox.uid_next },
    opened,
    get messages() {
      return shownNow;
    },
    get highestRevision() {
      return highestRevision;
    },
    async refresh() {
      const shown = await look();
      highestRevision = shown.outbox.revision;
      const before = shownNow;
      shownNow = shown.messages.map(({ row }) => shownMessage(row));
      return changesBetween(before, shownNow);
    },
    // They are the sender's own: nothing about them is new to her.
    recent: async () => null,
    // What was shown before is not remembered: it was true for a while only.
    vanishedSince: async () => null,
    list: (wanted) =>
      Promise.all(wanted.map(({ uid }) => entries.get(uid)).map((entry) => entry && messages.listed(keys, entry))).then(
        (listed) => listed.map((message) => message ?? null),
      ),
    // They came here when they were submitted, which is their date as well.
    saveDates: (wanted) =>
      Promise.all(
        wanted.map(async ({ uid }) => {
          const entry = entries.get(uid);
          return entry === undefined ? null : dateOf((await messages.listed(keys, entry)).internalDate);
        }),
      ),
    // They get one when they are kept.
    threadIds: async (wanted) => wanted.map(() => null),
    prefetch: async () => undefined,
    async raw({ uid }) {
      const entry = entries.get(uid);
      return entry === undefined ? null : messages.raw(keys, entry);
    },
    changeFlags: async (wanted, change) => (await mark(wanted, change, null)).after,
    changeFlagsUnlessChanged: (wanted, change, revision) => mark(wanted, change, revision),
    async copy(wanted, to) {
      const found = present(wanted);
      const target = await put(to, await Promise.all(found.map(({ entry }) => mailOf(entry))));
      return { uidValidity: to.uidValidity, source: found.map(({ uid }) => uid), target };
    },
    async move(wanted, to): Promise<Transferred> {
      if (to.specialUse !== TRASH) throw new MailboxError('virtual');
      // Made before: with the last delivery that is cancelled goes the content.
      const notes = new Map<number, NewMail>();
      for (const { uid, entry } of present(wanted, named))
        notes.set(uid, await mailOf({ ...entry, state: 'cancelled' }));
      const kept = await cancel(wanted);
      for (const uid of kept) notes.delete(uid);
      const target = await put(to, [...notes.values()]);
      if (kept.size > 0) throw new MailboxError('handed-over');
      return { uidValidity: to.uidValidity, source: [...notes.keys()], target };
    },
    async remove(wanted) {
      if ((await cancel(wanted)).size > 0) throw new MailboxError('handed-over');
    },
  };
}

const dateOf = ({ unixSeconds }: { unixSeconds: number }): Date => new Date(unixSeconds * 1000);

function shownMessage({ uid, fingerprint, revision, deleted }: OutboxMessage): ShownMessage {
  const flags = deleted ? [SEEN, DELETED] : [SEEN];
  return { uid, messageId: fingerprint, digest: fingerprint, revision, flags };
}

/** What a change makes of \Deleted, null for nothing; no other flag can be changed, \Seen is always set. Throws `virtual`. */
function deletedAfter({ mode, flags }: FlagChange): boolean | null {
  const named = new Set(flags.map((flag) => flag.toLowerCase()));
  const isNamed = named.delete(DELETED.toLowerCase());
  if (mode !== 'remove') named.delete(SEEN.toLowerCase());
  if (named.size > 0) throw new MailboxError('virtual');
  if (mode === 'replace') return isNamed;
  return isNamed ? mode === 'add' : null;
}
