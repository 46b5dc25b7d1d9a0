/** Of which submission a shown state is, so that a mark outlives it. */
import { type Kysely, sql } from 'kysely';

const STATEMENTS = [`alter table outbox_message add column submission_id bigint not null default 0`];

export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of STATEMENTS) await sql.raw(statement).execute(db);
}
