/**
 * How many people of the old internet one client may make known to a gateway in an hour: each gets an identity that stays for
 * ever, so whoever writes under made-up names fills the database. Counted in the memory of the process that takes mail in.
 */
import { sourceName } from '../keystore/throttle.ts';

const HOUR_MS = 3_600_000;
/** Clients that are remembered at once, about 2 MB. The one whose hour began first is forgotten for another. */
export const MAX_CLIENTS = 10_000;

export interface Newcomers {
  /** Counts a message of an author who is not known yet; false: this client has brought too many of them. */
  admit(client: string, now: Date): boolean;
}

type Hour = { readonly beganMs: number; count: number };

export function createNewcomers({ perHour }: { perHour: number }): Newcomers {
  // In the order in which their hours began.
  const hours = new Map<string, Hour>();
  const begin = (source: string, nowMs: number): Hour => {
    hours.delete(source);
    const [oldest] = hours.keys();
    if (hours.size >= MAX_CLIENTS && oldest !== undefined) hours.delete(oldest);
    const hour = { beganMs: nowMs, count: 0 };
    hours.set(source, hour);
    return hour;
  };
  return {
    admit(client, now) {
      const source = sourceName(client);
      const nowMs = now.getTime();
      const running = hours.get(source);
      const hour = running === undefined || nowMs - running.beganMs >= HOUR_MS ? begin(source, nowMs) : running;
      if (hour.count >= perHour) return false;
      hour.count += 1;
      return true;
    },
  };
}
