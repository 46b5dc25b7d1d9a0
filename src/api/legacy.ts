/**
 * A gateway's recipients (SMIMP 0.1 §6): people of the old internet, whom only the senders reach that the configuration names.
 * Asking for a message key is the authenticated use that makes their identity; looking one up makes nothing.
 */
import { type Asked, LegacyError, type LegacyIdentities } from '../legacy/identities.ts';
import { type Address, addressParts } from '../smimp/address.ts';
import { ApiError } from './errors.ts';

type Gateway = { legacy?: LegacyIdentities | null };

/** A day is long; the limit moves with every identity that gets older than that. */
const RETRY_AFTER_SECONDS = 3_600;

/** Throws `blocked` when `recipient` is behind this gateway, and `sender` not among those it relays for. */
export function refuseRelay({ legacy }: Gateway, people: { sender: Address; recipient: Address }): void {
  if (legacy == null || addressParts(people.recipient).domain !== legacy.domain) return;
  if (!legacy.mayRelay(people.sender)) throw new ApiError('blocked');
}

/** Makes the identity of a recipient behind this gateway. Throws `blocked`, `unknown_user`, `too_many_requests`. */
export async function prepareRelay(
  { legacy }: Gateway,
  ask: { sender: Address; recipient: Address; now: Date },
): Promise<void> {
  const { sender, recipient: address, now } = ask;
  if (legacy == null || addressParts(address).domain !== legacy.domain) return;
  const asked = await legacy.prepare({ address, sender, now }).catch(refusal);
  if (asked === 'refused') throw new ApiError('blocked');
  if (asked === 'unknown') throw new ApiError('unknown_user');
}

function refusal(error: unknown): Asked {
  if (!(error instanceof LegacyError)) throw error;
  if (error.code === 'occupied') return 'unknown';
  throw new ApiError('too_many_requests', { cause: error, retryAfterSeconds: RETRY_AFTER_SECONDS });
}
