/** MTA-STS policies of legacy domains (RFC 8461), kept as long as each asked for. */
import type { Insertable, Selectable } from 'kysely';
import type { Executor } from './database.ts';
import type { StsPolicyTable } from './schema.ts';

export type StoredStsPolicy = Selectable<StsPolicyTable>;

export function findStsPolicy(db: Executor, domain: string): Promise<StoredStsPolicy | undefined> {
  return db.selectFrom('sts_policy').selectAll().where('domain', '=', domain).executeTakeFirst();
}

export async function saveStsPolicy(db: Executor, policy: Insertable<StsPolicyTable>): Promise<void> {
  const { domain: _domain, ...columns } = policy;
  await db
    .insertInto('sts_policy')
    .values(policy)
    .onConflict((conflict) => conflict.column('domain').doUpdateSet(columns))
    .execute();
}

/** Forgets what ended before `before`. */
export async function forgetStsPolicies(db: Executor, before: Date): Promise<void> {
  await db.deleteFrom('sts_policy').where('expires_at', '<', before).execute();
}
