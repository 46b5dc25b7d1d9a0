/**
 * What the price of a message is decided by (SMIMP 0.1 §4.3). See ../schema/proof-of-work.ts for what the columns mean, and
 * ../pow-facts.ts for what the functions are for. They are functions because the database keeps their plans: planning takes four
 * times as long as running them, and each message needs both.
 */
import { type Kysely, sql } from 'kysely';

const STATEMENTS = [
  // As src/policy/wear.ts: what is left of a count after a time, for a memory of so many days.
  `create function worn(value double precision, since timestamptz, at timestamptz, memory_days double precision)
     returns double precision language sql immutable parallel safe as $$
     select case when value < 0.01 or at - since > make_interval(secs => memory_days * 86400 * 30) then 0
       else value * exp(-greatest(0, extract(epoch from at - since)::double precision) / (memory_days * 86400)) end $$`,
  // No index but the primary keys, and room in each page: a count then stays in its page (a heap-only update) however often it
  // changes. Forgetting what is old reads the tables through, in the background.
  `create table pow_sender (
     address text primary key,
     first_stored_at timestamptz,
     asked double precision not null default 0,
     bytes double precision not null default 0,
     failures double precision not null default 0,
     failed_logins double precision not null default 0,
     counted_at timestamptz not null) with (fillfactor = 70)`,
  `create table pow_domain (
     domain text primary key,
     first_stored_at timestamptz,
     asked double precision not null default 0,
     counted_at timestamptz not null) with (fillfactor = 70)`,
  `create table pow_contact (
     recipient_address text not null,
     sender_address text not null,
     asked double precision not null default 0,
     counted_at timestamptz not null,
     received_at timestamptz,
     written_at timestamptz,
     primary key (recipient_address, sender_address)) with (fillfactor = 70)`,
  `create table pow_recipient (
     address text primary key,
     strangers double precision not null default 0,
     strangers_month double precision not null default 0,
     counted_at timestamptz not null) with (fillfactor = 70)`,
  `create function pow_asked(of_sender text, of_domain text, for_recipient text, at timestamptz, max_share int)
     returns table (
       first_contact boolean, correspondent boolean, sender_age double precision, domain_age double precision,
       sender_messages_per_day double precision, domain_messages_per_day double precision,
       messages_to_recipient_per_day double precision, sender_bytes_per_day double precision,
       recipient_strangers_per_day double precision, recipient_strangers_usual double precision,
       failed_attempts_per_day double precision, failed_logins_per_day double precision)
     language plpgsql as $$
     declare s pow_sender; d pow_domain; c pow_contact; r pow_recipient;
     begin
       perform set_config('synchronous_commit', 'off', true);
       insert into pow_sender as known (address, asked, counted_at) values (of_sender, 1, at)
         on conflict (address) do update set
           asked = worn(known.asked, known.counted_at, at, 1) + 1,
           bytes = worn(known.bytes, known.counted_at, at, 1),
           failures = worn(known.failures, known.counted_at, at, 1),
           failed_logins = worn(known.failed_logins, known.counted_at, at, 1),
           counted_at = greatest(known.counted_at, at)
         returning known.* into s;
       insert into pow_domain as known (domain, asked, counted_at) values (of_domain, 1, at)
         on conflict (domain) do update set
           asked = worn(known.asked, known.counted_at, at, 1) + (s.asked <= max_share)::int,
           counted_at = greatest(known.counted_at, at)
         returning known.* into d;
       insert into pow_contact as known (recipient_address, sender_address, asked, counted_at)
         values (for_recipient, of_sender, 1, at)
         on conflict (recipient_address, sender_address) do update set
           asked = worn(known.asked, known.counted_at, at, 1) + 1,
           counted_at = greatest(known.counted_at, at)
         returning known.* into c;
       select * into r from pow_recipient where address = for_recipient;
       return query select
         c.received_at is null and c.written_at is null, c.written_at is not null,
         coalesce(extract(epoch from at - s.first_stored_at)::double precision * 1000, 0),
         coalesce(extract(epoch from at - d.first_stored_at)::double precision * 1000, 0),
         s.asked, d.asked, c.asked, s.bytes,
         coalesce(worn(r.strangers, r.counted_at, at, 1), 0),
         coalesce(worn(r.strangers_month, r.counted_at, at, 30), 0) / 30,
         s.failures, s.failed_logins;
     end $$`,
  `create function pow_stored(of_sender text, of_domain text, for_recipient text, size_bytes bigint, at timestamptz) returns boolean
     language plpgsql as $$
     declare first_stored timestamptz; c pow_contact;
     begin
       update pow_sender as known set
         asked = worn(asked, counted_at, at, 1),
         bytes = worn(bytes, counted_at, at, 1) + size_bytes,
         failures = worn(failures, counted_at, at, 1),
         failed_logins = worn(failed_logins, counted_at, at, 1),
         first_stored_at = coalesce(known.first_stored_at, at),
         counted_at = greatest(counted_at, at)
         where address = of_sender
         returning known.first_stored_at into first_stored;
       if first_stored = at then
         update pow_domain set first_stored_at = coalesce(first_stored_at, at) where domain = of_domain;
       end if;
       select * into c from pow_contact where recipient_address = for_recipient and sender_address = of_sender;
       if c.received_at is null then
         insert into pow_contact as known (recipient_address, sender_address, counted_at, received_at)
           values (for_recipient, of_sender, at, at)
           on conflict (recipient_address, sender_address) do update set
             asked = worn(known.asked, known.counted_at, at, 1),
             counted_at = greatest(known.counted_at, at),
             received_at = coalesce(known.received_at, at)
           returning known.* into c;
       end if;
       if c.written_at is not null then return false; end if;
       insert into pow_recipient as known (address, strangers, strangers_month, counted_at)
         values (for_recipient, 1, 1, at)
         on conflict (address) do update set
           strangers = worn(known.strangers, known.counted_at, at, 1) + 1,
           strangers_month = worn(known.strangers_month, known.counted_at, at, 30) + 1,
           counted_at = greatest(known.counted_at, at);
       return true;
     end $$`,
];

export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of STATEMENTS) await sql.raw(statement).execute(db);
}
