/** Locks on the keys of one account, held until the transaction ends. */
import { sql } from 'kysely';
import type { Tx } from './database.ts';

const lockName = (accountId: number) => sql`hashtextextended(${`keys ${accountId}`}, 0)`;

/** Waits for the lock. */
export async function lockAccountKeys(tx: Tx, accountId: number): Promise<void> {
  await sql`select pg_advisory_xact_lock(${lockName(accountId)})`.execute(tx);
}

/** False when another transaction has it. */
export async function tryLockAccountKeys(tx: Tx, accountId: number): Promise<boolean> {
  const lock = sql<{ taken: boolean }>`select pg_try_advisory_xact_lock(${lockName(accountId)}) as taken`;
  const { rows } = await lock.execute(tx);
  return rows[0]?.taken === true;
}
