/**
 * Checking passwords of mail programs. The answer and its cost are the same whether the account exists or not; failures
 * are slowed; the same right password again is recognised without argon2 for a while, because mail programs log in often.
 * Recognising comes after the slowing, else it would tell a guesser what the slowing hides.
 */
import type { Address } from '../smimp/address.ts';
import { keyedHash, randomBytes } from '../smimp/crypto.ts';
import { toHex } from '../smimp/encoding.ts';
import { pae, text } from '../smimp/transcript.ts';
import type { Db } from '../store/database.ts';
import { findUserByAddress } from '../store/users.ts';
import { answerDelay, type LoginResult } from './login-result.ts';
import { matchesPassword } from './password.ts';
import { createScramLogins, type ScramLogins } from './scram-logins.ts';
import { createThrottle, type FreeTries } from './throttle.ts';
import { userName } from './user-name.ts';

export type LoginAttempt = {
  /** As typed, in SMIMP spelling `local#domain`. */
  address: string;
  password: string;
  /** The network address it comes from. */
  source: string;
  now: Date;
};
/** How long a right password is recognised without argon2. A changed one is noticed at once all the same. */
export const REMEMBER_MS = 600_000;
const MAX_REMEMBERED = 10_000;

type Remembered = { passwordHash: string; untilMs: number };

export interface Logins extends ScramLogins {
  verifyPassword(attempt: LoginAttempt): Promise<LoginResult>;
}

/** `matches` checks a password against its stored form. */
export function createLogins(options: {
  db: Db;
  serverKey: Uint8Array;
  freeTries?: FreeTries;
  matches?: typeof matchesPassword;
}): Logins {
  const { db, matches = matchesPassword } = options;
  const throttle = createThrottle(options);
  const scram = createScramLogins(options);
  const processKey = randomBytes(32);
  const remembered = new Map<string, Remembered>();
  const underWay = new Map<string, Promise<LoginResult>>();

  const recall = (name: string, passwordHash: string, now: Date): boolean => {
    const found = remembered.get(name);
    return found !== undefined && found.passwordHash === passwordHash && found.untilMs > now.getTime();
  };
  const remember = (name: string, passwordHash: string, now: Date): void => {
    if (remembered.size >= MAX_REMEMBERED) remembered.clear();
    remembered.set(name, { passwordHash, untilMs: now.getTime() + REMEMBER_MS });
  };

  const check = async (attempt: LoginAttempt, name: string): Promise<LoginResult> => {
    const { now, password, source } = attempt;
    const address = userName(attempt.address);
    const who = { address: address ?? attempt.address, source };
    const tried = await throttle.begin(who, now);
    const refusal = { ok: false as const, failures: tried.failures, delayMs: answerDelay(tried.delayMs) };
    if (!tried.admitted) return refusal;
    const user = address === null ? undefined : await findUserByAddress(db, address);
    const passwordHash = user?.password_hash ?? null;
    const recalled = passwordHash !== null && recall(name, passwordHash, now);
    const right = recalled || (await matches(password, passwordHash));
    if (!right || user === undefined) return refusal;
    await throttle.succeeded(who);
    if (user.scram === null) await scram.rememberScram(user, password);
    if (!recalled) remember(name, user.password_hash, now);
    return { ok: true, accountId: user.account_id, address: user.address as Address };
  };

  return {
    ...scram,
    verifyPassword(attempt) {
      const parts = [attempt.address, attempt.password, attempt.source].map(text);
      const whole = toHex(keyedHash(processKey, pae(parts)));
      const name = toHex(keyedHash(processKey, pae(parts.slice(0, 2))));
      const same = underWay.get(whole);
      if (same !== undefined) return same;
      const started = check(attempt, name).finally(() => underWay.delete(whole));
      underWay.set(whole, started);
      return started;
    },
  };
}
