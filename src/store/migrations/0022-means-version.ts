/**
 * Mail of the owner is put in by her keys, her history and her folders. `account.means_version` is another value whenever any
 * of these changes, so that what a process knows of them holds as long as this one value does, which is compared while the
 * mailbox is held. It is random: also a database that was brought back from a backup has no value twice.
 */
import { type Kysely, sql } from 'kysely';

const renewal = (table: string, events: string, when = ''): string =>
  `create trigger ${table}_means_${events.slice(0, 6)} after ${events} on ${table}
     for each row ${when} execute function renew_means_version()`;

/** Of the secrets, those that more than one message is put in by. */
const lasting = (row: 'new' | 'old'): string => `when (${row}.purpose = 'master' or ${row}.kind = 'non-ephemeral')`;

const STATEMENTS = [
  `alter table account add column means_version uuid not null default gen_random_uuid()`,
  `create function renew_means_version() returns trigger language plpgsql as $$
   begin
     update account set means_version = gen_random_uuid()
       where id = case when tg_op = 'DELETE' then old.account_id else new.account_id end;
     return null;
   end $$`,
  renewal('folder', 'insert'),
  // Not with each message: `uid_next` and `recent_from` are no part of it.
  renewal('folder', 'update of folder_name, display_name, parent_id, special_use, subscribed, uid_validity'),
  renewal('folder', 'delete'),
  renewal('secret', 'insert', lasting('new')),
  renewal('secret', 'update', lasting('new')),
  renewal('secret', 'delete', lasting('old')),
  renewal('own_record', 'insert'),
  renewal('own_record', 'update'),
  renewal('own_record', 'delete'),
  `drop function take_own_place`,
];

export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of STATEMENTS) await sql.raw(statement).execute(db);
}
