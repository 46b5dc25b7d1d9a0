/**
 * What one's own server shows of oneself, against one's own copy (SMIMP 0.1 §3), asked the way everybody else asks. OK: the
 * same. EXTENDED: somebody who has the master key, perhaps oneself from another client, added to it. Any other state but
 * UNAVAILABLE: the server lies to others.
 */
import type { VerifiedHistory } from '../smimp/chain.ts';
import { comparePin } from '../smimp/pin.ts';
import type { Histories } from './histories.ts';
import { lookAgainstPin, type Verdict } from './pins.ts';

/** `now` in unix seconds. Keeps nothing. */
export async function lookAtOwn(histories: Histories, own: VerifiedHistory, now: number): Promise<Verdict> {
  const { address, records, head } = own;
  // Every record of the own copy is known, as if it had been pinned.
  const { pin } = comparePin({ address, answer: { records, head }, pin: null, now });
  return (await lookAgainstPin(histories, { address, pin, fresh: true, now })).verdict;
}
