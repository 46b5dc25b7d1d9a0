/** Accounts whose mailbox lives at another server and is mirrored here. See ../schema/mirror.ts for what the columns mean. */
import { type Kysely, sql } from 'kysely';

const STATEMENTS = [
  `alter table message add column first_seen_at timestamptz`,
  `create table mirror (
     account_id bigint primary key references account on delete cascade,
     base_url text not null,
     unpublished bytea,
     rotation bytea,
     cursor text,
     round int not null default 0,
     listing boolean not null default true,
     synced_at timestamptz,
     error_code text)`,
  `create table mirror_folder (
     account_id bigint not null references account on delete cascade,
     message_type text not null,
     folder_name text not null,
     folder_id bigint not null,
     display_name text not null,
     parent_name text,
     local_name text not null,
     local_parent bigint,
     gone boolean not null default false,
     primary key (account_id, message_type, folder_name))`,
  `create unique index mirror_folder_local on mirror_folder (account_id, folder_id)`,
  `create table mirror_message (
     account_id bigint not null references account on delete cascade,
     remote_id bytea not null,
     message_id bytea not null,
     folder_id bigint not null,
     read boolean not null,
     extensions_data bytea,
     revision bigint not null,
     message_hash bytea not null,
     message_public_key bytea not null,
     round int not null,
     gone boolean not null default false,
     primary key (account_id, remote_id))`,
  `create unique index mirror_message_local on mirror_message (account_id, message_id)`,
  `create index mirror_message_hash on mirror_message (account_id, message_hash)`,
  `create index mirror_message_key on mirror_message (account_id, message_public_key)`,
  `create index mirror_message_gone on mirror_message (account_id) where gone`,
  `create table mirror_local (
     account_id bigint not null references account on delete cascade,
     message_id bytea primary key references message on delete cascade,
     reason text not null)`,
];

export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of STATEMENTS) await sql.raw(statement).execute(db);
}
