/**
 * What becomes of a message that arrived (SMIMP 0.1 §4.4): opened, held until its sender can be verified, dropped because
 * it came before, or set apart. The checks are those of `openMessage`; here is decided whom to ask and what a failure means.
 */
import type { Contact } from '../identity/contact.ts';
import { ProfileError, type ProfileErrorCode } from '../smimp/errors.ts';
import type { OpenedMessage } from '../smimp/open.ts';
import type { SenderIdentity } from '../smimp/pin.ts';

/** Why a message is held: its sender's state, or that nobody could be asked. */
export type HeldReason = 'unavailable' | 'pin-truncated' | 'pin-forked' | 'pin-replaced' | 'pin-invalid';

export type Opening =
  | { readonly kind: 'opened'; readonly message: OpenedMessage }
  /** May still be good. Keep it undecrypted and try again. */
  | { readonly kind: 'held'; readonly reason: HeldReason }
  /** Came before. */
  | { readonly kind: 'replayed' }
  /** Keep the ciphertext; show only that something invalid claims to be from its sender. */
  | { readonly kind: 'quarantined'; readonly reason: ProfileErrorCode };

/** Who sent it: oneself, or a contact as it was looked up when the mail was fetched; null when it could not be. */
export type ClaimedSender = { kind: 'self'; identity: SenderIdentity } | { kind: 'other'; contact: Contact | null };

/** What a look that was taken before the message was sent may not know yet: a new key, or a new head. */
const ASK_AGAIN: ReadonlySet<string> = new Set(['unknown-sender-key', 'sender-head']);

export async function openFrom(
  sender: ClaimedSender,
  steps: {
    /** All checks of `openMessage`. */
    open: (sender: SenderIdentity | null) => Promise<OpenedMessage>;
    resolveFresh: () => Promise<Contact>;
    /** The message shows a head that its sender's server hides. */
    reportFork: () => Promise<void>;
  },
): Promise<Opening> {
  try {
    return { kind: 'opened', message: await openOrAsk(sender, steps) };
  } catch (error) {
    if (error instanceof SenderBlocked) return { kind: 'held', reason: error.reason };
    if (error instanceof ProfileError) return refusal(sender, error.code);
    throw error;
  }
}

/** Of a sender in doubt only what needs no history is checked; then the message is held (SMIMP 0.1 §3, §4.4). */
function refusal(sender: ClaimedSender, code: ProfileErrorCode): Opening {
  const contact = sender.kind === 'self' ? null : sender.contact;
  if (code === 'unavailable') return { kind: 'held', reason: heldReason(contact) };
  if (code === 'sender-head') return { kind: 'held', reason: 'pin-forked' };
  return code === 'replayed' ? { kind: 'replayed' } : { kind: 'quarantined', reason: code };
}

async function openOrAsk(sender: ClaimedSender, steps: Parameters<typeof openFrom>[1]): Promise<OpenedMessage> {
  const identity = sender.kind === 'self' ? sender.identity : (sender.contact?.history ?? null);
  try {
    return await steps.open(identity);
  } catch (error) {
    const again = error instanceof ProfileError && ASK_AGAIN.has(error.code) && sender.kind === 'other';
    if (!again) throw error;
  }
  const fresh = await steps.resolveFresh();
  if (fresh.sending === 'blocked') throw new SenderBlocked(heldReason(fresh));
  try {
    return await steps.open(fresh.history);
  } catch (error) {
    // A head that stays hidden means that the server forks (§4.4).
    if (error instanceof ProfileError && error.code === 'sender-head') await steps.reportFork();
    throw error;
  }
}

const HELD: Partial<Record<Contact['state'], HeldReason>> = {
  TRUNCATED: 'pin-truncated',
  FORKED: 'pin-forked',
  REPLACED: 'pin-replaced',
  INVALID: 'pin-invalid',
};

function heldReason(contact: Contact | null): HeldReason {
  return contact?.sending === 'blocked' ? (HELD[contact.state] ?? 'unavailable') : 'unavailable';
}

class SenderBlocked extends Error {
  override readonly name = 'SenderBlocked';
  readonly reason: HeldReason;

  constructor(reason: HeldReason) {
    super('sender blocked');
    this.reason = reason;
  }
}
