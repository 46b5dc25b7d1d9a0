/** From which UID on nobody has looked at a folder (`\Recent`), and names that stay subscribed without a folder. */
import { type Kysely, sql } from 'kysely';

const STATEMENTS = [
  `alter table folder add column recent_from bigint not null default 0`,
  `create table lost_subscription (
     account_id bigint not null references account on delete cascade,
     path text not null,
     primary key (account_id, path)
   )`,
];

export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of STATEMENTS) await sql.raw(statement).execute(db);
}
