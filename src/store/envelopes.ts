/** Envelopes as the API gives them to their owner (SMIMP 0.1 §4.2, §5): listed, read, and followed as they change. */
import { sql } from 'kysely';
import { advanceMailbox } from './accounts.ts';
import { type Executor, notify, type Tx } from './database.ts';
import { expungedFloor } from './expunged.ts';
import { notesBytes, type StoredMessage } from './messages.ts';
import { changedStretches, currentRevision, isWithinStretch, revisionOfMessage } from './revisions.ts';

/** What a Summary of §5 is made from. */
export type SummaryRow = Pick<
  StoredMessage,
  'message_id' | 'time_received' | 'read' | 'sender_address' | 'size_bytes' | 'message_type' | 'seq' | 'revision'
> & { folder_name: string | null };

const SUMMARY = [
  'message.message_id',
  'message.time_received',
  'message.read',
  'message.sender_address',
  'message.size_bytes',
  'message.message_type',
  'message.seq',
  'folder.folder_name',
  currentRevision,
] as const;

/** The folder of that type and name; null is the inbox, which holds every type. */
export async function folderId(
  db: Executor,
  folder: { accountId: number; messageType: string; name: string | null },
): Promise<number | null> {
  const query = db.selectFrom('folder').select('id').where('account_id', '=', folder.accountId);
  const row = await (folder.name === null
    ? query.where('folder_name', 'is', null)
    : query.where('message_type', '=', folder.messageType).where('folder_name', '=', folder.name)
  ).executeTakeFirst();
  return row?.id ?? null;
}

/** Whether a folder of that name exists, of whatever type. */
export async function hasFolderNamed(db: Executor, accountId: number, name: string): Promise<boolean> {
  const row = await db
    .selectFrom('folder')
    .select('id')
    .where('account_id', '=', accountId)
    .where('folder_name', '=', name)
    .limit(1)
    .executeTakeFirst();
  return row !== undefined;
}

/** Of which type a message is, and its revision. */
export function findPlace(
  db: Executor,
  accountId: number,
  messageId: Buffer,
): Promise<Pick<StoredMessage, 'message_type' | 'revision'> | undefined> {
  return db
    .selectFrom('message')
    .select(['message_type', currentRevision])
    .where('account_id', '=', accountId)
    .where('message_id', '=', messageId)
    .executeTakeFirst();
}

/** Of one type, or all that lie in the folder. */
export function listEnvelopes(
  db: Executor,
  page: { folderId: number; messageType: string | null; after: number; limit: number },
): Promise<SummaryRow[]> {
  return db
    .selectFrom('message')
    .innerJoin('folder', 'folder.id', 'message.folder_id')
    .select(SUMMARY)
    .where('message.folder_id', '=', page.folderId)
    .$if(page.messageType !== null, (query) => query.where('message.message_type', '=', page.messageType ?? ''))
    .where('message.seq', '>', page.after)
    .orderBy('message.seq')
    .limit(page.limit)
    .execute();
}

export function findEnvelope(
  db: Executor,
  accountId: number,
  messageId: Buffer,
): Promise<(StoredMessage & { folder_name: string | null }) | undefined> {
  return db
    .selectFrom('message')
    .innerJoin('folder', 'folder.id', 'message.folder_id')
    .selectAll('message')
    .select(['folder.folder_name', currentRevision])
    .where('message.account_id', '=', accountId)
    .where('message.message_id', '=', messageId)
    .executeTakeFirst();
}

export async function findRead(db: Executor, accountId: number, messageId: Buffer): Promise<boolean | null> {
  const row = await db
    .selectFrom('message')
    .select('read')
    .where('account_id', '=', accountId)
    .where('message_id', '=', messageId)
    .executeTakeFirst();
  return row?.read ?? null;
}

/** Marks a message; the revision, which rises only when something changed. Null when there is no such message. */
export async function setRead(
  tx: Tx,
  mark: { accountId: number; messageId: Buffer; read: boolean },
): Promise<number | null> {
  const before = await tx
    .selectFrom('message')
    .select(['read', currentRevision])
    .where('account_id', '=', mark.accountId)
    .where('message_id', '=', mark.messageId)
    .executeTakeFirst();
  if (before === undefined) return null;
  if (before.read === mark.read) return before.revision;
  const { revision } = await advanceMailbox(tx, mark.accountId, { seqs: 0 });
  await tx
    .updateTable('message')
    .set({ read: mark.read, revision })
    .where('account_id', '=', mark.accountId)
    .where('message_id', '=', mark.messageId)
    .execute();
  await notify(tx, 'mailbox_changed', mark.accountId);
  return revision;
}

/**
 * Puts a message's extensions in the place of those at `ifRevision`; null names no revision. Returns the new revision. The
 * caller holds the mailbox.
 */
export async function setExtensions(
  tx: Tx,
  set: { accountId: number; messageId: Buffer; data: Buffer | null; ifRevision: number | null },
): Promise<number | 'unknown' | 'changed'> {
  const { accountId, messageId } = set;
  const found = await tx
    .selectFrom('message')
    .select([currentRevision, notesBytes])
    .where('account_id', '=', accountId)
    .where('message_id', '=', messageId)
    .executeTakeFirst();
  if (found === undefined) return 'unknown';
  if (found.revision !== set.ifRevision) return 'changed';
  const sizeBytes = (set.data?.length ?? 0) - found.notes_bytes;
  const { revision } = await advanceMailbox(tx, accountId, { seqs: 0, sizeBytes });
  await tx
    .updateTable('message')
    .set({ extensions_data: set.data, revision })
    .where('account_id', '=', accountId)
    .where('message_id', '=', messageId)
    .execute();
  await notify(tx, 'mailbox_changed', accountId);
  return revision;
}

/** The messages of a folder are told of as changed: its name stands with each. The caller holds the mailbox. */
export async function touchMessages(tx: Tx, accountId: number, folderId: number): Promise<void> {
  const { revision } = await advanceMailbox(tx, accountId, { seqs: 0 });
  await tx.updateTable('message').set({ revision }).where('folder_id', '=', folderId).execute();
}

export type Change =
  | { revision: number; op: 'put'; summary: SummaryRow }
  | { revision: number; op: 'delete'; message_id: Buffer };

/**
 * What changed after `revision`, in order. About `limit` changes, but never a part of one revision: then `last` is the
 * revision to go on from. When all was given, it is the mailbox's own (`current`). Deletions up to `floor` may be forgotten.
 */
export async function changesAfter(
  db: Executor,
  ask: { accountId: number; revision: number; limit: number },
): Promise<{ changes: Change[]; last: number; current: number; floor: number }> {
  const { revision: current } = await db
    .selectFrom('account')
    .select('revision')
    .where('id', '=', ask.accountId)
    .executeTakeFirstOrThrow();
  const puts = await changedEnvelopes(db, { ...ask, current });
  const gone = await db
    .selectFrom('expunged')
    .select(['message_id', 'revision'])
    .where('account_id', '=', ask.accountId)
    .where('gone', '=', true)
    .where('revision', '>', ask.revision)
    .where('revision', '<=', current)
    .orderBy('revision')
    .modifyEnd(sql`fetch first ${ask.limit} rows with ties`)
    .execute();
  const last = Math.min(cut(puts, ask.limit, current), cut(gone, ask.limit, current));
  const changes: Change[] = [
    ...puts.map((summary) => ({ revision: summary.revision, op: 'put' as const, summary })),
    ...gone.map(({ revision, message_id }) => ({ revision, op: 'delete' as const, message_id })),
  ];
  return {
    changes: changes.filter(({ revision }) => revision <= last).sort((a, b) => a.revision - b.revision),
    ...{ last, current, floor: await expungedFloor(db, ask.accountId) },
  };
}

/** Messages whose revision lies after `revision`, up to `current`, in its order: about `limit`, whole revisions. */
function changedEnvelopes(
  db: Executor,
  {
    accountId,
    revision: after,
    limit,
    current,
  }: { accountId: number; revision: number; limit: number; current: number },
): Promise<SummaryRow[]> {
  const shown = db
    .selectFrom('message')
    .innerJoin('folder', 'folder.id', 'message.folder_id')
    .select(SUMMARY)
    .where('message.account_id', '=', accountId)
    .where(sql<boolean>`${revisionOfMessage} <= ${current}`)
    .orderBy('revision')
    .modifyEnd(sql`fetch first ${limit} rows with ties`);
  const one = shown.where(sql<boolean>`message.revision > ${after} and message.revision >= message.flags_revision`);
  const ofMany = shown
    .where(sql<boolean>`message.flags_revision > ${after} and message.flags_revision > message.revision`)
    .innerJoin(changedStretches({ accountId, after }).as('stretch'), (join) => join.on(isWithinStretch));
  return db
    .selectFrom(one.as('one'))
    .selectAll()
    .unionAll(db.selectFrom(ofMany.as('of_many')).selectAll())
    .orderBy('revision')
    .modifyEnd(sql`fetch first ${limit} rows with ties`)
    .execute();
}

/** Up to which revision a page is complete. */
function cut(rows: readonly { revision: number }[], limit: number, current: number): number {
  return rows.length < limit ? current : (rows.at(-1)?.revision ?? current);
}
