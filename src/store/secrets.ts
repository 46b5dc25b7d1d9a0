/**
 * Sealed secrets of accounts: the master key, one secret per message key, the storage key. Rows are sealed by
 * src/keystore; nothing here can read them.
 */
import type { Insertable, Selectable } from 'kysely';
import { sql } from 'kysely';
import type { Executor, Tx } from './database.ts';
import { notMirrored } from './messages.ts';
import type { SecretTable } from './schema.ts';

export type StoredSecret = Selectable<SecretTable>;
export type NewSecret = Insertable<SecretTable>;

export async function insertSecrets(db: Executor, secrets: NewSecret[]): Promise<void> {
  if (secrets.length > 0) await db.insertInto('secret').values(secrets).execute();
}

export function findMessageSecret(
  db: Executor,
  accountId: number,
  publicKey: Uint8Array,
): Promise<StoredSecret | undefined> {
  return db
    .selectFrom('secret')
    .selectAll()
    .where('account_id', '=', accountId)
    .where('purpose', '=', 'message')
    .where('public_key', '=', Buffer.from(publicKey))
    .executeTakeFirst();
}

/** All message secrets, oldest first. */
export function listMessageSecrets(db: Executor, accountId: number): Promise<StoredSecret[]> {
  return db
    .selectFrom('secret')
    .selectAll()
    .where('account_id', '=', accountId)
    .where('purpose', '=', 'message')
    .orderBy('created_at')
    .orderBy('public_key')
    .execute();
}

/** Puts another sealed value in the place of the one in use. */
export async function replaceSealedSecret(
  tx: Tx,
  accountId: number,
  purpose: 'storage',
  sealed: Buffer,
): Promise<void> {
  await tx
    .updateTable('secret')
    .set({ sealed })
    .where('account_id', '=', accountId)
    .where('purpose', '=', purpose)
    .execute();
}

/** The one master or storage key in use. */
export function findCurrentSecret(
  db: Executor,
  accountId: number,
  purpose: 'master' | 'storage',
): Promise<StoredSecret | undefined> {
  return db
    .selectFrom('secret')
    .selectAll()
    .where('account_id', '=', accountId)
    .where('purpose', '=', purpose)
    .where('retired_at', 'is', null)
    .executeTakeFirst();
}

export async function deleteSecret(
  tx: Tx,
  accountId: number,
  secret: { purpose: 'master' | 'message'; publicKey: Buffer },
): Promise<void> {
  await tx
    .deleteFrom('secret')
    .where('account_id', '=', accountId)
    .where('purpose', '=', secret.purpose)
    .where('public_key', '=', secret.publicKey)
    .execute();
}

/** Marks message secrets of one kind, or of both, as replaced. `except`: the one that took their place. */
export async function retireMessageSecrets(
  tx: Tx,
  accountId: number,
  retire: { kind: 'non-ephemeral' | 'all'; except: Buffer[]; now: Date },
): Promise<void> {
  let query = tx
    .updateTable('secret')
    .set({ retired_at: retire.now })
    .where('account_id', '=', accountId)
    .where('purpose', '=', 'message')
    .where('retired_at', 'is', null);
  if (retire.kind !== 'all') query = query.where('kind', '=', retire.kind);
  if (retire.except.length > 0) query = query.where('public_key', 'not in', retire.except);
  await query.execute();
}

/**
 * Erases message secrets whose keys expired before `expiredBefore` and to which no stored message is encrypted (SMIMP 0.1
 * §1.4). Returns how many.
 */
export function eraseExpiredSecrets(tx: Tx, accountId: number, expiredBefore: Date): Promise<number> {
  return eraseUnused(tx, accountId, 'expires_at', expiredBefore);
}

/** Erases message secrets that were replaced before `retiredBefore` and to which no stored message is encrypted. */
export function eraseRetiredSecrets(tx: Tx, accountId: number, retiredBefore: Date): Promise<number> {
  return eraseUnused(tx, accountId, 'retired_at', retiredBefore);
}

async function eraseUnused(
  tx: Tx,
  accountId: number,
  column: 'expires_at' | 'retired_at',
  before: Date,
): Promise<number> {
  const result = await tx
    .deleteFrom('secret')
    .where('account_id', '=', accountId)
    .where('purpose', '=', 'message')
    .where(column, '<', before)
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
    .executeTakeFirst();
  return Number(result.numDeletedRows);
}

/** The newest non-ephemeral key that has not been replaced. */
export function findNonEphemeralSecret(db: Executor, accountId: number): Promise<StoredSecret | undefined> {
  return db
    .selectFrom('secret')
    .selectAll()
    .where('account_id', '=', accountId)
    .where('purpose', '=', 'message')
    .where('kind', '=', 'non-ephemeral')
    .where('retired_at', 'is', null)
    .orderBy('created_at', 'desc')
    .executeTakeFirst();
}
