/**
 * Messages moved and copied between folders, by mail programs and by the API (SMIMP 0.1 §5: `message_move`, `message_copy`).
 * Each gets a new seq at the end of the mailbox; what leaves a folder stands in `expunged`. The mailbox is held from the
 * first statement on.
 */
import { sql } from 'kysely';
import { advanceMailbox } from './accounts.ts';
import { notify, type Tx } from './database.ts';
import { raiseUidNext } from './folders.ts';
import { notesBytes, type StoredMessage } from './messages.ts';

/** Which messages: those shown in one folder, or one of the account in whatever state it is. */
export type Chosen = { fromFolder: number; messageIds: Buffer[] } | { messageId: Buffer };

/** Where a message was and where it, or its copy, is now. */
export type Transfer = { messageId: Buffer; fromSeq: number; toSeq: number; revision: number };
export type Copy = Transfer & { copyId: Buffer };

type Found = Pick<StoredMessage, 'message_id' | 'seq' | 'folder_id' | 'state' | 'size_bytes'> & { notes_bytes: number };

function choose(tx: Tx, accountId: number, chosen: Chosen): Promise<Found[]> {
  const query = tx
    .selectFrom('message')
    .select(['message_id', 'seq', 'folder_id', 'state', 'size_bytes'])
    .select(notesBytes)
    .where('account_id', '=', accountId)
    .orderBy('seq');
  if ('messageId' in chosen) return query.where('message_id', '=', chosen.messageId).execute();
  return query
    .where('folder_id', '=', chosen.fromFolder)
    .where('state', '=', 'shown')
    .where(sql<boolean>`message_id = any(${chosen.messageIds}::bytea[])`)
    .execute();
}

const countOf = (chosen: Chosen): number => ('messageId' in chosen ? 1 : chosen.messageIds.length);

/** Only what is shown has a UID. */
async function raiseUids(tx: Tx, folderId: number, found: readonly Found[], firstSeq: number): Promise<void> {
  const last = found.findLastIndex(({ state }) => state === 'shown');
  if (last >= 0) await raiseUidNext(tx, folderId, firstSeq + last);
}

/** Moves messages, in the order of their seqs. Those that are gone meanwhile, or left `fromFolder`, are passed over. */
export async function moveMessages(
  tx: Tx,
  accountId: number,
  move: { chosen: Chosen; toFolder: number; now: Date },
): Promise<Transfer[]> {
  const { firstSeq, revision } = await advanceMailbox(tx, accountId, { seqs: countOf(move.chosen) });
  const found = await choose(tx, accountId, move.chosen);
  if (found.length === 0) return [];
  const ids = found.map(({ message_id }) => message_id);
  const folders = found.map(({ folder_id }) => folder_id);
  const from = found.map(({ seq }) => seq);
  const to = found.map((_row, n) => firstSeq + n);
  await sql`
    insert into expunged (account_id, revision, folder_id, seq, message_id, gone)
    select ${accountId}, ${revision}, d.folder_id, d.seq, d.id, false
    from unnest(${ids}::bytea[], ${folders}::bigint[], ${from}::bigint[]) as d(id, folder_id, seq)`.execute(tx);
  await sql`
    update message set folder_id = ${move.toFolder}, seq = d.seq, revision = ${revision}, saved_at = ${move.now}
    from unnest(${ids}::bytea[], ${to}::bigint[]) as d(id, seq)
    where message.message_id = d.id`.execute(tx);
  await raiseUids(tx, move.toFolder, found, firstSeq);
  await notify(tx, 'mailbox_changed', accountId);
  return found.map((row, n) => ({ messageId: row.message_id, fromSeq: row.seq, toSeq: firstSeq + n, revision }));
}

/**
 * Copies messages: the same ciphertext and the same sealed content under a new id and seq, in the state the original is in.
 * `copyIds` are as many random ids as there are messages.
 */
export async function copyMessages(
  tx: Tx,
  accountId: number,
  copy: { chosen: Chosen; toFolder: number; copyIds: readonly Buffer[]; now: Date },
): Promise<Copy[]> {
  const { firstSeq, revision } = await advanceMailbox(tx, accountId, { seqs: countOf(copy.chosen) });
  const found = await choose(tx, accountId, copy.chosen);
  if (found.length === 0) return [];
  const copies = found.map((row, n) => ({
    ...{ messageId: row.message_id, copyId: copy.copyIds[n] as Buffer, fromSeq: row.seq },
    ...{ toSeq: firstSeq + n, revision },
  }));
  const sizeBytes = found.reduce((sum, row) => sum + row.size_bytes + row.notes_bytes, 0);
  await advanceMailbox(tx, accountId, { seqs: 0, revisions: 0, sizeBytes });
  await insertCopies(tx, accountId, { copies, toFolder: copy.toFolder, revision, now: copy.now });
  await raiseUids(tx, copy.toFolder, found, firstSeq);
  await notify(tx, 'mailbox_changed', accountId);
  if (found.some(({ state }) => state !== 'shown')) await notify(tx, 'mail_received', accountId);
  return copies;
}

async function insertCopies(
  tx: Tx,
  accountId: number,
  { copies, toFolder, revision, now }: { copies: readonly Copy[]; toFolder: number; revision: number; now: Date },
): Promise<void> {
  const from = copies.map(({ messageId }) => messageId);
  const to = copies.map(({ copyId }) => copyId);
  await sql`
    insert into message (
      message_id, account_id, folder_id, seq, revision, message_type, ciphertext, size_bytes, message_public_key, nonce,
      proof_of_work, message_hash, sender_address, sender_public_key, time_received, pow_zero_bits, pow_nonce,
      login_token_hash, received_via, read, extensions_data, notes_version, trust, is_copy, copy_of, state, reason, saved_at, thread_id)
    select
      d.copy_id, m.account_id, ${toFolder}, d.seq, ${revision}, m.message_type, m.ciphertext, m.size_bytes,
      m.message_public_key, m.nonce, m.proof_of_work, m.message_hash, m.sender_address, m.sender_public_key,
      m.time_received, m.pow_zero_bits, m.pow_nonce, m.login_token_hash, m.received_via, m.read, m.extensions_data, m.notes_version, m.trust,
      true, coalesce(m.copy_of, m.message_id), m.state, m.reason, ${now}::timestamptz, m.thread_id
    from unnest(${from}::bytea[], ${to}::bytea[], ${copies.map(({ toSeq }) => toSeq)}::bigint[]) as d(id, copy_id, seq)
    join message m on m.message_id = d.id`.execute(tx);
  await sql`
    insert into content (message_id, account_id, renderer_version, sealed, sealed_for, rendered)
    select d.copy_id, ${accountId}, c.renderer_version, c.sealed, c.sealed_for, c.rendered
    from unnest(${from}::bytea[], ${to}::bytea[]) as d(id, copy_id)
    join content c on c.message_id = d.id`.execute(tx);
}
