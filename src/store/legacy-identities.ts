/** Accounts of a gateway that stand for legacy correspondents (SMIMP 0.1 §6). */
import { type Selectable, sql } from 'kysely';
import type { Executor, Tx } from './database.ts';
import type { LegacyIdentityTable } from './schema.ts';

export type LegacyIdentity = Selectable<LegacyIdentityTable>;

export function findLegacyIdentity(db: Executor, address: string): Promise<LegacyIdentity | undefined> {
  return db
    .selectFrom('legacy_identity')
    .innerJoin('account', 'account.id', 'legacy_identity.account_id')
    .selectAll('legacy_identity')
    .where('account.address', '=', address)
    .executeTakeFirst();
}

export async function insertLegacyIdentity(
  tx: Tx,
  made: { accountId: number; madeFor: string | null; now: Date },
): Promise<void> {
  const row = { account_id: made.accountId, made_at: made.now, made_for: made.madeFor };
  await tx.insertInto('legacy_identity').values(row).execute();
}

/** How many were made for a sender since `since`. Whoever makes another waits until this transaction ends. */
export async function countMadeFor(tx: Tx, sender: string, since: Date): Promise<number> {
  await sql`select pg_advisory_xact_lock(hashtextextended(${`legacy identities for ${sender}`}, 0))`.execute(tx);
  const { count } = await tx
    .selectFrom('legacy_identity')
    .select((eb) => eb.fn.countAll<number>().as('count'))
    .where('made_for', '=', sender)
    .where('made_at', '>', since)
    .executeTakeFirstOrThrow();
  return count;
}

/** For whom identities were made before `before` is nobody's business any more. */
export async function forgetMadeFor(db: Executor, before: Date): Promise<void> {
  await db
    .updateTable('legacy_identity')
    .set({ made_for: null })
    .where('made_for', 'is not', null)
    .where('made_at', '<=', before)
    .execute();
}

export async function noteAsked(tx: Tx, accountId: number, now: Date): Promise<void> {
  await tx.updateTable('legacy_identity').set({ asked_at: now }).where('account_id', '=', accountId).execute();
}

/** Those that somebody wrote to and whose keys were last looked after before `before`; they count as looked after now. */
export async function claimLegacyKeys(
  db: Executor,
  { before, now, limit }: { before: Date; now: Date; limit: number },
): Promise<number[]> {
  const due = db
    .selectFrom('legacy_identity')
    .select('account_id')
    .where('asked_at', 'is not', null)
    .where((eb) => eb.or([eb('kept_at', 'is', null), eb('kept_at', '<', before)]))
    .orderBy('kept_at', (order) => order.asc().nullsFirst())
    .limit(limit)
    .forUpdate()
    .skipLocked();
  const rows = await db
    .updateTable('legacy_identity')
    .set({ kept_at: now })
    .where('account_id', 'in', due)
    .returning('account_id')
    .execute();
  return rows.map(({ account_id }) => account_id);
}
