/** What of a submitted message is needed to rebuild it byte for byte, sealed, beside its sealed body. */
import { type Kysely, sql } from 'kysely';

const STATEMENTS = [`alter table submission add column original bytea`];

export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of STATEMENTS) await sql.raw(statement).execute(db);
}
