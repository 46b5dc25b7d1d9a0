/** One folder as a session looks at it: what is in it, and what changed since it looked last. */
import { randomBytes } from '../smimp/crypto.ts';
import type { Db } from '../store/database.ts';
import { rememberedExpunged } from '../store/expunged.ts';
import { lockMailbox } from '../store/folders.ts';
import type { ShownRow } from '../store/mailbox.ts';
import { deleteMessages } from '../store/messages.ts';
import { type DefaultQuota, hasRoom } from '../store/quota.ts';
import { claim, unclaimed } from '../store/recent.ts';
import { saveDates } from '../store/save-dates.ts';
import { copyMessages, moveMessages, type Transfer } from '../store/transfers.ts';
import { type Contents, contentKey } from './contents.ts';
import { MailboxError } from './errors.ts';
import { changesBetween, type FolderMemory } from './folder-state.ts';
import type { Folder } from './folder-tree.ts';
import { holdFolder } from './folders.ts';
import type { MailAccount } from './mail-account.ts';
import { versionedMessage } from './shown-messages.ts';
import { rowIds, stillThere } from './still-there.ts';
import { storeFlags } from './store-flags.ts';
import { threadsOf } from './threads.ts';
import type { FolderChanges, FolderView, ShownMessage, Transferred } from './types.ts';

const ID_BYTES = 32;

export async function openView(options: {
  db: Db;
  account: MailAccount;
  contents: Contents;
  states: FolderMemory;
  folder: Folder;
  clock: () => Date;
  defaultQuota: DefaultQuota;
}): Promise<FolderView> {
  const { db, account, contents, states, clock, defaultQuota } = options;
  const { accountId } = account;
  let state = await states.open(account, options.folder);
  const opened = state.messages;
  // Until the command that asked for them has ended.
  let ahead = NONE_AHEAD;
  let coming: Coming | null = null;
  const uidNext = Math.max(options.folder.uidNext, (opened.at(-1)?.uid ?? 0) + 1);
  const folder = { ...options.folder, uidNext };

  const idsOf = (messages: readonly ShownMessage[]): Buffer[] => messages.map(({ messageId }) => messageId);

  return {
    folder,
    opened,
    get messages() {
      return state.messages;
    },
    get highestRevision() {
      return state.highestRevision;
    },
    async refresh() {
      ahead = NONE_AHEAD;
      coming = null;
      const before = state;
      state = await states.refresh(account, folder, before);
      return state === before ? NOTHING : changesBetween(before.messages, state.messages);
    },
    recent: ({ claim: takes }) => (takes ? claim : unclaimed)(db, folder.id),
    vanishedSince: (after) => rememberedExpunged(db, { accountId, folderId: folder.id }, after),
    list: (messages) => contents.list(account, idsOf(messages)),
    threadIds: (messages) => threadsOf(db, { account, contents }, messages),
    async saveDates(messages) {
      const dates = await saveDates(db, accountId, idsOf(messages));
      return messages.map(({ messageId }) => dates.get(messageId.toString('hex')) ?? null);
    },
    async prefetch(messages, following = []) {
      const read = (some: readonly ShownMessage[]) => contents.prefetch(account, idsOf(some));
      const asked = coming !== null && coming.first === messages[0] ? coming.bytes : read(messages);
      // Before these are waited for: PostgreSQL reads what follows while they are worked at.
      coming = following[0] === undefined ? null : { first: following[0], bytes: read(following) };
      // It may never be asked for; whoever does hears of the failure.
      coming?.bytes.catch(() => undefined);
      ahead = await asked;
    },
    raw: async ({ messageId }) => ahead.get(contentKey(messageId)) ?? contents.raw(account, messageId),
    async changeFlags(messages, change, ready) {
      const place = { db, account, states, folder, defaultQuota };
      return [...(await storeFlags(place, messages, { ...change, unlessAfter: null, ready })).after];
    },
    changeFlagsUnlessChanged: (messages, change, unlessAfter) =>
      storeFlags({ db, account, states, folder, defaultQuota }, messages, { ...change, unlessAfter }),
    copy: (messages, to) => copy(db, { account, folder, defaultQuota }, messages, { to, now: clock() }),
    async move(messages, to) {
      return db.transaction().execute(async (tx) => {
        await holdFolder(tx, accountId, to);
        const messageIds = rowIds(await stillThere(tx, folder, messages));
        const move = { chosen: { fromFolder: folder.id, messageIds }, toFolder: to.id, now: clock() };
        return transferred(to, await moveMessages(tx, accountId, move));
      });
    },
    async remove(messages, flag) {
      await db.transaction().execute(async (tx) => {
        await lockMailbox(tx, accountId);
        const there = await stillThere(tx, folder, messages);
        const has = (row: ShownRow): boolean =>
          versionedMessage(account, row).message.flags.some((one) => one === flag);
        const marked = flag === undefined ? there : there.filter(has);
        await deleteMessages(tx, accountId, rowIds(marked), clock());
      });
    },
  };
}

/** Bytes that are under way, and the first message they are of. */
interface Coming {
  readonly first: ShownMessage;
  readonly bytes: Promise<ReadonlyMap<string, Buffer>>;
}

const NOTHING: FolderChanges = { removed: [], changed: [] };
const NONE_AHEAD: ReadonlyMap<string, Buffer> = new Map();

function transferred(to: Folder, moved: readonly Transfer[]): Transferred {
  return {
    uidValidity: to.uidValidity,
    source: moved.map(({ fromSeq }) => fromSeq),
    target: moved.map(({ toSeq }) => toSeq),
  };
}

function copy(
  db: Db,
  from: { account: MailAccount; folder: Folder; defaultQuota: DefaultQuota },
  messages: readonly ShownMessage[],
  { to, now }: { to: Folder; now: Date },
): Promise<Transferred> {
  const {
    account: { accountId },
    folder,
    defaultQuota,
  } = from;
  return db.transaction().execute(async (tx) => {
    await holdFolder(tx, accountId, to);
    const messageIds = rowIds(await stillThere(tx, folder, messages));
    const copyIds = messageIds.map(() => randomBytes(ID_BYTES));
    const request = { chosen: { fromFolder: folder.id, messageIds }, toFolder: to.id, copyIds, now };
    const copies = await copyMessages(tx, accountId, request);
    // They are counted by now; what does not fit is undone.
    if (!(await hasRoom(tx, accountId, { addBytes: 0, defaultQuota }))) throw new MailboxError('over-quota');
    return transferred(to, copies);
  });
}
