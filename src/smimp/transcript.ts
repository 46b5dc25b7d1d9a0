/**
 * Transcripts, purpose digests and signed hashes (SMIMP 0.1 §1.3). One typed function per purpose, so that no
 * field can be forgotten or swapped for one of another kind. A signed hash is trusted only after the digest
 * has been recomputed, compared and its signature verified under a checked key.
 */
import { Buffer } from 'node:buffer';
import type { Address } from './address.ts';
import { equal, hash, SIGNATURE_BYTES, sign, verifyDetached } from './crypto.ts';
import { type Hex24, type Hex32, parseHex, type SignedHash, type Timestamp, toHex } from './encoding.ts';
import { ProfileError } from './errors.ts';
import { checkMasterKey, checkSignaturePoint, checkSignatureScalar } from './master-key.ts';

const PREFIX = 'SMIMP/0.1/';
/** A signed hash has 64 bytes of signature and 32 of digest. */
export const SIGNED_HASH_BYTES = 96;

/** What a digest is for; the second column of the table in §1.3. */
export type Purpose =
  | 'record'
  | 'record-new-key'
  | 'head'
  | 'message-key'
  | 'login'
  | 'login-token'
  | 'pow'
  | 'message'
  | 'avatar'
  | 'list'
  | 'initialize'
  | 'storage'
  | 'fingerprint'
  | 'site-auth';

const UINT32 = 2 ** 32;

/** LE64 of a whole number up to 2⁵³−1. */
export function le64(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(8);
  bytes.writeUInt32LE(value % UINT32);
  bytes.writeUInt32LE(Math.floor(value / UINT32), 4);
  return bytes;
}

export function text(value: string): Buffer {
  return Buffer.from(value, 'utf8');
}

/** The pieces of PAE in order; large parts are passed on, not copied. */
function paePieces(parts: readonly Uint8Array[]): Uint8Array[] {
  return [le64(parts.length), ...parts.flatMap((part) => [le64(part.byteLength), part])];
}

/** PAE(p₀ … pₙ₋₁) = LE64(n) ‖ for each part LE64(length) ‖ bytes. */
export function pae(parts: readonly Uint8Array[]): Buffer {
  return Buffer.concat(paePieces(parts));
}

/** The bytes that are hashed for a purpose: PAE("SMIMP/0.1/" + purpose, fields …). */
export function transcript(purpose: Purpose, ...fields: Uint8Array[]): Buffer {
  return pae([text(PREFIX + purpose), ...fields]);
}

/** D(purpose, fields …), 32 bytes, without assembling the transcript. */
export function digest(purpose: Purpose, ...fields: Uint8Array[]): Buffer {
  return hash(...paePieces([text(PREFIX + purpose), ...fields]));
}

function raw32(value: Hex32): Uint8Array {
  return parseHex(value, 32);
}

export function recordDigest(data: string): Buffer {
  return digest('record', text(data));
}

export function recordNewKeyDigest(data: string): Buffer {
  return digest('record-new-key', text(data));
}

/** Names one state of a history: `seq` and `signed_hash` of its last record. */
export function headDigest(seq: number, signedHash: SignedHash): Buffer {
  return digest('head', le64(seq), parseHex(signedHash, SIGNED_HASH_BYTES));
}

export type MessageKeyKind = 'ephemeral' | 'non-ephemeral';

export function messageKeyDigest(key: {
  address: Address;
  kind: MessageKeyKind;
  masterKey: Hex32;
  publicKey: Hex32;
  created: Timestamp;
  expires: Timestamp;
}): Buffer {
  const { address, kind, masterKey, publicKey, created, expires } = key;
  const dates = [text(created), text(expires)];
  return digest('message-key', text(address), text(kind), raw32(masterKey), raw32(publicKey), ...dates);
}

/** What a login signs; binds the server by its base URL. */
export function loginDigest(login: { baseUrl: string; address: Address; masterKey: Hex32; token: Hex32 }): Buffer {
  return digest('login', text(login.baseUrl), text(login.address), raw32(login.masterKey), raw32(login.token));
}

/** The draft's "hash of logon token". */
export function loginTokenDigest(token: Hex32): Buffer {
  return digest('login-token', raw32(token));
}

export type MessageDigestFields = {
  ciphertext: Uint8Array;
  messageType: string;
  algorithm: string;
  messagePublicKey: Hex32;
  proofOfWork: string | null;
  nonce: Hex24;
  loginTokenHash: Hex32;
  sender: Address;
  recipient: Address;
  senderPublicKey: Hex32;
};

export function messageDigest(m: MessageDigestFields): Buffer {
  return digest(
    'message',
    m.ciphertext,
    text(m.messageType),
    text(m.algorithm),
    raw32(m.messagePublicKey),
    text(m.proofOfWork ?? ''),
    parseHex(m.nonce, 24),
    raw32(m.loginTokenHash),
    text(m.sender),
    text(m.recipient),
    raw32(m.senderPublicKey),
  );
}

export function avatarDigest(avatar: {
  address: Address;
  contentType: string;
  date: Timestamp;
  image: Uint8Array;
}): Buffer {
  return digest('avatar', text(avatar.address), text(avatar.contentType), text(avatar.date), avatar.image);
}

export function listDigest(entry: { owner: Address; kind: 'address' | 'domain'; value: string }): Buffer {
  return digest('list', text(entry.owner), text(entry.kind), text(entry.value));
}

/** `code` exactly as issued, ASCII. */
export function initializeDigest(address: Address, code: string): Buffer {
  return digest('initialize', text(address), text(code));
}

export function storageDigest(object: {
  owner: Address;
  purpose: string;
  objectId: Hex32;
  version: number | bigint;
}): Buffer {
  const version = Buffer.allocUnsafe(8);
  version.writeBigUInt64LE(BigInt(object.version));
  return digest('storage', text(object.owner), text(object.purpose), raw32(object.objectId), version);
}

export function fingerprintDigest(address: Address, firstSignedHash: SignedHash): Buffer {
  return digest('fingerprint', text(address), parseHex(firstSignedHash, SIGNED_HASH_BYTES));
}

/** "Log in with SMIMP" on a web site; `origin` is `https://host[:port]`, lowercase, no slash. */
export function siteAuthDigest(login: { origin: string; address: Address; masterKey: Hex32; token: Hex32 }): Buffer {
  return digest('site-auth', text(login.origin), text(login.address), raw32(login.masterKey), raw32(login.token));
}

/** SIGN(sk, d): signature ‖ digest, as hex96. `masterSecret` has 64 bytes. */
export function signDigest(masterSecret: Uint8Array, digestBytes: Uint8Array): SignedHash {
  return toHex<SignedHash>(sign(digestBytes, masterSecret));
}

/** The digest at the end of a signed hash. Proves nothing by itself. */
export function digestOf(signedHash: SignedHash): Hex32 {
  return signedHash.slice(SIGNATURE_BYTES * 2) as Hex32;
}

/**
 * Verifies that `publicKey` signed exactly `expected`, the digest the caller computed from the data it holds.
 * Throws `bad-hex`, `digest-mismatch`, a `key-*` code, `signature-not-canonical`, `signature-low-order`, `bad-signature`.
 */
export function verifySignedHash(signedHash: string, expected: Uint8Array, publicKey: string): SignedHash {
  const bytes = parseHex(signedHash, SIGNED_HASH_BYTES);
  const signature = bytes.subarray(0, SIGNATURE_BYTES);
  if (!equal(bytes.subarray(SIGNATURE_BYTES), expected)) throw new ProfileError('digest-mismatch');
  const key = checkMasterKey(publicKey);
  checkSignatureScalar(signature.subarray(32));
  checkSignaturePoint(signature.subarray(0, 32));
  if (!verifyDetached(signature, expected, key)) throw new ProfileError('bad-signature');
  return signedHash as SignedHash;
}
