/** When a message came into the folder it is in, if that is later than when it came at all (RFC 8514). */
import { type Kysely, sql } from 'kysely';

const STATEMENTS = ['alter table message add column saved_at timestamptz'];

export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of STATEMENTS) await sql.raw(statement).execute(db);
}
