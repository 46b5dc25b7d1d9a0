/** A copy of a message keeps the sealed content of the one it was made from; `sealed_for` says which that was. */
import { type Kysely, sql } from 'kysely';

const STATEMENTS = [
  `alter table content add column sealed_for bytea`,
  `update content set sealed_for = message_id`,
  `alter table content alter column sealed_for set not null`,
];

export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of STATEMENTS) await sql.raw(statement).execute(db);
}
