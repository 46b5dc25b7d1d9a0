/**
 * Where a message goes, or whether it goes at all (SMIMP 0.1 §3). Asks discovery and the pins. A domain once seen speaking
 * SMIMP never becomes a legacy one: identity says `queued` for it, whatever it answers. Whether a message goes through the
 * gateway is the policy's word, asked anew each time.
 */
import type { Contact, Identity } from '../identity/resolve.ts';
import type { LegacyPolicy, Turn } from '../legacy/policy.ts';
import { RemoteError } from '../remote/errors.ts';
import type { HomeClient } from '../remote/home.ts';
import type { Sessions } from '../remote/sessions.ts';
import { addressParts } from '../smimp/address.ts';
import type { BaseUrl } from '../smimp/discovery.ts';
import type { Db } from '../store/database.ts';
import { hasDeliveryTo } from '../store/outbound.ts';
import { forgetRefused } from './failures.ts';
import type { Reason } from './reasons.ts';
import type { Stage, StageOutcome, Work } from './stage.ts';

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

/** Where a message goes when its recipient's domain turned out to be another kind of domain than it was taken for. */
async function turned(db: Db, work: Work, turn: Turn, otherwise: StageOutcome): Promise<StageOutcome> {
  if (turn.to === 'wait') return { kind: 'retry', reason: 'unavailable', retryAfterMs: null };
  if (turn.to === 'nobody') return { kind: 'fail', reason: 'speaks-smimp' };
  if (turn.to === 'same') return otherwise;
  const { submission_id: submissionId } = work.delivery;
  const isThere = await hasDeliveryTo(db, submissionId, turn.address);
  // The same person was written to under both addresses.
  if (isThere) return { kind: 'done', messageId: null, detail: { merged: true } };
  return { kind: 'advance', to: 'route', change: { recipient: turn.address }, detail: { readdressed: true } };
}

export function createRoute(options: {
  db: Db;
  identity: Identity;
  policy: LegacyPolicy;
  sessions: Sessions;
  home: HomeClient;
}): Stage {
  const { db, identity, policy, sessions, home } = options;

  /** A person behind the gateway has an identity from when somebody who may write to it asks for its key (SMIMP 0.1 §6). */
  const introduce = async (work: Work, unknown: Contact, baseUrl: BaseUrl): Promise<Contact> => {
    const { account_id: accountId } = work.delivery;
    const session = await sessions.get({ accountId, baseUrl, keys: work.keys });
    try {
      await home.getMessageKey(session, work.recipient);
    } catch (error) {
      if (error instanceof RemoteError && error.apiCode === 'unknown_user') return unknown;
      await forgetRefused(sessions, accountId, session, error);
    }
    return identity.resolve({ accountId, contact: work.recipient, toSend: true, fresh: true });
  };

  const resolve = async (work: Work): Promise<Contact> => {
    const { recipient, delivery } = work;
    const contact = await identity.resolve({ accountId: delivery.account_id, contact: recipient, toSend: true });
    const isNew = contact.sending === 'impossible' && contact.reason === 'unknown-user';
    const isBehind = addressParts(recipient).domain === policy.gatewayDomain;
    return isNew && isBehind && contact.baseUrl !== null ? introduce(work, contact, contact.baseUrl) : contact;
  };

  return async (work) => {
    const turn = await policy.turnOf(work.recipient);
    if (turn.to !== 'same') return turned(db, work, turn, NOWHERE);
    const contact = await resolve(work);
    const isAbsent = contact.sending === 'impossible' && contact.reason === 'no-smimp';
    if (isAbsent) return turned(db, work, await policy.turnOfAbsent(work.recipient), refusedContact(contact));
    if (contact.history === null || contact.baseUrl === null) return refusedContact(contact);
    const detail = { state: contact.state, records: contact.history.seq + 1, key_changed: contact.keyChanged };
    return { kind: 'advance', to: 'seal', change: { base_url: contact.baseUrl }, detail };
  };
}

const NOWHERE: StageOutcome = { kind: 'fail', reason: 'no-smimp' };

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
