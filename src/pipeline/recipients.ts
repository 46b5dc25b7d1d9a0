/**
 * What can be said about a recipient while a mail program waits. Only what can never be delivered is refused; everything
 * that may pass is accepted and queued.
 *
 * An identity alarm that the sender was told of before is a refusal: it ends only when somebody enters a fingerprint. One
 * that is new at this moment is accepted, held, and told by mail.
 */
import type { Identity } from '../identity/resolve.ts';
import type { Address } from '../smimp/address.ts';
import type { Db } from '../store/database.ts';
import { findPin } from '../store/pins.ts';
import type { Reason } from './reasons.ts';

const KNOWN_ALARMS: Readonly<Record<string, Reason>> = { REPLACED: 'pin-replaced', FORKED: 'pin-forked' };

/** Why the recipient can never be reached, or null. */
export type CheckRecipient = (check: {
  accountId: number;
  recipient: Address;
  timeoutMs: number;
}) => Promise<Reason | null>;

export function createCheckRecipient({ db, identity }: { db: Db; identity: Identity }): CheckRecipient {
  return async ({ accountId, recipient, timeoutMs }) => {
    const pin = await findPin(db, accountId, recipient);
    const alarm = pin === undefined ? undefined : KNOWN_ALARMS[pin.state];
    if (alarm !== undefined) return alarm;
    const { status } = await identity.lookup({ accountId, contact: recipient, timeoutMs });
    return status === 'unknown-user' || status === 'no-smimp' ? status : null;
  };
}
