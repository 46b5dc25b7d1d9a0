/**
 * Where a message goes, or whether it goes at all (SMIMP 0.1 §3). Asks discovery and the pins. A domain once seen speaking
 * SMIMP never becomes a legacy one: identity says `queued` for it, whatever it answers.
 */
import type { Contact, Identity } from '../identity/resolve.ts';
import type { Reason } from './reasons.ts';
import type { Stage, StageOutcome } from './stage.ts';

const BLOCKED: Partial<Record<Contact['state'], Reason>> = {
  REPLACED: 'pin-replaced',
  FORKED: 'pin-forked',
  TRUNCATED: 'pin-truncated',
};

/** Why a contact that may not be written to now may not. */
export function contactReason(contact: Contact): Reason {
  if (contact.sending === 'impossible') return contact.reason === 'no-smimp' ? 'no-smimp' : 'unknown-user';
  if (contact.sending === 'queued') return 'unavailable';
  if (contact.reason === 'head-mismatch') return 'head-mismatch';
  return BLOCKED[contact.state] ?? 'identity-invalid';
}

/** What becomes of a delivery to a contact that sending is not allowed to. */
export function refusedContact(contact: Contact): StageOutcome {
  const reason = contactReason(contact);
  if (contact.sending === 'impossible') return { kind: 'fail', reason };
  if (contact.sending === 'blocked') return { kind: 'hold', reason, change: {} };
  return { kind: 'retry', reason, retryAfterMs: null };
}

export function createRoute({ identity }: { identity: Identity }): Stage {
  return async ({ delivery, recipient }) => {
    const contact = await identity.resolve({ accountId: delivery.account_id, contact: recipient, toSend: true });
    if (contact.history === null || contact.baseUrl === null) return refusedContact(contact);
    const detail = { state: contact.state, records: contact.history.seq + 1, key_changed: contact.keyChanged };
    return { kind: 'advance', to: 'seal', change: { base_url: contact.baseUrl }, detail };
  };
}

/**
 * A held delivery is looked at again: routed when its contact was the reason, minted when it waits for consent to the work.
 * Nothing happens to it before the reason is gone.
 */
export function createHeld({ route, mint, relay }: { route: Stage; mint: Stage; relay: Stage }): Stage {
  return (work) => {
    if (work.delivery.relayed_for !== null) return relay(work);
    return work.delivery.error_code === 'pow-approval' ? mint(work) : route(work);
  };
}
