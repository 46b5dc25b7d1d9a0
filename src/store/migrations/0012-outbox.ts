/** What mail programs are shown of deliveries that are not over, under UIDs that are never used twice. */
import { type Kysely, sql } from 'kysely';

const STATEMENTS = [
  `create table outbox (
     account_id bigint primary key references account on delete cascade,
     uid_validity bigint not null default nextval('uid_validity_counter'),
     uid_next bigint not null default 1,
     revision bigint not null default 1,
     subscribed boolean not null default true)`,
  `create table outbox_message (
     account_id bigint not null references account on delete cascade,
     uid bigint not null,
     fingerprint bytea not null,
     revision bigint not null,
     deleted boolean not null default false,
     primary key (account_id, uid),
     unique (account_id, fingerprint))`,
  `create index delivery_waiting on delivery (account_id, submission_id)
     where finished_at is null`,
];

export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of STATEMENTS) await sql.raw(statement).execute(db);
}
