/** When to try again: exponential back-off with jitter, a pure function of the delivery and the number of its failures. */
import { hash } from '../smimp/crypto.ts';

/** A restart of the other server is over by then. */
export const FIRST_RETRY_MS = 2_000;
/** A server that has been away for a day is asked once an hour. */
export const LONGEST_RETRY_MS = 3_600_000;
/** Up to this share of the delay is taken off, so that what failed together does not come back together. */
export const JITTER = 0.25;
/** A contact whose identity is blocked is looked at again this often; a healed one goes on by itself. */
export const HELD_RECHECK_MS = 600_000;
/** What a server asks for with Retry-After is honoured up to here. */
export const LONGEST_RETRY_AFTER_MS = 6 * 3_600_000;

/** In [0, 1), the same for the same delivery and attempt, unlike its neighbours. */
function share(deliveryId: number, attempt: number): number {
  return hash(Buffer.from(`retry ${deliveryId} ${attempt}`)).readUInt32LE(0) / 2 ** 32;
}

/** `attempt`: failures so far, from 1. `retryAfterMs`: what the other server asked for, never gone below. */
export function retryDelayMs(deliveryId: number, attempt: number, retryAfterMs: number | null = null): number {
  const doublings = Math.min(attempt - 1, 30);
  const full = Math.min(FIRST_RETRY_MS * 2 ** doublings, LONGEST_RETRY_MS);
  const delay = Math.round(full * (1 - JITTER * share(deliveryId, attempt)));
  return Math.max(delay, Math.min(retryAfterMs ?? 0, LONGEST_RETRY_AFTER_MS));
}
