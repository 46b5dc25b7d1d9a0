/** Notes on messages (`extensions_data`) count as well; and an old one that is brought back is known by its version. */
import { type Kysely, sql } from 'kysely';

const STATEMENTS = [
  `alter table message add column notes_version bigint not null default 0`,
  `update account set size_bytes = size_bytes + coalesce(
     (select sum(octet_length(extensions_data)) from message where account_id = account.id), 0)`,
  `create index alarm_ended on alarm (ended_at) where ended_at is not null`,
];

export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of STATEMENTS) await sql.raw(statement).execute(db);
}
