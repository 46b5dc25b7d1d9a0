/** Mail that leaves a gateway for the old internet: a stage of deliveries, and the policies of legacy domains. */
import { type Kysely, sql } from 'kysely';

const ACTIVE = `('route', 'seal', 'mint', 'deliver', 'relay', 'held')`;
const STATEMENTS = [
  `alter table delivery drop constraint delivery_stage_check`,
  `alter table delivery add constraint delivery_stage_check check (stage in
     ('route', 'seal', 'mint', 'deliver', 'relay', 'held', 'done', 'failed', 'cancelled'))`,
  `drop index delivery_due`,
  `create index delivery_due on delivery (next_attempt_at) where stage in ${ACTIVE}`,
  `alter table submission add column relayed_for text`,
  `alter table submission add column is_report boolean not null default false`,
  `create index pin_domain on pin (split_part(contact, '#', 2))`,
  `create table sts_policy (
     domain text primary key,
     policy_id text not null,
     mode text not null check (mode in ('enforce', 'testing', 'none')),
     mx text[] not null,
     expires_at timestamptz not null,
     checked_at timestamptz not null)`,
];

export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of STATEMENTS) await sql.raw(statement).execute(db);
}
