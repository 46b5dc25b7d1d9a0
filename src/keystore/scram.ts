/** SCRAM-SHA-256 as the server computes it (RFC 5802 §3, RFC 7677), and its messages (RFC 5802 §7). */
import { createHash, createHmac, pbkdf2 } from 'node:crypto';
import { promisify } from 'node:util';
import { equal } from '../smimp/crypto.ts';
import { saslPrep } from './saslprep.ts';

const derive = promisify(pbkdf2);

/**
 * Sixteen times what is asked at least (RFC 7677 §4), and the most that Cyrus SASL accepts. It guards against nobody who
 * has the database alone: what is kept is sealed with the server key.
 */
export const SCRAM_ITERATIONS = 65_536;
export const SCRAM_SALT_BYTES = 16;
const KEY_BYTES = 32;

export interface ScramKeys {
  salt: Buffer;
  iterations: number;
  storedKey: Buffer;
  serverKey: Buffer;
}

/** Null for a password that SASLprep forbids. */
export async function scramKeys(password: string, salt: Buffer, iterations: number): Promise<ScramKeys | null> {
  const prepared = saslPrep(password);
  if (prepared === null) return null;
  const salted = await derive(prepared, salt, iterations, KEY_BYTES, 'sha256');
  const storedKey = createHash('sha256').update(hmac(salted, 'Client Key')).digest();
  return { salt, iterations, storedKey, serverKey: hmac(salted, 'Server Key') };
}

function hmac(key: Uint8Array, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest();
}

/** The server's signature when the proof is right, else null. */
export function checkProof(keys: ScramKeys, authMessage: string, proof: Buffer): Buffer | null {
  if (proof.length !== KEY_BYTES) return null;
  const signature = hmac(keys.storedKey, authMessage);
  const clientKey = Buffer.from(proof.map((byte, n) => byte ^ (signature[n] ?? 0)));
  const isRight = equal(createHash('sha256').update(clientKey).digest(), keys.storedKey);
  return isRight ? hmac(keys.serverKey, authMessage) : null;
}

/** The client binds the channel it sees, could have done so, or cannot. */
export type Binding = { kind: 'bound'; name: string } | { kind: 'unoffered' } | { kind: 'none' };

export interface ClientFirst {
  binding: Binding;
  /** Empty for the user herself. */
  authorize: string;
  user: string;
  nonce: string;
  /** As sent: both sides compute with these. */
  gs2Header: string;
  bare: string;
}

const FIRST = /^((?:p=([A-Za-z0-9.-]+)|([yn])),(?:a=([^,]+))?,)(n=([^,\0]+),r=([\x21-\x2b\x2d-\x7e]+)(?:,.*)?)$/su;
const FINAL = /^(c=([A-Za-z0-9+/=]+),r=([\x21-\x2b\x2d-\x7e]+)(?:,(?!p=)[^,]*)*),p=([A-Za-z0-9+/]+={0,2})$/su;
/** A nonce of a program is about 30 characters. */
const MAX_FIRST_CHARS = 2_048;

/** `n,,n=user,r=nonce`; null for anything else, also with extensions that must be understood (`m=`). */
export function parseClientFirst(message: string): ClientFirst | null {
  const [, gs2Header, name, flag, authorize = '', bare, user, nonce] =
    message.length > MAX_FIRST_CHARS ? [] : (FIRST.exec(message) ?? []);
  if (gs2Header === undefined || bare === undefined || user === undefined || nonce === undefined) return null;
  const names = [unescaped(authorize), unescaped(user)];
  const [authorizeName, userName] = names;
  if (authorizeName == null || userName == null) return null;
  const binding: Binding = name === undefined ? { kind: flag === 'y' ? 'unoffered' : 'none' } : { kind: 'bound', name };
  return { binding, authorize: authorizeName, user: userName, nonce, gs2Header, bare };
}

/** `=2C` is a comma and `=3D` an equals sign; nothing else may stand behind one (RFC 5802 §5.1). */
function unescaped(name: string): string | null {
  if (/=(?!2C|3D)/.test(name)) return null;
  return name.replaceAll('=2C', ',').replaceAll('=3D', '=');
}

export interface ClientFinal {
  /** The GS2 header and what binds the channel, as the client has them. */
  channel: Buffer;
  nonce: string;
  proof: Buffer;
  /** All but the proof. */
  withoutProof: string;
}

export function parseClientFinal(message: string): ClientFinal | null {
  const [, withoutProof, channel, nonce, proof] = message.length > MAX_FIRST_CHARS ? [] : (FINAL.exec(message) ?? []);
  if (withoutProof === undefined || channel === undefined || nonce === undefined || proof === undefined) return null;
  return { channel: Buffer.from(channel, 'base64'), nonce, proof: Buffer.from(proof, 'base64'), withoutProof };
}

export function serverFirst(nonce: string, { salt, iterations }: Pick<ScramKeys, 'salt' | 'iterations'>): string {
  return `r=${nonce},s=${salt.toString('base64')},i=${iterations}`;
}
