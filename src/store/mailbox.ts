/**
 * The mailbox as mail programs see it: shown messages of a folder, what changed since a revision, flags.
 *
 * A revision is taken under the account's row lock, so revisions become visible in their order: whoever reads the
 * account's revision first and the rows after it misses nothing.
 */
import { sql } from 'kysely';
import { type Db, type Executor, notify, type Tx } from './database.ts';
import { lockMailbox } from './folders.ts';

/** What is listed of a shown message without opening anything. */
export type ShownRow = {
  message_id: Buffer;
  seq: number;
  revision: number;
  read: boolean;
  extensions_data: Buffer | null;
  notes_version: number;
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

/** Shown messages changed after `afterRevision`, all of them with -1; ascending by seq. */
export function shownSince(db: Executor, folderId: number, afterRevision: number): Promise<ShownRow[]> {
  return db
    .selectFrom('message')
    .select(['message_id', 'seq', 'revision', 'read', 'extensions_data', 'notes_version'])
    .select(digestColumn)
    .where('folder_id', '=', folderId)
    .where('state', '=', 'shown')
    .where('revision', '>', afterRevision)
    .orderBy('seq')
    .execute();
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
  return tx
    .selectFrom('message')
    .select(['message_id', 'seq', 'revision', 'read', 'extensions_data', 'notes_version'])
    .select(digestColumn)
    .where('folder_id', '=', folderId)
    .where('state', '=', 'shown')
    .where(sql<boolean>`message_id = any(${messageIds}::bytea[])`)
    .orderBy('seq')
    .execute();
}

/** `notesVersion`: of the blob; absent when it is not known, as for what another server says. */
export type FlagWrite = { messageId: Buffer; read: boolean; extensionsData: Buffer | null; notesVersion?: number };

/** Writes flags of messages at one revision. The caller holds the mailbox. */
export async function writeFlags(tx: Tx, accountId: number, revision: number, writes: FlagWrite[]): Promise<void> {
  const ids = writes.map(({ messageId }) => messageId);
  const reads = writes.map(({ read }) => read);
  const data = writes.map(({ extensionsData }) => extensionsData);
  const versions = writes.map(({ notesVersion }) => notesVersion ?? 0);
  await sql`
    with before as (
      select sum(octet_length(extensions_data)) as bytes from message
      where message_id = any(${ids}::bytea[]) and account_id = ${accountId}
    ), written as (
      update message set read = d.read, extensions_data = d.data, revision = ${revision},
        notes_version = greatest(notes_version, d.version)
      from unnest(${ids}::bytea[], ${reads}::boolean[], ${data}::bytea[], ${versions}::bigint[])
        as d(id, read, data, version)
      where message.message_id = d.id and message.account_id = ${accountId}
      returning octet_length(message.extensions_data) as bytes
    )
    update account set size_bytes = size_bytes - coalesce((select bytes from before), 0)
      + coalesce((select sum(bytes) from written), 0)
    where id = ${accountId}`.execute(tx);
  await notify(tx, 'mailbox_changed', accountId);
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
