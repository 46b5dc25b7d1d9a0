/**
 * The facts that decide the price of a message (SMIMP 0.1 §4.3), counted where they happen: in the transaction that issues
 * a nonce, and in the one that stores a message. The rows are locked while they are counted, so callers who come at once,
 * also to different processes, count one after the other; each sees those before it.
 *
 * Locks are taken in the order sender, domain, contact, recipient; callers hold session or mailbox before.
 */
import { sql } from 'kysely';
import { MAX_DOMAIN_SHARE } from '../policy/pow-ledger.ts';
import type { PowFacts } from '../policy/pow-policy.ts';
import { DAY_MEMORY } from '../policy/wear.ts';
import { type Address, addressParts } from '../smimp/address.ts';
import type { Executor, Tx } from './database.ts';

interface Pair {
  sender: string;
  recipient: string;
}

type CountedFacts = Omit<PowFacts, 'message_type'>;

/**
 * Counts a message that is asked for and gives the facts, it included; the same work for every pair. That a crash of the
 * database may forget the newest counts, and the nonce with them, costs less than waiting for the disk with the domain's row
 * locked.
 */
export async function countAsked(tx: Tx, asked: Pair & { now: Date }): Promise<CountedFacts> {
  const { sender, recipient, now } = asked;
  const { domain } = addressParts(sender as Address);
  const { rows } = await sql<CountedFacts>`
    select * from pow_asked(${sender}, ${domain}, ${recipient}, ${now}, ${MAX_DOMAIN_SHARE})`.execute(tx);
  const [facts] = rows;
  if (facts === undefined) throw new TypeError('the count of a message gave no facts');
  return facts;
}

interface Stored extends Pair {
  sizeBytes: number;
  now: Date;
}

/** Counts a message that is stored. It loads the recipient unless that one once wrote to the sender. */
export async function countStored(tx: Tx, stored: Stored): Promise<void> {
  await sql`select ${loading(stored)}`.execute(tx);
}

/**
 * Uses a nonce up and counts the message that it was issued for; false when it was used. Who paid nothing, being at home here
 * or on the recipient's whitelist, is no stranger and needs no price: such messages are not counted.
 */
export async function consumePowNonce(tx: Tx, nonce: Buffer, stored: Stored): Promise<boolean> {
  const { rows } = await sql`
    with used as (delete from pow_nonce where nonce = ${nonce} returning zero_bits)
    select case when zero_bits > 0 then ${loading(stored)} end from used`.execute(tx);
  return rows.length > 0;
}

function loading({ sender, recipient, sizeBytes, now }: Stored) {
  const { domain } = addressParts(sender as Address);
  return sql<boolean>`pow_stored(${sender}, ${domain}, ${recipient}, ${sizeBytes}, ${now})`;
}

/** The recipient's own message to the sender arrived. */
export async function noteWritten(db: Executor, written: Pair & { now: Date }): Promise<void> {
  const { sender, recipient, now } = written;
  await sql`
    insert into pow_contact as c (recipient_address, sender_address, counted_at, written_at)
    values (${recipient}, ${sender}, ${now}, ${now})
    on conflict (recipient_address, sender_address) do update set
      asked = worn(c.asked, c.counted_at, ${now}, ${DAY_MEMORY}),
      counted_at = greatest(c.counted_at, ${now}),
      written_at = coalesce(c.written_at, excluded.written_at)`.execute(db);
}

/** Something of the sender was refused. Who was never seen is not counted: names that nobody proved leave no rows. */
export async function countFailure(
  db: Executor,
  failed: { sender: string; what: 'attempt' | 'login'; now: Date },
): Promise<void> {
  const { sender, what, now } = failed;
  await sql`
    update pow_sender set
      asked = worn(asked, counted_at, ${now}, ${DAY_MEMORY}),
      bytes = worn(bytes, counted_at, ${now}, ${DAY_MEMORY}),
      failures = worn(failures, counted_at, ${now}, ${DAY_MEMORY}) + ${what === 'attempt' ? 1 : 0}::int,
      failed_logins = worn(failed_logins, counted_at, ${now}, ${DAY_MEMORY}) + ${what === 'login' ? 1 : 0}::int,
      counted_at = greatest(counted_at, ${now})
    where address = ${sender}`.execute(db);
}

/** Forgets an account that is removed. */
export async function forgetPowRecipient(db: Executor, address: string): Promise<void> {
  await db.deleteFrom('pow_contact').where('recipient_address', '=', address).execute();
  await db.deleteFrom('pow_recipient').where('address', '=', address).execute();
}

/**
 * Forgets what is old. Who asked but never sent anything goes soon: asking leaves nothing behind. The rest stays as long as
 * somebody may be away.
 */
export async function forgetOldPowFacts(db: Executor, before: { asked: Date; known: Date }): Promise<void> {
  const { asked, known } = before;
  await sql`
    delete from pow_contact where counted_at < ${known}
      or (counted_at < ${asked} and received_at is null and written_at is null)`.execute(db);
  for (const table of ['pow_sender', 'pow_domain'] as const)
    await sql`
      delete from ${sql.table(table)} where counted_at < ${known}
        or (counted_at < ${asked} and first_stored_at is null)`.execute(db);
  await db.deleteFrom('pow_recipient').where('counted_at', '<', known).execute();
}
