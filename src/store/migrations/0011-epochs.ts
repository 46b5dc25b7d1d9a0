/** What tells a mailbox, or a whole database, that was restored from an old copy. See ../epochs.ts and ../high-water.ts. */
import { type Kysely, sql } from 'kysely';

const STATEMENTS = [
  `create table epoch (
     account_id bigint not null references account on delete cascade,
     revision bigint not null,
     token bytea not null,
     primary key (account_id, revision))`,
  `create table data_directory (
     id bytea primary key,
     serial bigint not null,
     token bytea not null,
     revisions bigint not null,
     marked_at timestamptz not null)`,
];

export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of STATEMENTS) await sql.raw(statement).execute(db);
}
