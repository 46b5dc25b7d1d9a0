/**
 * Every use of libsodium, and the only source of randomness (SMIMP 0.1 §1.3, §1.4, §4.1). sodium-native does
 * what is hot (hashing, keys, boxes, signatures) and what the WebAssembly build lacks; libsodium-wrappers does the rest.
 * Nonces for sealing are drawn here. Functions that take one are named `…WithNonce` and are for formats that store it apart.
 */
import { Buffer } from 'node:buffer';
import wrappers from 'libsodium-wrappers';
import native from 'sodium-native';
import { view } from './encoding.ts';

await wrappers.ready;

export const HASH_BYTES = 32;
export const KEY_BYTES = 32;
export const NONCE_BYTES = 24;
export const MAC_BYTES = 16;
export const SIGNATURE_BYTES = 64;
export const MASTER_SECRET_BYTES = 64;

/** Fresh random bytes. */
export function randomBytes(sizeBytes: number): Buffer {
  const bytes = Buffer.alloc(sizeBytes);
  native.randombytes_buf(bytes);
  return bytes;
}

/** H of the concatenation of `parts`: BLAKE2b, 32 bytes, no key (SMIMP 0.1 §1.3). The parts are not copied. */
export function hash(...parts: Uint8Array[]): Buffer {
  const out = Buffer.allocUnsafe(HASH_BYTES);
  native.crypto_generichash_batch(out, parts);
  return out;
}

/** Letters hashed together by `hashLatin1`. */
const HASH_PIECE = 64 * 1024;

/** H of a text of one byte per letter, such as base64, however long: only a piece of it is ever bytes. */
export function hashLatin1(text: string): Buffer {
  return hashPieces(latin1Pieces(text));
}

function* latin1Pieces(text: string): Generator<Buffer> {
  for (let at = 0; at < text.length; at += HASH_PIECE) yield Buffer.from(text.slice(at, at + HASH_PIECE), 'latin1');
}

/** H of the concatenation of pieces as they come; each may be overwritten by the next. */
export function hashPieces(pieces: Iterable<Uint8Array>): Buffer {
  const state = Buffer.alloc(native.crypto_generichash_STATEBYTES);
  native.crypto_generichash_init(state, null, HASH_BYTES);
  for (const piece of pieces) native.crypto_generichash_update(state, view(piece));
  const out = Buffer.allocUnsafe(HASH_BYTES);
  native.crypto_generichash_final(state, out);
  return out;
}

/** Keyed BLAKE2b, 32 bytes, of the concatenation of `parts`. */
export function keyedHash(key: Uint8Array, ...parts: Uint8Array[]): Buffer {
  const out = Buffer.allocUnsafe(HASH_BYTES);
  native.crypto_generichash_batch(out, parts, key);
  return out;
}

/** Constant-time comparison of equally long values; values of different length differ. */
export function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.byteLength === b.byteLength && (a.byteLength === 0 || native.sodium_memcmp(a, b));
}

/** Overwrites a secret with zeros. */
export function wipe(...secrets: Uint8Array[]): void {
  for (const secret of secrets) if (secret.byteLength > 0) native.sodium_memzero(secret);
}

/** An Ed25519 key pair; `secretKey` is seed ‖ public key, 64 bytes. */
export type MasterKeyPair = { readonly publicKey: Uint8Array; readonly secretKey: Uint8Array };
/** An X25519 key pair, 32 bytes each. */
export type MessageKeyPair = { readonly publicKey: Uint8Array; readonly secretKey: Uint8Array };

/** A random master key, or the one of a 32-byte seed. */
export function masterKeyPair(seed?: Uint8Array): MasterKeyPair {
  const publicKey = Buffer.alloc(KEY_BYTES);
  const secretKey = Buffer.alloc(MASTER_SECRET_BYTES);
  if (seed === undefined) native.crypto_sign_keypair(publicKey, secretKey);
  else native.crypto_sign_seed_keypair(publicKey, secretKey, view(seed));
  return { publicKey, secretKey };
}

/** A random message key. */
export function messageKeyPair(): MessageKeyPair {
  const publicKey = Buffer.alloc(KEY_BYTES);
  const secretKey = Buffer.alloc(KEY_BYTES);
  native.crypto_box_keypair(publicKey, secretKey);
  return { publicKey, secretKey };
}

/** The public key of a 32-byte X25519 secret. */
export function messagePublicKey(secret: Uint8Array): Uint8Array {
  const publicKey = Buffer.alloc(KEY_BYTES);
  native.crypto_scalarmult_base(publicKey, view(secret));
  return publicKey;
}

/** `crypto_sign` = signature (64) ‖ digest (32). */
export function sign(digest: Uint8Array, masterSecret: Uint8Array): Uint8Array {
  const signed = Buffer.alloc(SIGNATURE_BYTES + digest.byteLength);
  native.crypto_sign(signed, view(digest), view(masterSecret));
  return signed;
}

/** Cofactorless Ed25519 verification. Says nothing about the encoding of key and R: `verifySignedHash` does. */
export function verifyDetached(signature: Uint8Array, digest: Uint8Array, publicKey: Uint8Array): boolean {
  return native.crypto_sign_verify_detached(view(signature), view(digest), view(publicKey));
}

/** Canonical, on the curve, not of small order and in the prime-order group (`crypto_core_ed25519_is_valid_point`). */
export function isPrimeOrderPoint(point: Uint8Array): boolean {
  return Boolean(native.crypto_core_ed25519_is_valid_point(view(point)));
}

/** Whether a canonically encoded point is on the curve, of whatever order: adding refuses those that are not. */
export function isOnCurve(point: Uint8Array): boolean {
  try {
    native.crypto_core_ed25519_add(Buffer.alloc(KEY_BYTES), view(point), view(point));
    return true;
  } catch {
    return false;
  }
}

/** Ed25519 public key → X25519; `null` where libsodium refuses the conversion. */
export function masterToBoxPublicKey(masterPublicKey: Uint8Array): Uint8Array | null {
  try {
    return wrappers.crypto_sign_ed25519_pk_to_curve25519(masterPublicKey);
  } catch {
    return null;
  }
}

/** Ed25519 secret key (64 bytes) → X25519 secret (32 bytes). The caller wipes it. */
export function masterToBoxSecretKey(masterSecret: Uint8Array): Uint8Array {
  const secret = Buffer.alloc(KEY_BYTES);
  native.crypto_sign_ed25519_sk_to_curve25519(secret, view(masterSecret));
  return secret;
}

const ANY_SCALAR = Buffer.alloc(KEY_BYTES, 1);

/** Whether `crypto_scalarmult` refuses the point, which it does exactly for points of low order. */
export function isLowOrderBoxKey(publicKey: Uint8Array): boolean {
  try {
    native.crypto_scalarmult(Buffer.alloc(KEY_BYTES), ANY_SCALAR, view(publicKey));
    return false;
  } catch {
    return true;
  }
}

/**
 * crypto_box_easy inside one buffer: the plaintext stands at `start + 16` up to the end, the box (MAC first)
 * takes its place from `start`. Copies nothing. The key has passed `isLowOrderBoxKey`; libsodium throws otherwise.
 */
export function boxSealInPlace(
  buffer: Buffer,
  start: number,
  keys: { nonce: Uint8Array; publicKey: Uint8Array; secretKey: Uint8Array },
): void {
  const plain = buffer.subarray(start + MAC_BYTES);
  native.crypto_box_easy(buffer.subarray(start), plain, view(keys.nonce), view(keys.publicKey), view(keys.secretKey));
}

/** Opens a box into a new buffer. `null` when it does not authenticate. */
export function boxOpen(
  box: Uint8Array,
  keys: { nonce: Uint8Array; publicKey: Uint8Array; secretKey: Uint8Array },
): Buffer | null {
  if (box.byteLength < MAC_BYTES) return null;
  const plain = Buffer.allocUnsafe(box.byteLength - MAC_BYTES);
  const { nonce, publicKey, secretKey } = keys;
  const opened = native.crypto_box_open_easy(plain, view(box), view(nonce), view(publicKey), view(secretKey));
  return opened ? plain : null;
}

/**
 * Opens a box where it stands: the plaintext that is returned is a view into `box`, which is overwritten.
 * `null` when it does not authenticate.
 */
export function boxOpenInPlace(
  box: Buffer,
  keys: { nonce: Uint8Array; publicKey: Uint8Array; secretKey: Uint8Array },
): Buffer | null {
  if (box.byteLength < MAC_BYTES) return null;
  const plain = box.subarray(MAC_BYTES);
  const opened = native.crypto_box_open_easy(plain, box, view(keys.nonce), view(keys.publicKey), view(keys.secretKey));
  return opened ? plain : null;
}

/** nonce24 ‖ XChaCha20-Poly1305 of `plaintext` under a 32-byte key, bound to `aad`. For what is sealed at rest. */
export function secretSeal(key: Uint8Array, plaintext: Uint8Array, aad: Uint8Array): Buffer {
  const sealed = Buffer.allocUnsafe(NONCE_BYTES + plaintext.byteLength + MAC_BYTES);
  const nonce = sealed.subarray(0, NONCE_BYTES);
  native.randombytes_buf(nonce);
  const out = sealed.subarray(NONCE_BYTES);
  native.crypto_aead_xchacha20poly1305_ietf_encrypt(out, view(plaintext), view(aad), null, nonce, view(key));
  return sealed;
}

/** The plaintext of `secretSeal`; `null` under another key or `aad`, or when a bit has changed. */
export function secretOpen(key: Uint8Array, sealed: Uint8Array, aad: Uint8Array): Buffer | null {
  return openSecretInto(key, sealed, aad, (box) => Buffer.allocUnsafe(box.byteLength - MAC_BYTES));
}

/** The same where it stands: the plaintext is a view into `sealed`, which is overwritten. */
export function secretOpenInPlace(key: Uint8Array, sealed: Buffer, aad: Uint8Array): Buffer | null {
  return openSecretInto(key, sealed, aad, (box) => box.subarray(0, box.byteLength - MAC_BYTES));
}

function openSecretInto(
  key: Uint8Array,
  sealed: Uint8Array,
  aad: Uint8Array,
  placeOf: (box: Buffer) => Buffer,
): Buffer | null {
  if (sealed.byteLength < NONCE_BYTES + MAC_BYTES) return null;
  const bytes = view(sealed);
  const box = bytes.subarray(NONCE_BYTES);
  const nonce = bytes.subarray(0, NONCE_BYTES);
  const out = placeOf(box);
  try {
    native.crypto_aead_xchacha20poly1305_ietf_decrypt(out, null, box, view(aad), nonce, view(key));
    return out;
  } catch {
    return null;
  }
}

/** crypto_secretbox_easy under a nonce that the caller stores beside it. */
export function secretboxWithNonce(key: Uint8Array, nonce: Uint8Array, plaintext: Uint8Array): Uint8Array {
  return wrappers.crypto_secretbox_easy(plaintext, nonce, key);
}

/** The plaintext of a secretbox; `null` when it does not authenticate. */
export function secretboxOpen(key: Uint8Array, nonce: Uint8Array, box: Uint8Array): Uint8Array | null {
  try {
    return wrappers.crypto_secretbox_open_easy(box, nonce, key);
  } catch {
    return null;
  }
}
