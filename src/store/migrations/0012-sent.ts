/** Sent mail whose twin may still come (../sent-copies.ts). */
import { type Kysely, sql } from 'kysely';

const STATEMENTS = [
  `create table sent_copy (
     message_id bytea primary key references message on delete cascade,
     account_id bigint not null references account on delete cascade,
     digest bytea not null,
     source text not null check (source in ('submission', 'append')),
     has_bcc boolean not null,
     saved_at timestamptz not null)`,
  `create index sent_copy_digest on sent_copy (account_id, digest)`,
  `create index sent_copy_age on sent_copy (saved_at)`,
];

export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of STATEMENTS) await sql.raw(statement).execute(db);
}
