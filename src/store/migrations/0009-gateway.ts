/** Identities of legacy correspondents, and where reports on their messages go. */
import { type Kysely, sql } from 'kysely';

const STATEMENTS = [
  `create table legacy_identity (
     account_id bigint primary key references account on delete cascade,
     made_at timestamptz not null,
     made_for text,
     asked_at timestamptz,
     kept_at timestamptz)`,
  `create index legacy_identity_made on legacy_identity (made_for, made_at) where made_for is not null`,
  `create index legacy_identity_kept on legacy_identity (kept_at) where asked_at is not null`,
  `create table return_path (
     submission_id bigint primary key references submission on delete cascade,
     sealed bytea not null)`,
];

export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of STATEMENTS) await sql.raw(statement).execute(db);
}
