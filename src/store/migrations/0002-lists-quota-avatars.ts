/** What the rest of the API keeps (SMIMP 0.1 §5): lists, avatars, quotas, whose copy a message is. See ../schema/server.ts. */
import { type Kysely, sql } from 'kysely';

const STATEMENTS = [
  `create table list_entry (
     account_id bigint not null references account on delete cascade,
     list text not null check (list in ('whitelist', 'blacklist')),
     hash bytea not null,
     data bytea not null,
     position bigint generated always as identity,
     primary key (account_id, list, hash))`,
  `create table avatar (
     account_id bigint primary key references account on delete cascade,
     image bytea not null,
     content_type text not null check (content_type in ('image/png', 'image/jpeg')),
     date text not null,
     signed_hash bytea not null)`,
  `alter table avatar alter column image set storage external`,
  `alter table account add column quota_bytes bigint`,
  `alter table message add column copy_of bytea`,
  `alter table login_token add column position bigint generated always as identity`,
  `create index login_token_position on login_token (position)`,
  `create index login_token_address on login_token (address, position)`,
];

export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of STATEMENTS) await sql.raw(statement).execute(db);
}
