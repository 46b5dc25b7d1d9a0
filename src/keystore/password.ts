/**
 * Passwords: argon2id, in the thread pool, a bounded number at once. The stored form names its own parameters, so that
 * these can be raised without locking anybody out.
 */
import { type Argon2Parameters, argon2 } from 'node:crypto';
import { promisify } from 'node:util';
import { equal, randomBytes } from '../smimp/crypto.ts';
import { KeystoreError } from './errors.ts';

const derive = promisify(argon2);

/** OWASP's password storage recommendation for argon2id: 19 MiB, two passes, one lane. */
export const ARGON2_MEMORY_KIB = 19 * 1024;
export const ARGON2_PASSES = 2;
export const ARGON2_LANES = 1;
const SALT_BYTES = 16;
const TAG_BYTES = 32;
/** Stored parameters beyond these are damage, not a choice. */
const MAX_MEMORY_KIB = 1024 * 1024;
const MAX_PASSES = 64;
/** Half of the thread pool of libuv, so that logins cannot stop file and DNS work. Each takes ARGON2_MEMORY_KIB. */
export const MAX_AT_ONCE = 2;
/** Waiting ones beyond this are told to come again: 128 × 50 ms is as long as a login may take. */
export const MAX_WAITING = 256;
export const MAX_PASSWORD_BYTES = 1024;

type Stored = { memory: number; passes: number; parallelism: number; salt: Buffer; tag: Buffer };

let running = 0;
const waiting: (() => void)[] = [];

async function acquire(): Promise<void> {
  if (running < MAX_AT_ONCE) {
    running += 1;
    return;
  }
  if (waiting.length >= MAX_WAITING) throw new KeystoreError('busy');
  await new Promise<void>((resolve) => waiting.push(resolve));
}

/** A slot that another one waits for is handed on, not freed. */
function release(): void {
  const next = waiting.shift();
  if (next === undefined) running -= 1;
  else next();
}

async function deriveBounded(parameters: Argon2Parameters): Promise<Buffer> {
  await acquire();
  try {
    return await derive('argon2id', parameters);
  } finally {
    release();
  }
}

/** One spelling for what different keyboards send as the same characters (RFC 8265 §4.2.2: NFC, spaces are one space). */
function prepare(password: string): Buffer {
  const bytes = Buffer.from(password.replace(/\p{Zs}/gu, ' ').normalize('NFC'), 'utf8');
  if (bytes.length === 0 || bytes.length > MAX_PASSWORD_BYTES) throw new KeystoreError('password-length');
  return bytes;
}

/** A key of 32 bytes from a passphrase, by argon2id. The caller has bounded the cost. Throws `password-length`, `busy`. */
export async function deriveFromPassphrase(from: {
  passphrase: string;
  salt: Uint8Array;
  memoryKib: number;
  passes: number;
  lanes: number;
}): Promise<Buffer> {
  const { salt: nonce, memoryKib: memory, passes, lanes: parallelism } = from;
  return deriveBounded({ message: prepare(from.passphrase), nonce, parallelism, tagLength: TAG_BYTES, memory, passes });
}

function unpadded(bytes: Buffer): string {
  return bytes.toString('base64').replace(/=+$/, '');
}

/** The PHC string of a new password. Throws KeystoreError `password-length`, `busy`. */
export async function hashPassword(password: string): Promise<string> {
  const message = prepare(password);
  const nonce = randomBytes(SALT_BYTES);
  const tag = await deriveBounded({
    message,
    nonce,
    parallelism: ARGON2_LANES,
    tagLength: TAG_BYTES,
    memory: ARGON2_MEMORY_KIB,
    passes: ARGON2_PASSES,
  });
  return phcOf(nonce, tag);
}

function phcOf(nonce: Buffer, tag: Buffer): string {
  const parameters = `m=${ARGON2_MEMORY_KIB},t=${ARGON2_PASSES},p=${ARGON2_LANES}`;
  return `$argon2id$v=19$${parameters}$${unpadded(nonce)}$${unpadded(tag)}`;
}

const PHC = /^\$argon2id\$v=19\$m=(\d{1,7}),t=(\d{1,2}),p=([1-4])\$([A-Za-z0-9+/]{22})\$([A-Za-z0-9+/]{43})$/;

function parseStored(phc: string): Stored {
  const [, memory, passes, parallelism, salt, tag] = PHC.exec(phc) ?? [];
  if (salt === undefined || tag === undefined) throw new KeystoreError('damaged');
  if (Number(memory) > MAX_MEMORY_KIB || Number(passes) > MAX_PASSES) throw new KeystoreError('damaged');
  return {
    memory: Number(memory),
    passes: Number(passes),
    parallelism: Number(parallelism),
    salt: Buffer.from(salt, 'base64'),
    tag: Buffer.from(tag, 'base64'),
  };
}

/** Stands in for users that do not exist, at the same cost: no password has this tag. */
const NOBODY: Stored = {
  memory: ARGON2_MEMORY_KIB,
  passes: ARGON2_PASSES,
  parallelism: ARGON2_LANES,
  salt: randomBytes(SALT_BYTES),
  tag: randomBytes(TAG_BYTES),
};

/** The PHC string that no password has: of an account that nobody logs in to. */
export function noPassword(): string {
  return phcOf(randomBytes(SALT_BYTES), randomBytes(TAG_BYTES));
}

/** Whether the password is the one of the PHC string; with `null`, never, after the same work. Throws `busy`, `damaged`. */
export async function matchesPassword(password: string, phc: string | null): Promise<boolean> {
  const stored = phc === null ? NOBODY : parseStored(phc);
  const message = prepareAttempt(password);
  const tag = await deriveBounded({
    message: message ?? Buffer.alloc(1),
    nonce: stored.salt,
    parallelism: stored.parallelism,
    tagLength: TAG_BYTES,
    memory: stored.memory,
    passes: stored.passes,
  });
  return equal(tag, stored.tag) && message !== null && phc !== null;
}

/** What nobody can have as password costs the same as a wrong one. */
function prepareAttempt(password: string): Buffer | null {
  try {
    return prepare(password);
  } catch (error) {
    if (error instanceof KeystoreError) return null;
    throw error;
  }
}
