/** What waits for a contact's identity, both ways: tried again at once when the identity is good again. */
import { notify, type Tx } from './database.ts';
import { retryHeld } from './unopened.ts';

/** Mail from the contact that is held, and deliveries to it that are held for one of `reasons`. */
export async function releaseHeld(
  tx: Tx,
  release: { accountId: number; contact: string; reasons: readonly string[]; now: Date },
): Promise<void> {
  const { accountId, contact, now } = release;
  await retryDeliveries(tx, release);
  await retryHeld(tx, accountId, contact, now);
}

/** Those that wait; one that is being worked on just now sees for itself. */
async function retryDeliveries(
  tx: Tx,
  { accountId, contact, reasons, now }: Parameters<typeof releaseHeld>[1],
): Promise<void> {
  const rows = await tx
    .updateTable('delivery')
    .set((eb) => ({ next_attempt_at: now, version: eb('version', '+', 1) }))
    .where('account_id', '=', accountId)
    .where('recipient', '=', contact)
    .where('stage', '=', 'held')
    .where('error_code', 'in', [...reasons])
    .where('next_attempt_at', '>', now)
    .returning('id')
    .execute();
  for (const { id } of rows) await notify(tx, 'delivery_ready', id);
}
