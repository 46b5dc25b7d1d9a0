/** White and black lists of an account (SMIMP 0.1 §5): hashes, and data that only the owner's clients can read. */
import type { Selectable } from 'kysely';
import type { Executor, Tx } from './database.ts';
import type { ListEntryTable, ListName } from './schema.ts';

export type { ListName } from './schema.ts';
export type StoredEntry = Pick<Selectable<ListEntryTable>, 'hash' | 'data'>;

/** In the order of adding. */
export function listEntries(db: Executor, accountId: number, list: ListName): Promise<StoredEntry[]> {
  return db
    .selectFrom('list_entry')
    .select(['hash', 'data'])
    .where('account_id', '=', accountId)
    .where('list', '=', list)
    .orderBy('position')
    .execute();
}

/** Which of the hashes stand on which list. */
export function findOnLists(
  db: Executor,
  accountId: number,
  hashes: Buffer[],
): Promise<{ list: ListName; hash: Buffer }[]> {
  return db
    .selectFrom('list_entry')
    .select(['list', 'hash'])
    .where('account_id', '=', accountId)
    .where('hash', 'in', hashes)
    .execute();
}

/** Adds an entry, or gives one that is there new data; false when the list has `most`. The caller holds the mailbox. */
export async function putListEntry(
  tx: Tx,
  entry: { accountId: number; list: ListName; hash: Buffer; data: Buffer },
  most: number,
): Promise<boolean> {
  const { accountId, list, hash, data } = entry;
  const others = await tx
    .selectFrom('list_entry')
    .select((eb) => eb.fn.countAll<number>().as('count'))
    .where('account_id', '=', accountId)
    .where('list', '=', list)
    .where('hash', '!=', hash)
    .executeTakeFirstOrThrow();
  if (others.count >= most) return false;
  await tx
    .insertInto('list_entry')
    .values({ account_id: accountId, list, hash, data })
    .onConflict((conflict) => conflict.columns(['account_id', 'list', 'hash']).doUpdateSet({ data }))
    .execute();
  return true;
}

/** False when there was none. */
export async function removeListEntry(
  db: Executor,
  entry: { accountId: number; list: ListName; hash: Buffer },
): Promise<boolean> {
  const { numDeletedRows } = await db
    .deleteFrom('list_entry')
    .where('account_id', '=', entry.accountId)
    .where('list', '=', entry.list)
    .where('hash', '=', entry.hash)
    .executeTakeFirst();
  return numDeletedRows > 0n;
}
