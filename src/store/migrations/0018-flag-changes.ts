/** Flags of many messages changed at once: see ../flag-changes.ts. */
import { type Kysely, sql } from 'kysely';

const STATEMENTS = [
  `alter table message add column flags_revision bigint not null default 0`,
  // Half of each page is left for the next state of what is in it. Pages of before stay as they are until they are written.
  `alter table message set (fillfactor = 50)`,
  `create table flag_change (
     account_id bigint not null references account on delete cascade,
     revision bigint not null,
     folder_id bigint not null,
     first_seq bigint not null,
     last_seq bigint not null,
     primary key (account_id, revision, first_seq))`,
];

export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of STATEMENTS) await sql.raw(statement).execute(db);
}
