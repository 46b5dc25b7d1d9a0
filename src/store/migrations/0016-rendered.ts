/** Small messages as they were rendered, sealed beside their index. See ../schema/client.ts. */
import { type Kysely, sql } from 'kysely';

const STATEMENTS = [
  `alter table content add column rendered bytea`,
  // Sealed bytes do not get smaller, and lists do not read them.
  `alter table content alter column rendered set storage external`,
];

export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of STATEMENTS) await sql.raw(statement).execute(db);
}
