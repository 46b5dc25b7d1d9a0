/** Changing flags of messages: one change for all of them, under the mailbox lock, so that changes of two sessions add up. */
import { advanceMailbox } from '../store/accounts.ts';
import type { Db, Tx } from '../store/database.ts';
import { type FlagWrite, writeFlags } from '../store/flag-changes.ts';
import { lockMailboxAt } from '../store/folders.ts';
import type { ShownRow } from '../store/mailbox.ts';
import { type DefaultQuota, FREE_NOTES_BYTES, hasRoom } from '../store/quota.ts';
import { MailboxError } from './errors.ts';
import { changeFlags, type FlagChange, SEEN, withFlags } from './flags.ts';
import type { FolderMemory } from './folder-state.ts';
import type { Folder } from './folder-tree.ts';
import type { MailAccount } from './mail-account.ts';
import { storedFlags, versionedMessage } from './shown-messages.ts';
import { stillThere } from './still-there.ts';
import { type Change, isRefused, type Stored, storeSeen } from './store-seen.ts';
import { isTrustKeyword } from './trust-keywords.ts';
import type { ConditionalChange, ShownMessage } from './types.ts';

interface Place {
  db: Db;
  account: MailAccount;
  states: FolderMemory;
  folder: Folder;
  defaultQuota: DefaultQuota;
}

export async function storeFlags(
  place: Place,
  messages: readonly ShownMessage[],
  change: Change,
): Promise<ConditionalChange> {
  const { db, account, states, folder } = place;
  // Whoever replaces all flags names those that are there; nobody adds them or takes them away.
  if (change.mode !== 'replace' && change.flags.some(isTrustKeyword)) throw new MailboxError('trust-keyword');
  const stored = await db.transaction().execute(async (tx) => {
    const state = states.at(folder, await lockMailboxAt(tx, account.accountId));
    if (state !== null && isOfSeen(change)) return storeSeen(tx, { account, folder, state }, messages, change);
    return storeAny(tx, place, messages, change);
  });
  if (stored.revision !== null) states.advance(folder, stored.revision, stored.written);
  return { after: stored.after, refused: stored.refused };
}

/** \Seen alone is a column: nothing sealed has to be read for it. */
function isOfSeen({ mode, flags }: FlagChange): boolean {
  return mode !== 'replace' && flags.length > 0 && flags.every((flag) => flag === SEEN);
}

async function storeAny(
  tx: Tx,
  { account, folder, defaultQuota }: Place,
  messages: readonly ShownMessage[],
  change: Change,
): Promise<Stored> {
  const { accountId } = account;
  const rows = await stillThere(tx, folder, messages);
  const refused = rows.filter(({ revision }) => isRefused(change, revision)).map(({ seq }) => seq);
  const asked = rows.filter(({ revision }) => !isRefused(change, revision)).map((row) => changed(account, row, change));
  const writes = asked.flatMap(({ write }) => (write === null ? [] : [write]));
  if (writes.length === 0) return { after: asked.map(({ message }) => message), refused, revision: null, written: [] };
  const { revision } = await advanceMailbox(tx, accountId, { seqs: 0 });
  const seqs = asked.flatMap(({ message, write }) => (write === null ? [] : [message.uid]));
  await writeFlags(tx, { accountId, revision, within: { folderId: folder.id, seqs } }, writes);
  if (writes.some(isLong) && !(await hasRoom(tx, accountId, { addBytes: 0, defaultQuota })))
    throw new MailboxError('over-quota');
  const after = asked.map(({ message, write }) => (write === null ? message : { ...message, revision }));
  return { after, refused, revision, written: after.filter((message) => message.revision === revision) };
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
