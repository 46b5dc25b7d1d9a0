/** Up to which revision rows of `expunged` may have been thrown away. */
import { type Kysely, sql } from 'kysely';

const STATEMENTS = [`alter table account add column expunged_floor bigint not null default 0`];

export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of STATEMENTS) await sql.raw(statement).execute(db);
}
