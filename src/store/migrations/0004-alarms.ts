/** Alarms that were raised, so that each is told once; and when one's own server was last asked what it shows of a user. */
import { type Kysely, sql } from 'kysely';

const STATEMENTS = [
  `create table alarm (
     id bigint generated always as identity primary key,
     account_id bigint not null references account on delete cascade,
     contact text not null,
     kind text not null,
     cause text not null,
     evidence jsonb,
     first_at timestamptz not null,
     last_at timestamptz not null,
     times int not null default 1,
     tell_at timestamptz,
     summed boolean not null default false,
     told_at timestamptz,
     told_by text check (told_by in ('mail', 'summary', 'delivery')),
     ended_at timestamptz,
     unique (account_id, contact, kind, cause))`,
  `create index alarm_untold on alarm (tell_at) where tell_at is not null`,
  `create index alarm_told on alarm (account_id, told_at)`,
  `alter table mail_user add column own_checked_at timestamptz`,
  `create index message_held on message (account_id, sender_address) where state = 'held'`,
  `create index message_quarantined on message (account_id) where state = 'quarantined'`,
  `create index delivery_held on delivery (account_id, recipient) where stage = 'held'`,
];

export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of STATEMENTS) await sql.raw(statement).execute(db);
}
