/**
 * Whether somebody exists, for whoever has no account to pin with: a gateway, before it knows who writes (SMIMP 0.1 §6). Keeps
 * nothing and decides nothing about trust: that is done when the message goes, for its author.
 */
import type { Address } from '../smimp/address.ts';
import { comparePin } from '../smimp/pin.ts';
import type { Histories } from './histories.ts';
import { withinTime } from './within-time.ts';

/** `known`: mail can be taken in. `invalid`: what the server shows does not verify. `queued`: nobody can say now. */
export type Glance = 'known' | 'invalid' | 'queued' | 'unknown-user' | 'no-smimp';

export async function glance(
  histories: Histories,
  ask: { contact: Address; timeoutMs: number; now: Date },
): Promise<Glance> {
  const { contact: address, timeoutMs, now } = ask;
  const look = await withinTime(histories.look({ address, from: 0, fresh: false }), timeoutMs);
  if (look === null || look.kind === 'unavailable') return 'queued';
  if (look.kind === 'invalid') return 'invalid';
  if (look.kind !== 'answer') return look.kind;
  const { history } = comparePin({ address, answer: look.reply, pin: null, now: now.getTime() / 1000 });
  return history === null ? 'invalid' : 'known';
}
