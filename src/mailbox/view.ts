/** One folder as a session looks at it: what is in it, and what changed since it looked last. */
import { randomBytes } from '../smimp/crypto.ts';
import { advanceMailbox } from '../store/accounts.ts';
import type { Db } from '../store/database.ts';
import { expungedFloor, rememberedExpunged } from '../store/expunged.ts';
import { lockMailbox } from '../store/folders.ts';
import {
  expungedSince,
  type FlagWrite,
  folderRevision,
  lastExpunged,
  rememberNotes,
  type ShownRow,
  shownAmong,
  shownSince,
  writeFlags,
} from '../store/mailbox.ts';
import { deleteMessages } from '../store/messages.ts';
import { type DefaultQuota, FREE_NOTES_BYTES, hasRoom } from '../store/quota.ts';
import { claim, unclaimed } from '../store/recent.ts';
import { copyMessages, moveMessages, type Transfer } from '../store/transfers.ts';
import type { Contents } from './contents.ts';
import { MailboxError } from './errors.ts';
import { changeFlags, type FlagChange, readVersioned, withFlags } from './flags.ts';
import type { Folder } from './folder-tree.ts';
import { holdFolder } from './folders.ts';
import type { MailAccount } from './mail-account.ts';
import type { ConditionalChange, FolderView, ShownMessage, Transferred } from './types.ts';

const ID_BYTES = 32;

export async function openView(options: {
  db: Db;
  account: MailAccount;
  contents: Contents;
  folder: Folder;
  clock: () => Date;
  defaultQuota: DefaultQuota;
}): Promise<FolderView> {
  const { db, account, contents, clock, defaultQuota } = options;
  const { accountId } = account;
  const revisionNow = async (): Promise<number> => {
    const now = await folderRevision(db, accountId, options.folder.id);
    // A folder that is gone is seen to become empty.
    if (now.uidValidity !== null && now.uidValidity !== options.folder.uidValidity) throw new MailboxError('renewed');
    return now.revision;
  };
  let revision = await revisionNow();
  const opened = await shownMessages(db, account, await shownSince(db, options.folder.id, -1));
  let highestRevision = highest(revision, [...opened, { revision: await lastExpunged(db, options.folder.id) }]);
  const uidNext = Math.max(options.folder.uidNext, (opened.at(-1)?.uid ?? 0) + 1);
  const folder = { ...options.folder, uidNext };
  const known = new Set(opened.map(({ uid }) => uid));
  const idsOf = (messages: readonly ShownMessage[]): Buffer[] => messages.map(({ messageId }) => messageId);

  return {
    folder,
    opened,
    get highestRevision() {
      return highestRevision;
    },
    async refresh() {
      const now = await revisionNow();
      if (now === revision) return { removed: [], changed: [] };
      const changed = await shownMessages(db, account, await shownSince(db, folder.id, revision));
      const expunged = await expungedSince(db, folder.id, revision);
      const remembers = revision >= (await expungedFloor(db, accountId));
      const removed = remembers ? expunged.map(({ seq }) => seq) : await missing(db, folder.id, known);
      revision = now;
      highestRevision = Math.max(highestRevision, highest(now, [...changed, ...expunged]));
      for (const uid of removed) known.delete(uid);
      for (const { uid } of changed) known.add(uid);
      return { removed, changed };
    },
    recent: ({ claim: takes }) => (takes ? claim : unclaimed)(db, folder.id),
    vanishedSince: (after) => rememberedExpunged(db, { accountId, folderId: folder.id }, after),
    list: (messages) => contents.list(account, idsOf(messages)),
    raw: ({ messageId }) => contents.raw(account, messageId),
    changeFlags: async (messages, change) => [
      ...(await store(db, { account, folder, defaultQuota }, idsOf(messages), { ...change, unlessAfter: null })).after,
    ],
    changeFlagsUnlessChanged: (messages, change, unlessAfter) =>
      store(db, { account, folder, defaultQuota }, idsOf(messages), { ...change, unlessAfter }),
    copy: (messages, to) => copy(db, { account, folder, defaultQuota }, idsOf(messages), to),
    async move(messages, to) {
      const move = { chosen: { fromFolder: folder.id, messageIds: idsOf(messages) }, toFolder: to.id };
      return db.transaction().execute(async (tx) => {
        await holdFolder(tx, accountId, to);
        return transferred(to, await moveMessages(tx, accountId, move));
      });
    },
    async remove(messages) {
      await db.transaction().execute((tx) => deleteMessages(tx, accountId, idsOf(messages), clock()));
    },
  };
}

/**
 * The last revision in `rows`, which were read after the mailbox was at `now`. Of what is later than `now` some rows may be
 * missing: it does not count yet.
 */
function highest(now: number, rows: readonly { revision: number }[]): number {
  return rows.reduce((last, { revision }) => Math.max(last, Math.min(revision, now)), 0);
}

/** Those of `known` that are not shown any more, when it is not remembered what left. */
async function missing(db: Db, folderId: number, known: ReadonlySet<number>): Promise<number[]> {
  const there = new Set((await shownSince(db, folderId, -1)).map(({ seq }) => seq));
  return [...known].filter((uid) => !there.has(uid));
}

/** Which notes were seen is remembered: none that is older is believed later (SMIMP 0.1 §5). */
async function shownMessages(db: Db, account: MailAccount, rows: readonly ShownRow[]): Promise<ShownMessage[]> {
  const newer: { messageId: Buffer; notesVersion: number }[] = [];
  const messages = rows.map((row) => {
    const { message, version } = versionedMessage(account, row);
    if (version > row.notes_version) newer.push({ messageId: row.message_id, notesVersion: version });
    return message;
  });
  if (newer.length > 0) await rememberNotes(db, account.accountId, newer);
  return messages;
}

function versionedMessage(account: MailAccount, row: ShownRow): { message: ShownMessage; version: number } {
  const { message_id: messageId, seq: uid, revision, digest } = row;
  const { flags, version } = readVersioned(account, storedFlags(row));
  return { message: { uid, messageId, digest, revision, flags }, version };
}

const storedFlags = ({ read, extensions_data: extensionsData, digest, notes_version: leastVersion }: ShownRow) => ({
  ...{ read, extensionsData, digest, leastVersion },
});

function transferred(to: Folder, moved: readonly Transfer[]): Transferred {
  return {
    uidValidity: to.uidValidity,
    source: moved.map(({ fromSeq }) => fromSeq),
    target: moved.map(({ toSeq }) => toSeq),
  };
}

/** One change for all messages, under the mailbox lock, so that changes of two sessions add up. */
function store(
  db: Db,
  { account, folder, defaultQuota }: { account: MailAccount; folder: Folder; defaultQuota: DefaultQuota },
  messageIds: Buffer[],
  change: FlagChange & { unlessAfter: number | null },
): Promise<ConditionalChange> {
  const { accountId } = account;
  const isChanged = (row: ShownRow): boolean => change.unlessAfter !== null && row.revision > change.unlessAfter;
  return db.transaction().execute(async (tx) => {
    await lockMailbox(tx, accountId);
    const rows = await shownAmong(tx, folder.id, messageIds);
    const refused = rows.filter(isChanged).map(({ seq }) => seq);
    const asked = rows.filter((row) => !isChanged(row)).map((row) => changed(account, row, change));
    const writes = asked.flatMap(({ write }) => (write === null ? [] : [write]));
    if (writes.length === 0) return { after: asked.map(({ message }) => message), refused };
    const { revision } = await advanceMailbox(tx, accountId, { seqs: 0 });
    await writeFlags(tx, accountId, revision, writes);
    if (writes.some(isLong) && !(await hasRoom(tx, accountId, { addBytes: 0, defaultQuota })))
      throw new MailboxError('over-quota');
    const after = asked.map(({ message, write }) => (write === null ? message : { ...message, revision }));
    return { after, refused };
  });
}

/** In a full mailbox, too, mail must be marked: to be deleted, or as read. Only long lists of keywords need room. */
const isLong = ({ extensionsData }: FlagWrite): boolean => (extensionsData?.length ?? 0) > FREE_NOTES_BYTES;

/** A message after a change, and what to write for it; nothing when it was so before. */
function changed(
  account: MailAccount,
  row: ShownRow,
  change: FlagChange,
): { message: ShownMessage; write: FlagWrite | null } {
  const before = versionedMessage(account, row).message;
  const flags = changeFlags(before.flags, change);
  const write = withFlags(account, storedFlags(row), flags);
  if (write === null) return { message: before, write };
  return { message: { ...before, flags }, write: { messageId: row.message_id, ...write } };
}

function copy(
  db: Db,
  from: { account: MailAccount; folder: Folder; defaultQuota: DefaultQuota },
  messageIds: Buffer[],
  to: Folder,
): Promise<Transferred> {
  const {
    account: { accountId },
    folder,
    defaultQuota,
  } = from;
  const copyIds = messageIds.map(() => randomBytes(ID_BYTES));
  const request = { chosen: { fromFolder: folder.id, messageIds }, toFolder: to.id, copyIds };
  return db.transaction().execute(async (tx) => {
    await holdFolder(tx, accountId, to);
    const copies = await copyMessages(tx, accountId, request);
    // They are counted by now; what does not fit is undone.
    if (!(await hasRoom(tx, accountId, { addBytes: 0, defaultQuota }))) throw new MailboxError('over-quota');
    return transferred(to, copies);
  });
}
