/**
 * The mailbox as mail programs see it: shown messages of a folder, what changed since a revision, flags, copies, moves.
 *
 * A revision is taken under the account's row lock, so revisions become visible in their order: whoever reads the
 * account's revision first and the rows after it misses nothing.
 */
import { sql } from 'kysely';
import { advanceMailbox } from './accounts.ts';
import { type Executor, notify, type Tx } from './database.ts';
import { raiseUidNext } from './folders.ts';

/** What is listed of a shown message without opening anything. */
export type ShownRow = {
  message_id: Buffer;
  seq: number;
  revision: number;
  read: boolean;
  extensions_data: Buffer | null;
  /** The digest in `message_hash`, 32 bytes. */
  digest: Buffer;
};

const SIGNATURE_BYTES = 64;
const digestColumn = sql<Buffer>`substring(message_hash from ${sql.lit(SIGNATURE_BYTES + 1)})`.as('digest');

export async function mailboxRevision(db: Executor, accountId: number): Promise<number> {
  const row = await db.selectFrom('account').select('revision').where('id', '=', accountId).executeTakeFirstOrThrow();
  return row.revision;
}

/** Shown messages changed after `afterRevision`, all of them with -1; ascending by seq. */
export function shownSince(db: Executor, folderId: number, afterRevision: number): Promise<ShownRow[]> {
  return db
    .selectFrom('message')
    .select(['message_id', 'seq', 'revision', 'read', 'extensions_data'])
    .select(digestColumn)
    .where('folder_id', '=', folderId)
    .where('state', '=', 'shown')
    .where('revision', '>', afterRevision)
    .orderBy('seq')
    .execute();
}

/** Seqs that left the folder after `afterRevision`. */
export async function expungedSince(db: Executor, folderId: number, afterRevision: number): Promise<number[]> {
  const rows = await db
    .selectFrom('expunged')
    .select('seq')
    .where('folder_id', '=', folderId)
    .where('revision', '>', afterRevision)
    .execute();
  return rows.map(({ seq }) => seq);
}

/** Those of `messageIds` that are shown in the folder now, ascending by seq. The caller holds the mailbox. */
export function shownAmong(tx: Tx, folderId: number, messageIds: Buffer[]): Promise<ShownRow[]> {
  return tx
    .selectFrom('message')
    .select(['message_id', 'seq', 'revision', 'read', 'extensions_data'])
    .select(digestColumn)
    .where('folder_id', '=', folderId)
    .where('state', '=', 'shown')
    .where(sql<boolean>`message_id = any(${messageIds}::bytea[])`)
    .orderBy('seq')
    .execute();
}

export type FlagWrite = { messageId: Buffer; read: boolean; extensionsData: Buffer | null };

/** Writes flags of messages at one revision. The caller holds the mailbox. */
export async function writeFlags(tx: Tx, accountId: number, revision: number, writes: FlagWrite[]): Promise<void> {
  const ids = writes.map(({ messageId }) => messageId);
  const reads = writes.map(({ read }) => read);
  const data = writes.map(({ extensionsData }) => extensionsData);
  await sql`
    update message set read = d.read, extensions_data = d.data, revision = ${revision}
    from unnest(${ids}::bytea[], ${reads}::boolean[], ${data}::bytea[]) as d(id, read, data)
    where message.message_id = d.id and message.account_id = ${accountId}`.execute(tx);
  await notify(tx, 'mailbox_changed', accountId);
}

/** Where a message was and where it, or its copy, is now. */
export type Transfer = { messageId: Buffer; fromSeq: number; toSeq: number };

/**
 * Moves shown messages to another folder, in the order of their seqs; each gets a new seq. Those that left `fromFolder`
 * meanwhile are passed over.
 */
export async function moveMessages(
  tx: Tx,
  accountId: number,
  move: { fromFolder: number; toFolder: number; messageIds: Buffer[] },
): Promise<Transfer[]> {
  const { firstSeq, revision } = await advanceMailbox(tx, accountId, { seqs: move.messageIds.length });
  const found = await shownAmong(tx, move.fromFolder, move.messageIds);
  if (found.length === 0) return [];
  const moved = found.map((row, n) => ({ messageId: row.message_id, fromSeq: row.seq, toSeq: firstSeq + n }));
  const ids = moved.map(({ messageId }) => messageId);
  const from = moved.map(({ fromSeq }) => fromSeq);
  const to = moved.map(({ toSeq }) => toSeq);
  await sql`
    insert into expunged (account_id, revision, folder_id, seq, message_id, gone)
    select ${accountId}, ${revision}, ${move.fromFolder}, d.seq, d.id, false
    from unnest(${ids}::bytea[], ${from}::bigint[]) as d(id, seq)`.execute(tx);
  await sql`
    update message set folder_id = ${move.toFolder}, seq = d.seq, revision = ${revision}
    from unnest(${ids}::bytea[], ${to}::bigint[]) as d(id, seq)
    where message.message_id = d.id`.execute(tx);
  await raiseUidNext(tx, move.toFolder, firstSeq + moved.length - 1);
  await notify(tx, 'mailbox_changed', accountId);
  return moved;
}

export type Copy = Transfer & { copyId: Buffer };

/**
 * Copies shown messages to a folder: the same ciphertext under a new id and seq. `copyIds` are as many random ids as
 * there are messages. Their sealed contents are the caller's to copy, because they are bound to the id.
 */
export async function copyMessages(
  tx: Tx,
  accountId: number,
  copy: { fromFolder: number; toFolder: number; messageIds: Buffer[]; copyIds: Buffer[] },
): Promise<Copy[]> {
  const { firstSeq, revision } = await advanceMailbox(tx, accountId, { seqs: copy.messageIds.length });
  const found = await shownAmong(tx, copy.fromFolder, copy.messageIds);
  if (found.length === 0) return [];
  const copies = found.map((row, n) => ({
    messageId: row.message_id,
    copyId: copy.copyIds[n] as Buffer,
    fromSeq: row.seq,
    toSeq: firstSeq + n,
  }));
  await sql`
    with copied as (
      insert into message (
        message_id, account_id, folder_id, seq, revision, message_type, ciphertext, size_bytes, message_public_key, nonce,
        proof_of_work, message_hash, sender_address, sender_public_key, time_received, pow_zero_bits, pow_nonce,
        login_token_hash, received_via, read, extensions_data, is_copy, state)
      select
        d.copy_id, m.account_id, ${copy.toFolder}, d.seq, ${revision}, m.message_type, m.ciphertext, m.size_bytes,
        m.message_public_key, m.nonce, m.proof_of_work, m.message_hash, m.sender_address, m.sender_public_key,
        m.time_received, m.pow_zero_bits, m.pow_nonce, m.login_token_hash, m.received_via, m.read, m.extensions_data,
        true, m.state
      from unnest(${copies.map((c) => c.messageId)}::bytea[], ${copies.map((c) => c.copyId)}::bytea[],
                  ${copies.map((c) => c.toSeq)}::bigint[]) as d(id, copy_id, seq)
      join message m on m.message_id = d.id
      returning size_bytes)
    update account set size_bytes = size_bytes + (select coalesce(sum(size_bytes), 0) from copied)
    where id = ${accountId}`.execute(tx);
  await raiseUidNext(tx, copy.toFolder, firstSeq + copies.length - 1);
  await notify(tx, 'mailbox_changed', accountId);
  return copies;
}
