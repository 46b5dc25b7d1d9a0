/**
 * A keystore in one file, encrypted with a passphrase. The format is described in docs/client.md; fixtures/keystore-backup
 * holds vectors.
 *
 *   0  8  "SMIMPKSB"        10  4  memory in KiB (LE32)      19 16  salt
 *   8  1  version 1         14  4  passes (LE32)             35 32  verifier
 *   9  1  1 = argon2id      18  1  lanes                     67  8  length of the box (LE64)
 *  75 16  checksum of all before it        91  …  nonce24 ‖ XChaCha20-Poly1305, bound to the 91 bytes before it
 *
 * Everything that can be checked for nothing is checked before the passphrase costs anything: form, bounds, length, checksum.
 * Then the verifier tells a wrong passphrase from a damaged box.
 */

import { KeystoreError } from '../keystore/errors.ts';
import { deriveFromPassphrase } from '../keystore/password.ts';
import {
  equal,
  hash,
  keyedHash,
  MAC_BYTES,
  NONCE_BYTES,
  randomBytes,
  secretOpen,
  secretSeal,
  wipe,
} from '../smimp/crypto.ts';
import { view } from '../smimp/encoding.ts';
import { ProfileError } from '../smimp/errors.ts';
import { parseStrictJson } from '../smimp/json.ts';
import { writeStrictJson } from '../smimp/json-value.ts';
import { le64, text } from '../smimp/transcript.ts';
import { type KeystoreData, parseKeystore } from './keystore-data.ts';

export type BackupErrorCode =
  /** No such file: too short, other first bytes, or longer than a backup can be. */
  | 'form'
  /** Made by a later version, or with parameters beyond the bounds. */
  | 'unsupported'
  /** Shorter or longer than it says. */
  | 'truncated'
  /** A bit has changed, in the header or in the box. */
  | 'damaged'
  /** The passphrase, or the salt together with its checksum. */
  | 'wrong-passphrase'
  /** It opened, but what is inside is no keystore. */
  | 'content'
  /** Empty, or longer than 1,024 bytes. */
  | 'passphrase-length'
  /** Too many at once; come again. */
  | 'busy';

export class BackupError extends Error {
  override readonly name = 'BackupError';
  readonly code: BackupErrorCode;

  constructor(code: BackupErrorCode, options: { cause?: unknown } = {}) {
    super(`keystore backup: ${code}`, options);
    this.code = code;
  }
}

/** How much a guess at the passphrase costs. */
export type BackupCost = { readonly memoryKib: number; readonly passes: number; readonly lanes: number };

/** RFC 9106 §4, second recommended option: 64 MiB, three passes, four lanes. */
export const DEFAULT_BACKUP_COST: BackupCost = { memoryKib: 64 * 1024, passes: 3, lanes: 4 };
/** Below this a guess would be cheap (OWASP's least for argon2id); above it a crafted file would stop a machine. */
const MEMORY_KIB = { least: 19 * 1024, most: 1024 * 1024 };
const PASSES = { least: 2, most: 16 };
const LANES = { least: 1, most: 16 };
/** Ten thousand pins with a hundred records each. */
export const MAX_BACKUP_BYTES = 512 * 1024 * 1024;

const MAGIC = text('SMIMPKSB');
const VERSION = 1;
const ARGON2ID = 1;
const SALT_BYTES = 16;
const HASH_BYTES = 32;
const CHECKSUM_BYTES = 16;
const SALT_AT = 19;
const VERIFIER_AT = SALT_AT + SALT_BYTES;
const LENGTH_AT = VERIFIER_AT + HASH_BYTES;
const CHECKSUM_AT = LENGTH_AT + 8;
export const BACKUP_HEADER_BYTES = CHECKSUM_AT + CHECKSUM_BYTES;

/** The file. Throws BackupError `passphrase-length`, `busy`; ProfileError when `data` is no keystore. */
export async function sealBackup(input: {
  data: KeystoreData;
  passphrase: string;
  cost?: BackupCost;
}): Promise<Buffer> {
  const { cost = DEFAULT_BACKUP_COST } = input;
  if (!isWithin(cost)) throw new BackupError('unsupported');
  const plain = text(writeStrictJson(parseKeystore(input.data)));
  const salt = randomBytes(SALT_BYTES);
  const keys = await deriveKeys(input.passphrase, salt, cost);
  try {
    const header = writeHeader({
      cost,
      salt,
      verifier: keys.verifier,
      boxBytes: NONCE_BYTES + plain.length + MAC_BYTES,
    });
    return Buffer.concat([header, secretSeal(keys.key, plain, header)]);
  } finally {
    wipe(plain, keys.key);
  }
}

/** What the file holds. Throws BackupError. */
export async function openBackup(input: { file: Uint8Array; passphrase: string }): Promise<KeystoreData> {
  const file = view(input.file);
  const { cost, salt, verifier } = readHeader(file);
  const keys = await deriveKeys(input.passphrase, salt, cost);
  try {
    if (!equal(keys.verifier, verifier)) throw new BackupError('wrong-passphrase');
    const header = file.subarray(0, BACKUP_HEADER_BYTES);
    const plain = secretOpen(keys.key, file.subarray(BACKUP_HEADER_BYTES), header);
    if (plain === null) throw new BackupError('damaged');
    return readContent(plain);
  } finally {
    wipe(keys.key);
  }
}

function readContent(plain: Buffer): KeystoreData {
  try {
    return parseKeystore(parseStrictJson(plain));
  } catch (cause) {
    if (cause instanceof ProfileError) throw new BackupError('content', { cause });
    throw cause;
  } finally {
    wipe(plain);
  }
}

function isWithin({ memoryKib, passes, lanes }: BackupCost): boolean {
  const within = (value: number, { least, most }: { least: number; most: number }): boolean =>
    Number.isInteger(value) && value >= least && value <= most;
  return within(memoryKib, MEMORY_KIB) && within(passes, PASSES) && within(lanes, LANES);
}

function writeHeader(parts: { cost: BackupCost; salt: Uint8Array; verifier: Uint8Array; boxBytes: number }): Buffer {
  const { cost, salt, verifier, boxBytes } = parts;
  const header = Buffer.alloc(BACKUP_HEADER_BYTES);
  header.set(MAGIC);
  header[8] = VERSION;
  header[9] = ARGON2ID;
  header.writeUInt32LE(cost.memoryKib, 10);
  header.writeUInt32LE(cost.passes, 14);
  header[18] = cost.lanes;
  header.set(salt, SALT_AT);
  header.set(verifier, VERIFIER_AT);
  header.set(le64(boxBytes), LENGTH_AT);
  header.set(checksum(header), CHECKSUM_AT);
  return header;
}

function checksum(header: Buffer): Buffer {
  return hash(header.subarray(0, CHECKSUM_AT)).subarray(0, CHECKSUM_BYTES);
}

function readHeader(file: Buffer): { cost: BackupCost; salt: Buffer; verifier: Buffer } {
  if (!file.subarray(0, MAGIC.length).equals(MAGIC) || file.length > MAX_BACKUP_BYTES) throw new BackupError('form');
  if (file.length < BACKUP_HEADER_BYTES) throw new BackupError('truncated');
  if (file[8] !== VERSION || file[9] !== ARGON2ID) throw new BackupError('unsupported');
  if (!checksum(file).equals(file.subarray(CHECKSUM_AT, BACKUP_HEADER_BYTES))) throw new BackupError('damaged');
  const cost = { memoryKib: file.readUInt32LE(10), passes: file.readUInt32LE(14), lanes: file[18] ?? 0 };
  if (!isWithin(cost)) throw new BackupError('unsupported');
  const boxBytes = file.length - BACKUP_HEADER_BYTES;
  if (file.readBigUInt64LE(LENGTH_AT) !== BigInt(boxBytes)) throw new BackupError('truncated');
  return { cost, salt: file.subarray(SALT_AT, VERIFIER_AT), verifier: file.subarray(VERIFIER_AT, LENGTH_AT) };
}

async function deriveKeys(
  passphrase: string,
  salt: Uint8Array,
  cost: BackupCost,
): Promise<{ key: Buffer; verifier: Buffer }> {
  const root = await deriveFromPassphrase({ passphrase, salt, ...cost }).catch(asBackupError);
  try {
    const verifier = keyedHash(root, text('smimp keystore backup/1/verifier'));
    return { key: keyedHash(root, text('smimp keystore backup/1/key')), verifier };
  } finally {
    wipe(root);
  }
}

function asBackupError(cause: unknown): never {
  if (!(cause instanceof KeystoreError)) throw cause;
  throw new BackupError(cause.code === 'busy' ? 'busy' : 'passphrase-length', { cause });
}
