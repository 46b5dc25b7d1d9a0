/**
 * Storage blobs (SMIMP 0.1 §5): b64(nonce24 ‖ secretbox(D(storage, …) ‖ LE64(version) ‖ JSON)). The digest binds a blob
 * to its owner, purpose, object and version, so that a server can neither exchange blobs nor bring back old ones.
 */
import { Buffer } from 'node:buffer';
import type { Address } from './address.ts';
import { equal, HASH_BYTES, MAC_BYTES, NONCE_BYTES, randomBytes, secretboxOpen, secretboxWithNonce } from './crypto.ts';
import { type Base64, type Hex32, parseBase64, toBase64 } from './encoding.ts';
import { ProfileError } from './errors.ts';
import { type JsonValue, parseStrictJson } from './json.ts';
import { writeStrictJson } from './json-value.ts';
import { le64, storageDigest, text } from './transcript.ts';

export type StoragePurpose = 'whitelist' | 'blacklist' | 'extensions';

/** What a blob is about. `objectId`: the hash of the list entry, or the digest in `message_hash`. */
export type StorageObject = { owner: Address; purpose: StoragePurpose; objectId: Hex32 };

const VERSION_BYTES = 8;
const MIN_BLOB_BYTES = NONCE_BYTES + MAC_BYTES + HASH_BYTES + VERSION_BYTES;

/** Seals JSON text under a given nonce. For building test vectors; `sealStorage` draws its own. */
export function sealStorageWithNonce(
  input: { key: Uint8Array; object: StorageObject; version: number; json: string },
  nonce: Uint8Array,
): Base64 {
  parseStrictJson(input.json);
  const digest = storageDigest({ ...input.object, version: input.version });
  const plain = Buffer.concat([digest, le64(input.version), text(input.json)]);
  return toBase64(Buffer.concat([nonce, secretboxWithNonce(input.key, nonce, plain)]));
}

/** The blob for a value. `version` is counted up by the client with every change; `key` has 32 bytes. */
export function sealStorage(input: {
  key: Uint8Array;
  object: StorageObject;
  version: number;
  value: JsonValue;
}): Base64 {
  const { key, object, version } = input;
  return sealStorageWithNonce({ key, object, version, json: writeStrictJson(input.value) }, randomBytes(NONCE_BYTES));
}

/**
 * Opens a blob. `leastVersion` is the greatest version seen so far. Throws `bad-base64`, `storage-form`, `storage-box`,
 * `storage-context`, `storage-rollback`, or a `json-*` code.
 */
export function openStorage(input: { key: Uint8Array; object: StorageObject; blob: string; leastVersion: number }): {
  version: number;
  value: JsonValue;
} {
  const bytes = parseBase64(input.blob);
  if (bytes.byteLength < MIN_BLOB_BYTES) throw new ProfileError('storage-form');
  const opened = secretboxOpen(input.key, bytes.subarray(0, NONCE_BYTES), bytes.subarray(NONCE_BYTES));
  if (!opened) throw new ProfileError('storage-box');
  const plain = Buffer.from(opened);
  const version = plain.readBigUInt64LE(HASH_BYTES);
  const expected = storageDigest({ ...input.object, version });
  if (!equal(plain.subarray(0, HASH_BYTES), expected)) throw new ProfileError('storage-context');
  if (version > BigInt(Number.MAX_SAFE_INTEGER)) throw new ProfileError('storage-form');
  if (Number(version) < input.leastVersion) throw new ProfileError('storage-rollback');
  return { version: Number(version), value: parseStrictJson(plain.subarray(HASH_BYTES + VERSION_BYTES)) };
}
