/** Pins: what each account once saw of each contact (SMIMP 0.1 §3). A pin is replaced only after it was archived. */
import type { Selectable } from 'kysely';
import { sql } from 'kysely';
import type { Executor, Tx } from './database.ts';
import type { PinTable } from './schema.ts';

export type StoredPin = Selectable<PinTable>;
export type PinWrite = {
  accountId: number;
  contact: string;
  state: string;
  pin: object;
  evidence: object | null;
  verifiedAt: Date | null;
  now: Date;
};

export function findPin(db: Executor, accountId: number, contact: string): Promise<StoredPin | undefined> {
  return db
    .selectFrom('pin')
    .selectAll()
    .where('account_id', '=', accountId)
    .where('contact', '=', contact)
    .executeTakeFirst();
}

/** One process at a time decides about one contact of one account, also while no pin exists. Until the commit. */
export async function lockPin(tx: Tx, accountId: number, contact: string): Promise<void> {
  await sql`select pg_advisory_xact_lock(hashtextextended(${`pin ${accountId} ${contact}`}, 0))`.execute(tx);
}

export async function savePin(tx: Tx, write: PinWrite): Promise<void> {
  const values = {
    state: write.state,
    pin: JSON.stringify(write.pin),
    evidence: write.evidence === null ? null : JSON.stringify(write.evidence),
    verified_at: write.verifiedAt,
    checked_at: write.now,
  };
  await tx
    .insertInto('pin')
    .values({ account_id: write.accountId, contact: write.contact, ...values })
    .onConflict((conflict) => conflict.columns(['account_id', 'contact']).doUpdateSet(values))
    .execute();
}

export async function archivePin(
  tx: Tx,
  archived: { accountId: number; contact: string; pin: object; now: Date },
): Promise<void> {
  await tx
    .insertInto('pin_archive')
    .values({
      account_id: archived.accountId,
      contact: archived.contact,
      pin: JSON.stringify(archived.pin),
      archived_at: archived.now,
    })
    .execute();
}

export function listPins(db: Executor, accountId: number): Promise<StoredPin[]> {
  return db.selectFrom('pin').selectAll().where('account_id', '=', accountId).orderBy('contact').execute();
}

export type ArchivedPin = { contact: string; pin: object; archived_at: Date };

/** Pins that a checked fingerprint replaced, in the order in which they were put away. */
export function listArchivedPins(db: Executor, accountId: number): Promise<ArchivedPin[]> {
  return db
    .selectFrom('pin_archive')
    .select(['contact', 'pin', 'archived_at'])
    .where('account_id', '=', accountId)
    .orderBy('id')
    .execute();
}
