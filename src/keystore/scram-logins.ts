/**
 * Logins by SCRAM-SHA-256: what is kept of a password for them, and how one is checked. It is sealed with the server key, so
 * that a stolen database alone gives nothing to guess passwords with, and bound to the password's argon2 hash: with another
 * password it is nothing. Whether a user exists, or has logged in since SCRAM came, cannot be told from any answer: the salt is
 * made from the name.
 */
import type { Address } from '../smimp/address.ts';
import { keyedHash, randomBytes, secretOpen, secretSeal } from '../smimp/crypto.ts';
import { pae, text } from '../smimp/transcript.ts';
import type { Db } from '../store/database.ts';
import { findUserByAddress, type MailUser, setScram } from '../store/users.ts';
import { answerDelay, type LoginResult } from './login-result.ts';
import { checkProof, SCRAM_ITERATIONS, SCRAM_SALT_BYTES, type ScramKeys, scramKeys } from './scram.ts';
import { createThrottle, type FreeTries } from './throttle.ts';
import { userName } from './user-name.ts';

/** A try that was begun. */
export interface ScramTry {
  readonly salt: Buffer;
  readonly iterations: number;
  /** With the server's signature when the proof is right. */
  finish(authMessage: string, proof: Buffer): Promise<LoginResult & { signature?: Buffer }>;
}

export interface ScramLogins {
  /** `address`: as typed, in SMIMP spelling. Counts as a try until it turns out right. */
  beginScram(who: { address: string; source: string; now: Date }): Promise<ScramTry>;
  /** Keeps what SCRAM needs of a password that was just set or checked. Nothing of one that SASLprep forbids. */
  rememberScram(
    user: Pick<MailUser, 'account_id' | 'address' | 'custody' | 'password_hash'>,
    password: string,
  ): Promise<void>;
}

const KEY_BYTES = 32;

export function createScramLogins(options: { db: Db; serverKey: Uint8Array; freeTries?: FreeTries }): ScramLogins {
  const { db, serverKey } = options;
  const throttle = createThrottle(options);
  const saltKey = keyedHash(serverKey, text('smimp-bridge/scram-salt/1'));
  const saltOf = (address: string): Buffer => keyedHash(saltKey, text(address)).subarray(0, SCRAM_SALT_BYTES);

  return {
    async beginScram({ address: typed, source, now }) {
      const address = userName(typed);
      const who = { address: address ?? typed, source };
      const tried = await throttle.begin(who, now);
      const user = address === null ? undefined : await findUserByAddress(db, address);
      const known = user === undefined ? null : openKeys(serverKey, user);
      const keys = known ?? nobody(saltOf(who.address));
      return {
        salt: keys.salt,
        iterations: keys.iterations,
        async finish(authMessage, proof) {
          const signature = checkProof(keys, authMessage, proof);
          const refusal = { ok: false as const, failures: tried.failures, delayMs: answerDelay(tried.delayMs) };
          if (!tried.admitted || signature === null || known === null || user === undefined) return refusal;
          await throttle.succeeded(who);
          return { ok: true, accountId: user.account_id, address: user.address as Address, signature };
        },
      };
    },
    async rememberScram(user, password) {
      // What is wrapped by the password itself is opened by nothing else.
      if (user.custody !== 'server') return;
      const keys = await scramKeys(password, saltOf(user.address), SCRAM_ITERATIONS);
      if (keys !== null) await setScram(db, user.account_id, user.password_hash, sealKeys(serverKey, user, keys));
    },
  };
}

type Owner = Pick<MailUser, 'address' | 'password_hash'>;

const contextOf = ({ address, password_hash }: Owner): Buffer =>
  pae([text('smimp-bridge/scram/1'), text(address), text(password_hash)]);

function sealKeys(serverKey: Uint8Array, owner: Owner, { salt, iterations, ...keys }: ScramKeys): Buffer {
  const count = Buffer.alloc(4);
  count.writeUInt32BE(iterations);
  return secretSeal(serverKey, Buffer.concat([count, salt, keys.storedKey, keys.serverKey]), contextOf(owner));
}

/** Null for who has none, or none of the present password. */
function openKeys(serverKey: Uint8Array, user: MailUser): ScramKeys | null {
  const opened = user.scram === null ? null : secretOpen(serverKey, user.scram, contextOf(user));
  if (opened === null) return null;
  const salt = opened.subarray(4, 4 + SCRAM_SALT_BYTES);
  const [storedKey, own] = [4 + SCRAM_SALT_BYTES, 4 + SCRAM_SALT_BYTES + KEY_BYTES].map((at) =>
    opened.subarray(at, at + KEY_BYTES),
  ) as [Buffer, Buffer];
  return { salt, iterations: opened.readUInt32BE(0), storedKey, serverKey: own };
}

/** No password has these keys. */
function nobody(salt: Buffer): ScramKeys {
  const [storedKey, serverKey] = [randomBytes(KEY_BYTES), randomBytes(KEY_BYTES)];
  return { salt, iterations: SCRAM_ITERATIONS, storedKey, serverKey };
}
