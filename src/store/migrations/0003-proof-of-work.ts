/** What the price of a message is decided by (SMIMP 0.1 §4.3). See ../schema/proof-of-work.ts for what the columns mean. */
import { type Kysely, sql } from 'kysely';

const STATEMENTS = [
  // As src/policy/wear.ts: what is left of a count after a time, for a memory of so many days.
  `create function worn(value double precision, since timestamptz, at timestamptz, memory_days double precision)
     returns double precision language sql immutable parallel safe as $$
     select case when value < 0.01 or at - since > make_interval(secs => memory_days * 86400 * 30) then 0
       else value * exp(-greatest(0, extract(epoch from at - since)::double precision) / (memory_days * 86400)) end $$`,
  `create table pow_sender (
     address text primary key,
     first_seen_at timestamptz not null,
     asked double precision not null default 0,
     bytes double precision not null default 0,
     failures double precision not null default 0,
     failed_logins double precision not null default 0,
     stored_at timestamptz,
     counted_at timestamptz not null)`,
  `create index pow_sender_age on pow_sender (counted_at)`,
  `create index pow_sender_silent on pow_sender (first_seen_at) where stored_at is null`,
  `create table pow_domain (
     domain text primary key,
     first_seen_at timestamptz not null,
     asked double precision not null default 0,
     counted_at timestamptz not null)`,
  `create index pow_domain_age on pow_domain (counted_at)`,
  `create table pow_contact (
     recipient_address text not null,
     sender_address text not null,
     asked double precision not null default 0,
     counted_at timestamptz not null,
     received_at timestamptz,
     written_at timestamptz,
     primary key (recipient_address, sender_address))`,
  `create index pow_contact_age on pow_contact (counted_at)`,
  `create index pow_contact_silent on pow_contact (counted_at) where received_at is null and written_at is null`,
  `create table pow_recipient (
     address text primary key,
     strangers double precision not null default 0,
     strangers_month double precision not null default 0,
     counted_at timestamptz not null)`,
  `create index pow_recipient_age on pow_recipient (counted_at)`,
];

export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of STATEMENTS) await sql.raw(statement).execute(db);
}
