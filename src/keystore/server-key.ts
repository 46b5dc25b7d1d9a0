/**
 * The server key: 32 random bytes that wrap the keys of all accounts, from a file of mode 0600 or from the environment.
 *
 * A wrong or lost key is told at the start, by a sealed value in the database, and never papered over by making a new one.
 */
import { open } from 'node:fs/promises';
import { equal, KEY_BYTES, keyedHash, randomBytes } from '../smimp/crypto.ts';
import { isHex, parseHex, toHex } from '../smimp/encoding.ts';
import { text } from '../smimp/transcript.ts';
import type { Db } from '../store/database.ts';
import { findSetting, settle } from '../store/settings.ts';
import { anyUser } from '../store/users.ts';
import { unwrapAccountKey } from './custody.ts';
import { KeystoreError } from './errors.ts';

const CHECK_SETTING = 'server_key_check';
/** Permission bits of group and others. */
const OTHERS_MODE = 0o077;
const OWNER_ONLY_MODE = 0o600;
/** 64 hex digits and a line end; anything longer is not a key. */
const MAX_FILE_BYTES = 128;

/**
 * The server key of this database. `value` (64 hex digits, from the environment) wins over `file`. Where neither exists
 * and the database is new, the file is made. Throws KeystoreError `server-key-*`, `wrong-server-key`.
 */
export async function openServerKey(options: { db: Db; value: string | null; file: string }): Promise<Uint8Array> {
  const key = await readOrMakeKey(options);
  await checkServerKey(options.db, key);
  return key;
}

async function readOrMakeKey({ db, value, file }: { db: Db; value: string | null; file: string }): Promise<Uint8Array> {
  if (value !== null) return parseServerKey(value);
  try {
    return await readServerKey(file);
  } catch (error) {
    const missing = error instanceof KeystoreError && error.code === 'server-key-missing';
    if (!missing || (await isInUse(db))) throw error;
    return createServerKey(file);
  }
}

async function isInUse(db: Db): Promise<boolean> {
  return (await findSetting(db, CHECK_SETTING)) !== null || (await anyUser(db)) !== undefined;
}

function parseServerKey(hex: string): Uint8Array {
  if (!isHex(hex, KEY_BYTES)) throw new KeystoreError('server-key-form');
  return parseHex(hex, KEY_BYTES);
}

/** The key in `file`: 64 lower-case hex digits, with or without a line end. Others than the owner may have no access. */
export async function readServerKey(file: string): Promise<Uint8Array> {
  const handle = await open(file, 'r').catch((cause: unknown) => {
    throw new KeystoreError('server-key-missing', { cause });
  });
  try {
    const { mode, size } = await handle.stat();
    if ((mode & OTHERS_MODE) !== 0) throw new KeystoreError('server-key-mode');
    if (size > MAX_FILE_BYTES) throw new KeystoreError('server-key-form');
    return parseServerKey((await handle.readFile('latin1')).trimEnd());
  } finally {
    await handle.close();
  }
}

/** Writes a new key to `file`, which must not exist, and to the disk before returning. */
export async function createServerKey(file: string): Promise<Uint8Array> {
  const key = randomBytes(KEY_BYTES);
  const handle = await open(file, 'wx', OWNER_ONLY_MODE);
  try {
    await handle.writeFile(`${toHex(key)}\n`);
    await handle.sync();
  } finally {
    await handle.close();
  }
  return key;
}

/** Makes sure that this database belongs to `serverKey`; the first key it sees is its own. Throws `wrong-server-key`. */
export async function checkServerKey(db: Db, serverKey: Uint8Array): Promise<void> {
  const user = await anyUser(db);
  if (user?.custody === 'server') unwrapAccountKey({ serverKey, user });
  const expected = keyedHash(serverKey, text('smimp-bridge server key check'));
  const stands = await settle(db, CHECK_SETTING, toHex(expected));
  if (!equal(Buffer.from(stands, 'hex'), expected)) throw new KeystoreError('wrong-server-key');
}
