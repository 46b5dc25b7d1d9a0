/** How far the sender of each shown message is known, kept with it as bits, so that a list of messages asks no pin. */
import { sql } from 'kysely';
import { advanceMailbox } from './accounts.ts';
import { notify, type Tx } from './database.ts';
import { lockMailbox } from './folders.ts';

/** Bits of `message.trust`. The first three follow the contact's pin; the others are fixed when the message comes. */
export const TRUST = { verified: 1, unverified: 2, keyChanged: 4, retiredKey: 8, viaLegacy: 16 } as const;
const FIXED = TRUST.retiredKey | TRUST.viaLegacy;

/** What a contact's pin says of messages. `changedKeys`: master keys, raw, that came later and were not looked at since. */
export type Standing = { verified: boolean; changedKeys: readonly Buffer[] };

/** The bits of a message as it comes. */
export function trustOf(
  { verified, changedKeys }: Standing,
  message: { senderKey: Buffer; retiredKey: boolean; viaLegacy: boolean },
): number {
  const isChanged = changedKeys.some((key) => key.equals(message.senderKey));
  return (
    (verified ? TRUST.verified : TRUST.unverified) |
    (isChanged ? TRUST.keyChanged : 0) |
    (message.retiredKey ? TRUST.retiredKey : 0) |
    (message.viaLegacy ? TRUST.viaLegacy : 0)
  );
}

/** Messages of a contact follow its pin, at a revision of their own: every session is told. Takes the mailbox. */
export async function applyStanding(
  tx: Tx,
  accountId: number,
  contact: string,
  { verified, changedKeys }: Standing,
): Promise<void> {
  await lockMailbox(tx, accountId);
  const standing = verified ? TRUST.verified : TRUST.unverified;
  const wanted = sql<number>`(trust & ${sql.lit(FIXED)}) | ${sql.lit(standing)}
    | case when sender_public_key = any(${[...changedKeys]}::bytea[]) then ${sql.lit(TRUST.keyChanged)} else 0 end`;
  const differs = tx
    .selectFrom('message')
    .select('message_id')
    .where('account_id', '=', accountId)
    .where('sender_address', '=', contact)
    .where('state', '=', 'shown')
    .where(sql<boolean>`trust <> (${wanted})`);
  if ((await differs.limit(1).executeTakeFirst()) === undefined) return;
  const { revision } = await advanceMailbox(tx, accountId, { seqs: 0 });
  await tx
    .updateTable('message')
    .set({ trust: wanted, revision })
    .where('account_id', '=', accountId)
    .where('sender_address', '=', contact)
    .where('state', '=', 'shown')
    .where(sql<boolean>`trust <> (${wanted})`)
    .execute();
  await notify(tx, 'mailbox_changed', accountId);
}
