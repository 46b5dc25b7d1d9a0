/**
 * Envelopes in mailboxes: put in, looked up, deleted. What is common to the API and the bridge's own mailbox.
 *
 * A message is put in `pending`; the mailbox opens it. A deleted one leaves a row in `expunged` and takes the secret of
 * its message key with it when it was the last one encrypted to that key (§1.4: deletion is cryptographic).
 */
import type { ExpressionBuilder, Insertable, Selectable } from 'kysely';
import { sql } from 'kysely';

import { advanced, advanceMailbox } from './accounts.ts';
import { type Channel, type Executor, notify, notifying, type Tx } from './database.ts';
import { readLargeRow, writeLarge } from './large-column.ts';
import { currentRevision } from './revisions.ts';
import type { Database, MessageTable } from './schema.ts';

export type StoredMessage = Omit<Selectable<MessageTable>, 'revision' | 'flags_revision'> & { revision: number };
export type NewMessage = Omit<
  Insertable<MessageTable>,
  'seq' | 'revision' | 'flags_revision' | 'size_bytes' | 'attempts' | 'next_attempt_at' | 'reason'
>;

/** Stores one envelope under the mailbox lock and wakes whoever opens mail. Returns its place. */
export async function insertMessage(tx: Tx, message: NewMessage): Promise<{ seq: number; revision: number }> {
  const sizeBytes = message.ciphertext.length;
  const countedBytes = sizeBytes + (message.extensions_data?.length ?? 0);
  const ciphertext = await writeLarge(tx, message.ciphertext);
  const channel: Channel = message.state === 'pending' ? 'mail_received' : 'mailbox_changed';
  const row = { ...message, ciphertext, size_bytes: sizeBytes };
  const { seq, revision } = await tx
    .with('place', (cte) => advanced(cte, message.account_id, { seqs: 1, sizeBytes: countedBytes }))
    .insertInto('message')
    .values({
      ...row,
      seq: sql<number>`(select next_seq - 1 from place)`,
      revision: sql<number>`(select revision from place)`,
    })
    .returning(['seq', currentRevision])
    .returning(notifying(channel, message.account_id).as('told'))
    .executeTakeFirstOrThrow();
  return { seq, revision };
}

/** Of `extensions_data`, which counts like the message itself. */
export const notesBytes = sql<number>`coalesce(octet_length(message.extensions_data), 0)`.as('notes_bytes');
/** A key is accepted for a day after it was replaced (SMIMP 0.1 §5); twice that. */
const KEEP_REPLACED_MS = 2 * 86_400_000;

/** The inbox of an account. */
export async function inboxId(db: Executor, accountId: number): Promise<number> {
  const row = await db
    .selectFrom('folder')
    .select('id')
    .where('account_id', '=', accountId)
    .where('folder_name', 'is', null)
    .executeTakeFirstOrThrow();
  return row.id;
}

export async function findMessage(
  db: Executor,
  accountId: number,
  messageId: Buffer,
): Promise<StoredMessage | undefined> {
  const found = await readLargeRow((slice) =>
    db
      .selectFrom('message')
      .select(WITHOUT_CIPHERTEXT)
      .select(currentRevision)
      .select(slice('ciphertext'))
      .where('account_id', '=', accountId)
      .where('message_id', '=', messageId)
      .executeTakeFirst(),
  );
  if (found === null) return undefined;
  const { part: _part, total: _total, ...row } = found.row;
  return { ...row, ciphertext: found.bytes };
}

const WITHOUT_CIPHERTEXT = [
  ...(['message_id', 'account_id', 'folder_id', 'seq', 'message_type', 'size_bytes'] as const),
  ...(['message_public_key', 'nonce', 'proof_of_work', 'message_hash', 'sender_address'] as const),
  ...(['sender_public_key', 'time_received', 'pow_zero_bits', 'pow_nonce', 'login_token_hash'] as const),
  ...([
    'received_via',
    'read',
    'extensions_data',
    'is_copy',
    'copy_of',
    'notes_version',
    'trust',
    'state',
    'reason',
    'attempts',
    'next_attempt_at',
    'first_seen_at',
    'thread_id',
    'saved_at',
  ] as const),
] as const;

/**
 * Deletes messages for good, in one step: rows, sealed contents, and the secrets no other message needs. Unknown ids are
 * passed over. Returns the revision of the deletion, or null when nothing was there.
 */
export async function deleteMessages(
  tx: Tx,
  accountId: number,
  messageIds: Buffer[],
  now: Date,
): Promise<number | null> {
  if (messageIds.length === 0) return null;
  const { revision } = await advanceMailbox(tx, accountId, { seqs: 0 });
  const gone = await tx
    .deleteFrom('message')
    .where('account_id', '=', accountId)
    .where('message_id', 'in', messageIds)
    .returning(['message_id', 'folder_id', 'seq', 'size_bytes', 'message_public_key'])
    .returning(notesBytes)
    .execute();
  if (gone.length === 0) return null;
  const about = { account_id: accountId, revision, gone: true };
  const expunged = gone.map(({ message_id, folder_id, seq }) => ({ ...about, folder_id, seq, message_id }));
  await tx.insertInto('expunged').values(expunged).execute();
  const freed = gone.reduce((sum, { size_bytes, notes_bytes }) => sum + size_bytes + notes_bytes, 0);
  await tx
    .updateTable('account')
    .set((eb) => ({ size_bytes: eb('size_bytes', '-', freed) }))
    .where('id', '=', accountId)
    .execute();
  const keys = [...new Set(gone.map((row) => row.message_public_key.toString('hex')))];
  await eraseUnneededSecrets(tx, accountId, keys, now);
  await notify(tx, 'mailbox_changed', accountId);
  return revision;
}

/**
 * A single-use key's secret goes with its message; that of a non-ephemeral one with the last message under it, once it was
 * replaced so long ago that none can come any more (§5: 24 hours). What another server still holds of a mirrored account may
 * be copied there, so it counts like a message here.
 */
export async function eraseUnneededSecrets(
  tx: Tx,
  accountId: number,
  publicKeysHex: string[],
  now: Date,
): Promise<void> {
  const keys = publicKeysHex.map((hex) => Buffer.from(hex, 'hex'));
  await tx
    .deleteFrom('secret')
    .where('account_id', '=', accountId)
    .where('purpose', '=', 'message')
    .where('public_key', 'in', keys)
    .where((eb) =>
      eb.or([eb('kind', '=', 'ephemeral'), eb('retired_at', '<', new Date(now.getTime() - KEEP_REPLACED_MS))]),
    )
    .where(({ not, exists, selectFrom }) =>
      not(
        exists(
          selectFrom('message')
            .select(sql`1`.as('one'))
            .where('message.account_id', '=', accountId)
            .whereRef('message.message_public_key', '=', 'secret.public_key'),
        ),
      ),
    )
    .where(notMirrored(accountId))
    .execute();
}

/** The home of a mirrored account holds no message under the key of a `secret` row, as far as is known. */
export function notMirrored(accountId: number) {
  return ({ not, exists, selectFrom }: ExpressionBuilder<Database, 'secret'>) =>
    not(
      exists(
        selectFrom('mirror_message')
          .select(sql`1`.as('one'))
          .where('mirror_message.account_id', '=', accountId)
          .whereRef('mirror_message.message_public_key', '=', 'secret.public_key'),
      ),
    );
}
