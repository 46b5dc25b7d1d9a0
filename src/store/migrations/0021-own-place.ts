/**
 * Mail of the owner is put in by one statement. What was found out before it is only true if it still is once the mailbox is
 * held, so the two functions look again: each statement of a function sees what was committed before it began, while one that
 * waits for a lock goes on with what it saw before.
 */
import { type Kysely, sql } from 'kysely';

const STATEMENTS = [
  // Holds the mailbox and takes the next place at the end of a folder, or says why not and takes nothing.
  `create function take_own_place(
     of_account bigint, in_folder bigint, added_bytes bigint, default_quota bigint, slack_bytes bigint,
     by_master bytea, to_message_key bytea, last_record bytea,
     out seq bigint, out revision bigint, out refused text)
   language plpgsql as $$
   declare
     held record;
     is_current boolean;
   begin
     select account.next_seq, account.revision, account.size_bytes, account.quota_bytes into held
       from account where id = of_account for update;
     perform 1 from folder where id = in_folder and account_id = of_account;
     if not found then refused := 'no-folder'; return; end if;
     select
       by_master = (select public_key from secret
         where account_id = of_account and purpose = 'master' and retired_at is null)
       and to_message_key = (select public_key from secret
         where account_id = of_account and purpose = 'message' and kind = 'non-ephemeral' and retired_at is null
         order by created_at desc, public_key limit 1)
       and last_record = (select signed_hash from own_record
         where account_id = of_account order by own_record.seq desc limit 1)
       into is_current;
     if is_current is not true then refused := 'stale'; return; end if;
     if held.quota_bytes is distinct from -1
       and held.size_bytes + added_bytes > coalesce(held.quota_bytes, default_quota) + slack_bytes
       then refused := 'over-quota'; return; end if;
     seq := held.next_seq;
     revision := held.revision + 1;
     update account set next_seq = held.next_seq + 1, revision = held.revision + 1,
       size_bytes = held.size_bytes + added_bytes where id = of_account;
     update folder set uid_next = greatest(uid_next, held.next_seq + 1) where id = in_folder;
   end $$`,
  // The thread that is present, or the first one that is known for what is asked, or the fresh one; and it is known for all of it.
  `create function join_thread(of_account bigint, asked bytea[], fresh bytea, present bytea) returns bytea
   language plpgsql as $$
   declare
     chosen bytea := present;
     one bytea;
   begin
     -- One after another: a plan for all of them may go through every reference of the account.
     if chosen is null then
       foreach one in array asked loop
         select thread_id into chosen from thread_reference where account_id = of_account and reference = one;
         exit when found;
       end loop;
     end if;
     chosen := coalesce(chosen, fresh);
     insert into thread_reference (account_id, reference, thread_id)
       select distinct of_account, a.asked_reference, chosen from unnest(asked) as a(asked_reference)
       on conflict do nothing;
     return chosen;
   end $$`,
];

export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of STATEMENTS) await sql.raw(statement).execute(db);
}
