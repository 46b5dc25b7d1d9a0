/** How far the sender of each shown message is known (../trust.ts). Messages that are there already say nothing of it. */
import { type Kysely, sql } from 'kysely';

const STATEMENTS = [
  `alter table message add column trust smallint not null default 0`,
  `create index message_sender on message (account_id, sender_address) where state = 'shown'`,
];

export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of STATEMENTS) await sql.raw(statement).execute(db);
}
