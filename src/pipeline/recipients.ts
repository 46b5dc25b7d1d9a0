/**
 * What can be said about a recipient while a mail program waits. Only what can never be delivered is refused; everything
 * that may pass is accepted and queued. Behind the gateway of the configuration nobody is unknown: writing to somebody there is
 * what makes the identity (SMIMP 0.1 §6).
 *
 * An identity alarm that the sender was told of before is a refusal: it ends only when somebody enters a fingerprint. One
 * that is new at this moment is accepted, held, and told by mail.
 */
import type { Identity } from '../identity/resolve.ts';
import { type LegacyPolicy, NO_LEGACY } from '../legacy/policy.ts';
import { type Address, addressParts } from '../smimp/address.ts';
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

const NOT_BEHIND: Readonly<Record<'speaks' | 'no-coding', Reason>> = {
  speaks: 'speaks-smimp',
  'no-coding': 'unknown-user',
};

export function createCheckRecipient(options: { db: Db; identity: Identity; policy?: LegacyPolicy }): CheckRecipient {
  const { db, identity, policy = NO_LEGACY } = options;
  return async ({ accountId, recipient, timeoutMs }) => {
    const pin = await findPin(db, accountId, recipient);
    const alarm = pin === undefined ? undefined : KNOWN_ALARMS[pin.state];
    if (alarm !== undefined) return alarm;
    if (addressParts(recipient).domain === policy.gatewayDomain) {
      const checked = await policy.check(recipient, timeoutMs);
      return checked === 'allowed' ? null : NOT_BEHIND[checked];
    }
    const { status } = await identity.lookup({ accountId, contact: recipient, timeoutMs });
    return status === 'unknown-user' || status === 'no-smimp' ? status : null;
  };
}
