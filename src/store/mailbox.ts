/**
 * The mailbox as mail programs see it: shown messages of a folder, what changed since a revision, flags.
 *
 * A revision is taken under the account's row lock, so revisions become visible in their order: whoever reads the
 * account's revision first and the rows after it misses nothing.
 */
import { sql } from 'kysely';
import type { Db, Executor, Tx } from './database.ts';
import { lockMailbox } from './folders.ts';
import { changedStretches, currentRevision, isWithinStretch, revisionOfMessage } from './revisions.ts';

/** What is listed of a shown message without opening anything. */
export type ShownRow = {
  message_id: Buffer;
  seq: number;
  revision: number;
  read: boolean;
  extensions_data: Buffer | null;
  notes_version: number;
  trust: number;
  /** The digest in `message_hash`, 32 bytes. */
  digest: Buffer;
};

const SIGNATURE_BYTES = 64;
const digestColumn = sql<Buffer>`substring(message_hash from ${sql.lit(SIGNATURE_BYTES + 1)})`.as('digest');

export async function mailboxRevision(db: Executor, accountId: number): Promise<number> {
  const row = await db.selectFrom('account').select('revision').where('id', '=', accountId).executeTakeFirstOrThrow();
  return row.revision;
}

/** The mailbox's revision, and the UIDVALIDITY of a folder in it; null when the folder is gone. */
export async function folderRevision(
  db: Executor,
  accountId: number,
  folderId: number,
): Promise<{ revision: number; uidValidity: number | null }> {
  const row = await db
    .selectFrom('account')
    .leftJoin('folder', (join) => join.on('folder.id', '=', folderId))
    .select(['account.revision', 'folder.uid_validity'])
    .where('account.id', '=', accountId)
    .executeTakeFirstOrThrow();
  return { revision: row.revision, uidValidity: row.uid_validity };
}

const SHOWN = ['message_id', 'seq', 'read', 'extensions_data', 'notes_version', 'trust'] as const;

const shownIn = (db: Executor, folderId: number) =>
  db
    .selectFrom('message')
    .select(SHOWN)
    .select([currentRevision, digestColumn])
    .where('folder_id', '=', folderId)
    .where('state', '=', 'shown');

/** Shown messages of one folder changed after a revision, ascending by seq: few of them, found by their revision. */
export function changedSince(
  db: Executor,
  { accountId, folderId }: { accountId: number; folderId: number },
  after: number,
): Promise<ShownRow[]> {
  const one = shownIn(db, folderId)
    .where('account_id', '=', accountId)
    .where(sql<boolean>`message.revision > ${after}`);
  const ofMany = shownIn(db, folderId).innerJoin(changedStretches({ accountId, after }).as('stretch'), (join) =>
    join.on(sql<boolean>`${isWithinStretch} and message.flags_revision > ${after} and message.revision <= ${after}`),
  );
  return one.unionAll(ofMany).orderBy('seq').execute();
}

/** Shown messages of a folder side by side, ascending by seq: a row for each would cost more than what is in it. */
export type ShownPage = {
  seqs: number[];
  revisions: number[];
  /** `1` for each that was read, else `0`. */
  read: string;
  trust: number[];
  /** 32 bytes of each. */
  ids: { messageIds: Buffer; digests: Buffer };
  /** By place in the page: of those that have any. */
  notes: Map<number, { data: Buffer; version: number }>;
};

/** The shown messages of a folder behind `afterSeq`, up to a number; null when there is none. */
export async function shownPage(
  db: Executor,
  folderId: number,
  { afterSeq, limit }: { afterSeq: number; limit: number },
): Promise<ShownPage | null> {
  type Row = Record<'seqs' | 'revisions' | 'read' | 'trust' | 'lengths' | 'versions', string | null> &
    Record<'ids' | 'digests' | 'notes', Buffer>;
  const { rows } = await sql<Row>`
    select string_agg(seq::text, ',' order by seq) as seqs, string_agg(revision::text, ',' order by seq) as revisions,
      string_agg(read::int::text, '' order by seq) as read, string_agg(trust::text, ',' order by seq) as trust,
      string_agg(message_id, '' order by seq) as ids,
      string_agg(substring(message_hash from ${sql.lit(SIGNATURE_BYTES + 1)}), '' order by seq) as digests,
      string_agg(coalesce(octet_length(extensions_data), 0)::text, ',' order by seq) as lengths,
      string_agg(notes_version::text, ',' order by seq) as versions,
      string_agg(coalesce(extensions_data, ''), '' order by seq) as notes
    from (
      select seq, ${currentRevision}, read, trust, message_id, message_hash, extensions_data, notes_version from message
      where folder_id = ${folderId} and state = 'shown' and seq > ${afterSeq} order by seq limit ${limit}
    ) as page`.execute(db);
  const [row] = rows;
  if (row === undefined || row.seqs === null) return null;
  return {
    ...{ seqs: numbersIn(row.seqs), revisions: numbersIn(row.revisions) },
    ...{ read: row.read ?? '', trust: numbersIn(row.trust) },
    ids: { messageIds: row.ids, digests: row.digests },
    notes: notesIn(row.notes, numbersIn(row.lengths), numbersIn(row.versions)),
  };
}

const numbersIn = (list: string | null): number[] => (list ?? '').split(',').map(Number);

/** What stands end to end, taken apart; nothing where nothing stands. */
function notesIn(whole: Buffer, lengths: readonly number[], versions: readonly number[]): ShownPage['notes'] {
  const found: ShownPage['notes'] = new Map();
  let at = 0;
  for (const [place, length] of lengths.entries()) {
    if (length > 0) found.set(place, { data: whole.subarray(at, at + length), version: versions[place] ?? 0 });
    at += length;
  }
  return found;
}

/**
 * As folderRevision, with how many messages are shown there from `fromSeq` on at that revision, and the sum of their own
 * revisions: of a folder that is as it was both are as they were.
 */
export async function countedRevision(
  db: Executor,
  accountId: number,
  { folderId, fromSeq }: { folderId: number; fromSeq: number },
): Promise<{ revision: number; uidValidity: number | null; messages: number; sum: number }> {
  const { rows } = await sql<{ revision: number; uid_validity: number | null; messages: number; sum: number }>`
    select account.revision, folder.uid_validity, counted.messages, counted.sum
    from account
    left join folder on folder.id = ${folderId}
    cross join (
      select count(*) as messages, coalesce(sum(${revisionOfMessage}), 0)::bigint as sum from message
      where folder_id = ${folderId} and state = 'shown' and seq >= ${fromSeq}
    ) as counted
    where account.id = ${accountId}`.execute(db);
  const [row] = rows;
  if (row === undefined) throw new TypeError('there is no such account');
  const { revision, messages, sum } = row;
  return { revision, uidValidity: row.uid_validity, messages, sum };
}

/** A message with sealed notes. */
export type SealedNotes = Pick<ShownRow, 'message_id' | 'read' | 'digest' | 'notes_version'> & {
  extensions_data: Buffer;
};

/** Every message with notes, whatever its state. */
export async function sealedNotes(db: Executor, accountId: number): Promise<SealedNotes[]> {
  const rows = await db
    .selectFrom('message')
    .select(['message_id', 'read', 'extensions_data', 'notes_version'])
    .select(digestColumn)
    .where('account_id', '=', accountId)
    .where('extensions_data', 'is not', null)
    .execute();
  return rows as SealedNotes[];
}

/** What left the folder after `afterRevision`. */
export function expungedSince(
  db: Executor,
  folderId: number,
  afterRevision: number,
): Promise<{ seq: number; revision: number }[]> {
  return db
    .selectFrom('expunged')
    .select(['seq', 'revision'])
    .where('folder_id', '=', folderId)
    .where('revision', '>', afterRevision)
    .execute();
}

/** The revision at which something left the folder last; 0 when nothing did. */
export async function lastExpunged(db: Executor, folderId: number): Promise<number> {
  const row = await db
    .selectFrom('expunged')
    .select((eb) => eb.fn.max('revision').as('last'))
    .where('folder_id', '=', folderId)
    .executeTakeFirstOrThrow();
  return row.last ?? 0;
}

/** Those of `messageIds` that are shown in the folder now, ascending by seq. The caller holds the mailbox. */
export function shownAmong(tx: Tx, folderId: number, messageIds: Buffer[]): Promise<ShownRow[]> {
  return shownIn(tx, folderId).where(sql<boolean>`message_id = any(${messageIds}::bytea[])`).orderBy('seq').execute();
}

/** Blobs of these versions were opened here: none older is believed from now on. */
export async function rememberNotes(
  db: Db,
  accountId: number,
  seen: readonly { messageId: Buffer; notesVersion: number }[],
): Promise<void> {
  const ids = seen.map(({ messageId }) => messageId);
  const versions = seen.map(({ notesVersion }) => notesVersion);
  await db.transaction().execute(async (tx) => {
    await lockMailbox(tx, accountId);
    await sql`
      update message set notes_version = greatest(notes_version, d.version)
      from unnest(${ids}::bytea[], ${versions}::bigint[]) as d(id, version)
      where message.message_id = d.id and message.account_id = ${accountId}`.execute(tx);
  });
}
