/**
 * Which changes of a pin are alarms (SMIMP 0.1 §3), and which end them. Raised and ended in the transaction that keeps the
 * pin; told by mail later (mailbox/alarms.ts). What waited for the contact goes on in that transaction too.
 */
import type { Events } from '../events.ts';
import type { AlarmKind } from '../mime/bridge-mail.ts';
import type { Address } from '../smimp/address.ts';
import { type Pin, type PinState, pinCurrentKey, pinHead } from '../smimp/pin.ts';
import { endAlarms, raiseAlarm } from '../store/alarms.ts';
import type { Tx } from '../store/database.ts';
import { releaseHeld } from '../store/held.ts';
import { continuesPin, type KeptPin, type PinChange } from './pins.ts';

/** Something about a contact that its owner is told. `cause` tells one case from another. */
export interface Alarm {
  kind: AlarmKind;
  cause: string;
  evidence?: object | null;
}

/** Kinds that last until they end; the others only happen. */
export const LASTING = [
  'pin-truncated',
  'pin-forked',
  'pin-replaced',
  'identity-invalid',
  'own-history',
  'unavailable',
] as const;
/** Kinds that need not be told any more when they end by themselves before they were told. */
const FORGIVEN: readonly AlarmKind[] = ['pin-truncated', 'identity-invalid', 'unavailable'];
/** Kinds that happen anew each time. */
const REPEATED: ReadonlySet<AlarmKind> = new Set(['head-mismatch', 'message-invalid']);
/** A case that ended and comes back, or happens anew, is told again, but not more often than this. */
export const TOLD_AGAIN_AFTER_MS = 86_400_000;
/**
 * Whoever was about to send is told by the notice about the held message, which says the same. When no message came of it, or
 * the notice was not made, the alarm is told by itself after this.
 */
export const SENDING_TELLS_MS = 600_000;
/** A server may be away for a night; mail that waits for longer is told of (SMIMP 0.1 §3: "when it lasts"). */
export const UNAVAILABLE_LASTS_MS = 86_400_000;

/** Codes of deliveries that are held for the identity of their recipient. */
const HELD_FOR_IDENTITY = ['pin-replaced', 'pin-forked', 'pin-truncated', 'identity-invalid', 'head-mismatch'] as const;

const GOOD: ReadonlySet<PinState> = new Set(['NEW', 'OK', 'EXTENDED']);
/** The alarm of each state that blocks. */
export const BAD_STATES: Partial<Record<PinState, AlarmKind>> = {
  TRUNCATED: 'pin-truncated',
  FORKED: 'pin-forked',
  REPLACED: 'pin-replaced',
  INVALID: 'identity-invalid',
};

/** What a change of a pin means to its owner; null: nothing. */
export function alarmOfChange(before: KeptPin | null, { keep, reason }: PinChange<unknown>): Alarm | null {
  if (keep === undefined) return null;
  const kind = BAD_STATES[keep.state];
  if (kind !== undefined) {
    return before?.state === keep.state
      ? null
      : { kind, cause: causeOf(keep, reason ?? null), evidence: keep.evidence };
  }
  return before !== null && keyChanged(before.pin, keep.pin) ? { kind: 'key-changed', cause: pinHead(keep.pin) } : null;
}

/** What is served can be made up at will, so a case is named by what was pinned, or by the check that failed. */
function causeOf({ state, pin }: KeptPin, reason: string | null): string {
  return state === 'INVALID' ? (reason ?? '') : pinHead(pin);
}

/** In good order: the new pin continues the old one. */
function keyChanged(before: Pin, after: Pin): boolean {
  return continuesPin(before, after) && pinCurrentKey(before) !== pinCurrentKey(after);
}

/** Whether what waited for the contact can go on. */
export function isReleased(before: KeptPin | null, { keep }: PinChange<unknown>): boolean {
  return keep !== undefined && GOOD.has(keep.state) && (before === null || !GOOD.has(before.state));
}

export interface About {
  accountId: number;
  contact: Address;
  now: Date;
}

/** `toSend`: whoever looks is about to send. True when its owner will be told. */
export function raise(tx: Tx, about: About, alarm: Alarm, toSend = false): Promise<boolean> {
  const { now } = about;
  const lasts = (LASTING as readonly AlarmKind[]).includes(alarm.kind);
  const waits = toSend && (lasts || alarm.kind === 'head-mismatch');
  const delayMs = alarm.kind === 'unavailable' ? UNAVAILABLE_LASTS_MS : waits ? SENDING_TELLS_MS : 0;
  const tellAt = new Date(now.getTime() + delayMs);
  const repeats = lasts || REPEATED.has(alarm.kind);
  const toldAgainBefore = repeats ? new Date(now.getTime() - TOLD_AGAIN_AFTER_MS) : null;
  return raiseAlarm(tx, { ...about, ...alarm, tellAt, lasts, toldAgainBefore });
}

/** Ends what lasted and lets what waited go on. Returns the kinds that ended. */
export async function release(tx: Tx, about: About): Promise<AlarmKind[]> {
  await releaseHeld(tx, { ...about, reasons: HELD_FOR_IDENTITY });
  return endAlarms(tx, { ...about, kinds: LASTING, untell: FORGIVEN });
}

/** Says in the log what a transaction raised and ended, once it is committed. */
export function reportAlarms(
  events: Events,
  accountId: number,
  done: { raised: readonly AlarmKind[]; ended: readonly AlarmKind[] },
): void {
  for (const kind of done.raised) events.alarmRaised({ accountId, kind });
  for (const kind of done.ended) events.alarmEnded({ accountId, kind });
}
