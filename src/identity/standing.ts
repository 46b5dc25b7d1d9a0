/** What a contact's pin says of the messages that it signed, for people who read them. */
import { parseTimestamp } from '../smimp/encoding.ts';
import type { Standing } from '../store/trust.ts';
import type { KeptPin } from './pins.ts';

/** States in which nothing is wrong with what was pinned; being unreachable says nothing. */
const GOOD: ReadonlySet<string> = new Set(['NEW', 'OK', 'EXTENDED', 'UNAVAILABLE']);

/** Without a pin nobody is known. */
export function standingOf(kept: KeptPin | null): Standing {
  if (kept === null) return { verified: false, changedKeys: [] };
  const { state, pin, verifiedAt } = kept;
  const seen = pin.first_seen.map((time) => parseTimestamp(time) * 1000);
  const checkedMs = Math.max(seen[0] ?? 0, verifiedAt?.getTime() ?? 0);
  const changed = pin.master_keys.filter(
    ({ seq }) => Math.floor((seen[seq] ?? 0) / 1000) > Math.floor(checkedMs / 1000),
  );
  return {
    verified: verifiedAt !== null && GOOD.has(state),
    changedKeys: changed.map(({ public_key }) => Buffer.from(public_key, 'hex')),
  };
}

export function sameStanding(a: Standing, b: Standing): boolean {
  const keys = ({ changedKeys }: Standing): string => changedKeys.map((key) => key.toString('hex')).join();
  return a.verified === b.verified && keys(a) === keys(b);
}
