/**
 * Messages of mirrored accounts: which one here is which one at the home, and how they differ from what both sides last
 * agreed on. Whoever changes what is here holds the account's row lock, like everybody who changes a mailbox.
 */
import type { Insertable, Selectable } from 'kysely';
import { sql } from 'kysely';
import { advanceMailbox } from './accounts.ts';
import type { Executor, Tx } from './database.ts';
import { writeFlags } from './flag-changes.ts';
import { deleteMessages, eraseUnneededSecrets } from './messages.ts';
import type { MirrorMessageTable } from './schema.ts';
import { moveMessages } from './transfers.ts';

export type MirrorMessage = Selectable<MirrorMessageTable>;
export type MirrorState = Pick<MirrorMessage, 'folder_id' | 'read' | 'extensions_data'>;

export function findMirrored(db: Executor, accountId: number, remoteIds: Buffer[]): Promise<MirrorMessage[]> {
  return db
    .selectFrom('mirror_message')
    .selectAll()
    .where('account_id', '=', accountId)
    .where(sql<boolean>`remote_id = any(${remoteIds}::bytea[])`)
    .execute();
}

export async function insertMirrored(tx: Executor, message: Insertable<MirrorMessageTable>): Promise<void> {
  await tx.insertInto('mirror_message').values(message).execute();
}

export async function changeMirrored(
  tx: Executor,
  at: { accountId: number; remoteId: Buffer },
  change: Partial<Pick<MirrorMessage, 'folder_id' | 'read' | 'extensions_data' | 'revision' | 'round' | 'gone'>>,
): Promise<void> {
  await tx
    .updateTable('mirror_message')
    .set(change)
    .where('account_id', '=', at.accountId)
    .where('remote_id', '=', at.remoteId)
    .execute();
}

/** These were seen in a listing. */
export async function markSeen(tx: Executor, accountId: number, remoteIds: Buffer[], round: number): Promise<void> {
  await tx
    .updateTable('mirror_message')
    .set({ round, gone: false })
    .where('account_id', '=', accountId)
    .where(sql<boolean>`remote_id = any(${remoteIds}::bytea[])`)
    .execute();
}

/** The home has deleted these. */
export async function markGone(tx: Executor, accountId: number, remoteIds: Buffer[]): Promise<void> {
  await tx
    .updateTable('mirror_message')
    .set({ gone: true })
    .where('account_id', '=', accountId)
    .where(sql<boolean>`remote_id = any(${remoteIds}::bytea[])`)
    .execute();
}

/** What a listing did not find stays here, and only here; how many messages. What was deleted here is forgotten. */
export async function keepUnlisted(tx: Tx, accountId: number, round: number, reason: string): Promise<number> {
  const { numAffectedRows } = await sql`
    insert into mirror_local (account_id, message_id, reason)
    select m.account_id, m.message_id, ${reason}
    from mirror_message mm join message m on m.message_id = mm.message_id
    where mm.account_id = ${accountId} and mm.round < ${round} and not mm.gone
    on conflict do nothing`.execute(tx);
  await tx
    .deleteFrom('mirror_message')
    .where('account_id', '=', accountId)
    .where('round', '<', round)
    .where('gone', '=', false)
    .execute();
  return Number(numAffectedRows ?? 0);
}

/** Deletes here what is gone at the home, at most `limit` messages; how many. */
export async function deleteGone(tx: Tx, accountId: number, limit: number, now: Date): Promise<number> {
  const rows = await tx
    .selectFrom('mirror_message')
    .select(['remote_id', 'message_id', 'message_public_key'])
    .where('account_id', '=', accountId)
    .where('gone', '=', true)
    .limit(limit)
    .execute();
  if (rows.length === 0) return 0;
  await dropMirrored(tx, accountId, rows, now);
  await deleteMessages(
    tx,
    accountId,
    rows.map(({ message_id }) => message_id),
    now,
  );
  return rows.length;
}

/** The home has it no more and nothing is here: with it go the secrets that only it needed. */
export async function forgetMirrored(
  tx: Tx,
  accountId: number,
  message: Pick<MirrorMessage, 'remote_id' | 'message_public_key'>,
  now: Date,
): Promise<void> {
  await dropMirrored(tx, accountId, [message], now);
}

async function dropMirrored(
  tx: Tx,
  accountId: number,
  rows: readonly Pick<MirrorMessage, 'remote_id' | 'message_public_key'>[],
  now: Date,
): Promise<void> {
  const ids = rows.map(({ remote_id }) => remote_id);
  await tx
    .deleteFrom('mirror_message')
    .where('account_id', '=', accountId)
    .where(sql<boolean>`remote_id = any(${ids}::bytea[])`)
    .execute();
  const keys = new Set(rows.map((row) => row.message_public_key.toString('hex')));
  await eraseUnneededSecrets(tx, accountId, [...keys], now);
}

/** What is compared of a message here. */
export type LocalState = MirrorState & { message_id: Buffer; message_hash: Buffer; state: string };

export function findLocal(tx: Executor, accountId: number, messageId: Buffer): Promise<LocalState | undefined> {
  return tx
    .selectFrom('message')
    .select(['message_id', 'folder_id', 'read', 'extensions_data', 'message_hash', 'state'])
    .where('account_id', '=', accountId)
    .where('message_id', '=', messageId)
    .executeTakeFirst();
}

/** Writes what the home says of one message, under the mailbox lock: a new place gives a new seq, as every move does. */
export async function writeLocal(
  tx: Tx,
  accountId: number,
  { local, to, now }: { local: LocalState; to: MirrorState; now: Date },
): Promise<void> {
  const { message_id: messageId } = local;
  if (local.folder_id !== to.folder_id) {
    await moveMessages(tx, accountId, { chosen: { messageId }, toFolder: to.folder_id, now });
  }
  const { revision } = await advanceMailbox(tx, accountId, { seqs: 0 });
  await writeFlags(tx, { accountId, revision }, [{ messageId, read: to.read, extensionsData: to.extensions_data }]);
}

/** Messages here with exactly this envelope that the home is not known to have. */
export function unmirroredTwins(
  tx: Executor,
  accountId: number,
  envelope: { messageHash: Buffer; publicKey: Buffer },
): Promise<LocalState[]> {
  return tx
    .selectFrom('message')
    .select(['message_id', 'folder_id', 'read', 'extensions_data', 'message_hash', 'state'])
    .where('account_id', '=', accountId)
    .where('message_public_key', '=', envelope.publicKey)
    .where('message_hash', '=', envelope.messageHash)
    .where(({ not, exists, selectFrom }) =>
      not(
        exists(
          selectFrom('mirror_message')
            .select('mirror_message.remote_id')
            .whereRef('mirror_message.account_id', '=', 'message.account_id')
            .whereRef('mirror_message.message_id', '=', 'message.message_id'),
        ),
      ),
    )
    .orderBy('seq')
    .execute();
}

/** A message of the home with exactly this envelope: rather one whose deletion is not under way, and that is here. */
export function mirroredTwin(db: Executor, accountId: number, messageHash: Buffer): Promise<MirrorMessage | undefined> {
  return db
    .selectFrom('mirror_message')
    .selectAll('mirror_message')
    .where('account_id', '=', accountId)
    .where('message_hash', '=', messageHash)
    .orderBy('gone')
    .orderBy(sql`exists (select from message m where m.message_id = mirror_message.message_id)`, 'desc')
    .limit(1)
    .executeTakeFirst();
}

const SIGNATURE_BYTES = 64;

/** Which message here a copy of `twin` is one with: the one it was opened as, or will be. Null: it is here no more. */
export async function receivedAs(tx: Executor, accountId: number, twin: MirrorMessage): Promise<Buffer | null> {
  const seen = await tx
    .selectFrom('seen')
    .select('message_id')
    .where('account_id', '=', accountId)
    .where('kind', '=', 'digest')
    .where('value', '=', twin.message_hash.subarray(SIGNATURE_BYTES))
    .executeTakeFirst();
  if (seen !== undefined) return seen.message_id;
  const row = await tx
    .selectFrom('message')
    .select(['message_id', 'copy_of'])
    .where('account_id', '=', accountId)
    .where('message_id', '=', twin.message_id)
    .executeTakeFirst();
  return row === undefined ? null : (row.copy_of ?? row.message_id);
}
