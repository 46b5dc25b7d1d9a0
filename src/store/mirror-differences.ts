/**
 * What is different here from what both sides last agreed on, in pages: each look begins after the last one's id, so that
 * what cannot be pushed now does not hold up what can.
 */
import { sql } from 'kysely';
import type { Executor, Tx } from './database.ts';
import { writeLarge } from './large-column.ts';
import type { LocalState, MirrorMessage } from './mirror-messages.ts';

export type Difference = MirrorMessage & { local: Pick<LocalState, 'folder_id' | 'read' | 'extensions_data'> };

type Page = { accountId: number; after: Buffer; limit: number };

type Row = MirrorMessage & { local_folder: number; local_read: boolean; local_extensions: Buffer | null };

/** Moved, or with other flags. */
export async function changedHere(db: Executor, { accountId, after, limit }: Page): Promise<Difference[]> {
  const { rows } = await sql<Row>`
    select mm.*, m.folder_id as local_folder, m.read as local_read, m.extensions_data as local_extensions
    from mirror_message mm join message m on m.message_id = mm.message_id
    where mm.account_id = ${accountId} and not mm.gone and mm.remote_id > ${after}
      and (m.folder_id <> mm.folder_id or m.read <> mm.read or m.extensions_data is distinct from mm.extensions_data)
    order by mm.remote_id limit ${limit}`.execute(db);
  return rows.map(({ local_folder: folder_id, local_read: read, local_extensions: extensions_data, ...base }) => ({
    ...base,
    local: { folder_id, read, extensions_data },
  }));
}

/** Deleted here, still at the home. */
export async function deletedHere(db: Executor, { accountId, after, limit }: Page): Promise<MirrorMessage[]> {
  const { rows } = await sql<MirrorMessage>`
    select mm.* from mirror_message mm
    where mm.account_id = ${accountId} and not mm.gone and mm.remote_id > ${after}
      and not exists (select from message m where m.message_id = mm.message_id)
    order by mm.remote_id limit ${limit}`.execute(db);
  return rows;
}

export type NewHere = {
  message_id: Buffer;
  message_hash: Buffer;
  sender_address: string;
  folder_id: number;
  seq: number;
};

/** Messages that the home has never had, oldest first. What is not opened yet can only have come from there. */
export async function newHere(
  db: Executor,
  page: { accountId: number; afterSeq: number; limit: number },
): Promise<NewHere[]> {
  const { rows } = await sql<NewHere>`
    select m.message_id, m.message_hash, m.sender_address, m.folder_id, m.seq from message m
    where m.account_id = ${page.accountId} and m.seq > ${page.afterSeq} and m.state = 'shown'
      and not exists (select from mirror_message mm where mm.account_id = m.account_id and mm.message_id = m.message_id)
      and not exists (select from mirror_local l where l.message_id = m.message_id)
    order by m.seq limit ${page.limit}`.execute(db);
  return rows;
}

/** Whether a message differs at all from what both sides last agreed on. */
export async function differsHere(db: Executor, accountId: number): Promise<boolean> {
  const none = Buffer.alloc(0);
  const page = { accountId, after: none, limit: 1 };
  const changed = await changedHere(db, page);
  const deleted = changed.length > 0 ? [] : await deletedHere(db, page);
  const made = await newHere(db, { accountId, afterSeq: 0, limit: 1 });
  return changed.length + deleted.length + made.length > 0;
}

/** The home does not take it: it stays here only. */
export async function keepHereOnly(
  tx: Executor,
  message: { accountId: number; messageId: Buffer; reason: string },
): Promise<void> {
  await sql`
    insert into mirror_local (account_id, message_id, reason)
    select account_id, message_id, ${message.reason} from message
    where message_id = ${message.messageId} and account_id = ${message.accountId}
    on conflict do nothing`.execute(tx);
}

export type NewEnvelope = {
  ciphertext: Buffer;
  messagePublicKey: Buffer;
  nonce: Buffer;
  messageHash: Buffer;
  senderPublicKey: Buffer;
  loginTokenHash: Buffer;
};

/** Messages with exactly this envelope: an own message and the copies of it that were made here. */
export function sameEnvelope(
  tx: Executor,
  accountId: number,
  envelope: { messageHash: Buffer; publicKey: Buffer },
): Promise<{ message_id: Buffer; extensions_data: Buffer | null }[]> {
  return tx
    .selectFrom('message')
    .select(['message_id', 'extensions_data'])
    .where('account_id', '=', accountId)
    .where('message_public_key', '=', envelope.publicKey)
    .where('message_hash', '=', envelope.messageHash)
    .execute();
}

/** Puts another envelope in the place of one that nobody has seen yet: the same message, sealed and signed anew. */
export async function replaceEnvelope(
  tx: Tx,
  at: { accountId: number; messageId: Buffer },
  envelope: NewEnvelope & { extensionsData: Buffer | null },
): Promise<void> {
  const sizeBytes = envelope.ciphertext.length;
  const countedBytes = sizeBytes + (envelope.extensionsData?.length ?? 0);
  const ciphertext = await writeLarge(tx, envelope.ciphertext);
  await tx
    .updateTable('account')
    .set({
      size_bytes: sql<number>`size_bytes + ${countedBytes}
        - (select size_bytes + coalesce(octet_length(extensions_data), 0) from message where message_id = ${at.messageId})`,
    })
    .where('id', '=', at.accountId)
    .execute();
  await tx
    .updateTable('message')
    .set({
      ciphertext,
      size_bytes: sizeBytes,
      message_public_key: envelope.messagePublicKey,
      nonce: envelope.nonce,
      message_hash: envelope.messageHash,
      sender_public_key: envelope.senderPublicKey,
      login_token_hash: envelope.loginTokenHash,
      extensions_data: envelope.extensionsData,
    })
    .where('account_id', '=', at.accountId)
    .where('message_id', '=', at.messageId)
    .execute();
}
