/** Which conversation a message belongs to, and what later messages of it refer to, by keyed hashes. */
import { type Kysely, sql } from 'kysely';

const STATEMENTS = [
  'alter table message add column thread_id bytea',
  `create table thread_reference (
     account_id bigint not null references account on delete cascade,
     reference bytea not null,
     thread_id bytea not null,
     primary key (account_id, reference))`,
];

export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of STATEMENTS) await sql.raw(statement).execute(db);
}
