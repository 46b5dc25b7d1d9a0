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
 * Keeps the outcome of one look-up and returns what is now known. In the same statement a domain found at any time before
 * can no longer become `absent`: the outcome is then `failed`.
 */
export function saveDomain(
  db: Executor,
  found: { domain: string; outcome: StoredDomain['outcome']; baseUrl: string | null; now: Date },
): Promise<StoredDomain> {
  const firstFoundAt = found.outcome === 'found' ? found.now : null;
  return db
    .insertInto('domain')
    .values({
      domain: found.domain,
      outcome: found.outcome,
      base_url: found.baseUrl,
      checked_at: found.now,
      first_found_at: firstFoundAt,
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
