/**
 * Slows guessing of passwords, in all processes together. A try is counted before it is checked, so that many at once
 * gain nothing; one that turns out right is taken off again. Whether the account exists plays no part.
 */
import { keyedHash } from '../smimp/crypto.ts';
import { pae, text } from '../smimp/transcript.ts';
import type { Db, Tx } from '../store/database.ts';
import { forgetFailures, forgiveFailure, lockFailures, setFailures } from '../store/login-failures.ts';

/** How many tries are free, and how the wait grows after them: first, doubled each time, up to the longest. */
export type Slowing = { readonly freeTries: number; readonly firstDelayMs: number; readonly longestDelayMs: number };

/** One person mistypes a few times, and several programs of hers may try a changed password at once. */
export const ACCOUNT_SLOWING: Slowing = { freeTries: 5, firstDelayMs: 1_000, longestDelayMs: 300_000 };
/** Many people may stand behind one network address. */
export const SOURCE_SLOWING: Slowing = { freeTries: 30, firstDelayMs: 1_000, longestDelayMs: 60_000 };
/** Tries that are free, for an account from one address and for an address. */
export type FreeTries = { readonly account: number; readonly source: number };

/** After a day without a try all is forgotten. */
export const FORGET_AFTER_MS = 86_400_000;

/** The wait between try number `failures` (1 is the first) and the next one. */
export function delayAfter(failures: number, slowing: Slowing): number {
  const beyond = failures - slowing.freeTries;
  if (beyond < 0) return 0;
  return Math.min(slowing.longestDelayMs, slowing.firstDelayMs * 2 ** Math.min(beyond, 30));
}

export type Try = {
  /** False: too early, do not check the password. */
  readonly admitted: boolean;
  /** How long from now until the next try is looked at. */
  readonly delayMs: number;
  /** Tries on this account from this source, this one included if it was admitted. */
  readonly failures: number;
};

export interface Throttle {
  begin(who: { address: string; source: string }, now: Date): Promise<Try>;
  succeeded(who: { address: string; source: string }): Promise<void>;
}

/** IPv6 users own a /64, so its addresses count as one. */
export function sourceName(source: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(source)?.[1];
  if (mapped !== undefined) return mapped;
  if (!source.includes(':')) return source;
  const [head = '', tail] = source.toLowerCase().split('::');
  const before = head === '' ? [] : head.split(':');
  const after = tail === undefined || tail === '' ? [] : tail.split(':');
  const zeros = tail === undefined ? 0 : 8 - before.length - after.length;
  const groups = [...before, ...Array<string>(Math.max(zeros, 0)).fill('0'), ...after];
  return groups
    .slice(0, 4)
    .map((group) => group.replace(/^0+(?=.)/, ''))
    .join(':');
}

export function createThrottle(options: { db: Db; serverKey: Uint8Array; freeTries?: FreeTries }): Throttle {
  const { account = ACCOUNT_SLOWING.freeTries, source = SOURCE_SLOWING.freeTries } = options.freeTries ?? {};
  const slowings = {
    account: { ...ACCOUNT_SLOWING, freeTries: account },
    source: { ...SOURCE_SLOWING, freeTries: source },
  };
  const key = keyedHash(options.serverKey, text('smimp-bridge/login-tries/1'));
  const subjectOf = (...parts: string[]): Buffer => keyedHash(key, pae(parts.map(text)));
  const subjects = (who: { address: string; source: string }) => ({
    account: subjectOf('account', who.address, sourceName(who.source)),
    source: subjectOf('source', sourceName(who.source)),
  });
  return {
    begin: (who, now) =>
      options.db.transaction().execute((tx) => begin(tx, { subjects: subjects(who), slowings }, now)),
    async succeeded(who) {
      const { account, source } = subjects(who);
      await forgetFailures(options.db, account);
      await forgiveFailure(options.db, source);
    },
  };
}

async function begin(
  tx: Tx,
  {
    subjects,
    slowings,
  }: { subjects: { account: Buffer; source: Buffer }; slowings: { account: Slowing; source: Slowing } },
  now: Date,
): Promise<Try> {
  const rows = await lockFailures(tx, [subjects.account, subjects.source], now);
  const counted = rows.map((row) => {
    const slowing = row.subject.equals(subjects.account) ? slowings.account : slowings.source;
    const sinceMs = now.getTime() - row.last_at.getTime();
    const failures = sinceMs >= FORGET_AFTER_MS ? 0 : row.failures;
    return { row, slowing, failures, waitMs: delayAfter(failures, slowing) - Math.max(sinceMs, 0) };
  });
  const before = counted.find(({ slowing }) => slowing === slowings.account)?.failures ?? 0;
  const waitMs = Math.max(...counted.map((entry) => entry.waitMs));
  if (waitMs > 0) return { admitted: false, delayMs: waitMs, failures: before };
  for (const { row, failures } of counted) await setFailures(tx, row.subject, failures + 1, now);
  const delayMs = Math.max(...counted.map(({ failures, slowing }) => delayAfter(failures + 1, slowing)));
  return { admitted: true, delayMs, failures: before + 1 };
}
