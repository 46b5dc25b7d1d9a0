/**
 * The server half's message keys of an account: a pool of single-use ones, and one that lasts. Public halves only; the
 * caller has verified them. Whoever changes them holds the account's row lock or is the only one who may.
 */
import type { Selectable } from 'kysely';
import type { Hex32, SignedHash, Timestamp } from '../smimp/encoding.ts';
import type { MessageKey } from '../smimp/message-key.ts';
import type { Executor, Tx } from './database.ts';
import type { MessageKeyState, MessageKeyTable } from './schema.ts';

export type StoredMessageKey = Selectable<MessageKeyTable>;

/** Keys in one INSERT, well below PostgreSQL's limit of 65,535 parameters. */
const INSERT_AT_ONCE = 1000;

function row(accountId: number, key: MessageKey, masterKey: Hex32, state: MessageKeyState) {
  return {
    account_id: accountId,
    public_key: Buffer.from(key.public_key, 'hex'),
    kind: key.kind,
    created: key.created,
    expires: key.expires,
    signed_hash: Buffer.from(key.signed_hash, 'hex'),
    master_key: Buffer.from(masterKey, 'hex'),
    state,
  };
}

/** Puts ephemeral keys at the end of the pool. Throws on a key that was there before (unique violation 23505). */
export async function appendKeys(
  tx: Tx,
  accountId: number,
  keys: readonly MessageKey[],
  masterKey: Hex32,
): Promise<void> {
  for (let i = 0; i < keys.length; i += INSERT_AT_ONCE) {
    const rows = keys.slice(i, i + INSERT_AT_ONCE).map((key) => row(accountId, key, masterKey, 'available'));
    await tx.insertInto('message_key').values(rows).execute();
  }
}

/** Swaps the keys that were not issued yet. Issued ones stay, for messages under way. */
export async function replaceKeyPool(
  tx: Tx,
  accountId: number,
  keys: readonly MessageKey[],
  masterKey: Hex32,
): Promise<void> {
  await tx.deleteFrom('message_key').where('account_id', '=', accountId).where('state', '=', 'available').execute();
  await appendKeys(tx, accountId, keys, masterKey);
}

/** Puts a new non-ephemeral key in the place of the present one, which is kept as `replaced`. */
export async function setNonEphemeral(
  tx: Tx,
  accountId: number,
  key: MessageKey,
  masterKey: Hex32,
  now: Date,
): Promise<void> {
  await tx
    .updateTable('message_key')
    .set({ state: 'replaced', replaced_at: now })
    .where('account_id', '=', accountId)
    .where('state', '=', 'current')
    .execute();
  await tx
    .insertInto('message_key')
    .values(row(accountId, key, masterKey, 'current'))
    .execute();
}

export function findNonEphemeral(db: Executor, accountId: number): Promise<StoredMessageKey | undefined> {
  return db
    .selectFrom('message_key')
    .selectAll()
    .where('account_id', '=', accountId)
    .where('state', '=', 'current')
    .executeTakeFirst();
}

/** Takes keys that expire before `expires` (a timestamp of the protocol, which sorts as text) out of the pool. */
export async function dropExpiringKeys(tx: Tx, accountId: number, expires: string): Promise<void> {
  await tx
    .deleteFrom('message_key')
    .where('account_id', '=', accountId)
    .where('state', '=', 'available')
    .where('expires', '<', expires)
    .execute();
}

export async function countAvailableKeys(db: Executor, accountId: number): Promise<number> {
  const found = await db
    .selectFrom('message_key')
    .select((eb) => eb.fn.countAll().as('count'))
    .where('account_id', '=', accountId)
    .where('state', '=', 'available')
    .executeTakeFirstOrThrow();
  return Number(found.count);
}

/** After a change of the master key: what was issued under the old one is accepted a little longer (SMIMP 0.1 §5). */
export async function retireIssuedKeys(tx: Tx, accountId: number, now: Date): Promise<void> {
  await tx
    .updateTable('message_key')
    .set({ replaced_at: now })
    .where('account_id', '=', accountId)
    .where('state', '=', 'issued')
    .where('replaced_at', 'is', null)
    .execute();
}

/** Keys of the pool that nobody has been given, in order of issue. */
export function listAvailableKeys(db: Executor, accountId: number): Promise<StoredMessageKey[]> {
  return db
    .selectFrom('message_key')
    .selectAll()
    .where('account_id', '=', accountId)
    .where('state', '=', 'available')
    .orderBy('position')
    .execute();
}

/** The wire form of a stored key. */
export function messageKey(
  stored: Pick<StoredMessageKey, 'public_key' | 'kind' | 'created' | 'expires' | 'signed_hash'>,
): MessageKey {
  return {
    public_key: stored.public_key.toString('hex') as Hex32,
    kind: stored.kind,
    created: stored.created as Timestamp,
    expires: stored.expires as Timestamp,
    signed_hash: stored.signed_hash.toString('hex') as SignedHash,
  };
}
