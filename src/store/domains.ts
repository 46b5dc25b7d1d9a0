/** What is known of other domains. `first_found_at`, once set, is never cleared (SMIMP 0.1 §2.6). */
import type { Selectable } from 'kysely';
import { sql } from 'kysely';
import type { Executor } from './database.ts';
import type { DomainTable } from './schema.ts';

export type StoredDomain = Selectable<DomainTable>;

export function findDomain(db: Executor, domain: string): Promise<StoredDomain | undefined> {
  return db.selectFrom('domain').selectAll().where('domain', '=', domain).executeTakeFirst();
}

/**
 * Keeps the outcome of one look-up and returns what is now known. `spoke`: it showed that it speaks SMIMP, whatever
 * failed later. In the same statement a domain that ever spoke can no longer become `absent`: the outcome is `failed`.
 */
export function saveDomain(
  db: Executor,
  found: { domain: string; outcome: StoredDomain['outcome']; baseUrl: string | null; spoke: boolean; now: Date },
): Promise<StoredDomain> {
  return db
    .insertInto('domain')
    .values({
      domain: found.domain,
      outcome: found.outcome,
      base_url: found.baseUrl,
      checked_at: found.now,
      first_found_at: found.spoke ? found.now : null,
    })
    .onConflict((conflict) =>
      conflict.column('domain').doUpdateSet({
        outcome: sql`case when excluded.outcome = 'absent' and domain.first_found_at is not null
          then 'failed' else excluded.outcome end`,
        base_url: sql`excluded.base_url`,
        checked_at: sql`excluded.checked_at`,
        first_found_at: sql`coalesce(domain.first_found_at, excluded.first_found_at)`,
      }),
    )
    .returningAll()
    .executeTakeFirstOrThrow();
}

/** Of these domains those that were ever seen speaking SMIMP, or at which anybody here has pinned anybody. */
export async function spokenDomains(db: Executor, domains: readonly string[]): Promise<string[]> {
  if (domains.length === 0) return [];
  const found = await db
    .selectFrom('domain')
    .select('domain')
    .where('domain', 'in', [...domains])
    .where('first_found_at', 'is not', null)
    .execute();
  const pinned = await sql<{ domain: string }>`
    select asked.domain from unnest(${[...domains]}::text[]) as asked(domain)
    where exists (select 1 from pin where split_part(pin.contact, '#', 2) = asked.domain)`.execute(db);
  return [...new Set([...found, ...pinned.rows].map(({ domain }) => domain))];
}

/** Of these domains those that said last, over valid TLS, that they do not speak SMIMP. */
export async function absentDomains(db: Executor, domains: readonly string[]): Promise<string[]> {
  if (domains.length === 0) return [];
  const rows = await db
    .selectFrom('domain')
    .select('domain')
    .where('domain', 'in', [...domains])
    .where('outcome', '=', 'absent')
    .execute();
  return rows.map(({ domain }) => domain);
}

/** Forgets domains that were never seen speaking SMIMP: anybody can make this server look up names of his own making. */
export async function forgetStrangeDomains(db: Executor, before: Date): Promise<void> {
  await db.deleteFrom('domain').where('first_found_at', 'is', null).where('checked_at', '<', before).execute();
}
