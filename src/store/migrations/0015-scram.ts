/** What a password is checked by without being sent (SCRAM), sealed. */
import { type Kysely, sql } from 'kysely';

const STATEMENTS = ['alter table mail_user add column scram bytea'];

export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of STATEMENTS) await sql.raw(statement).execute(db);
}
