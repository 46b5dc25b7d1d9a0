/**
 * Message keys (SMIMP 0.1 §1.4): X25519, random, signed by the current master key, with a kind and a life of bounded
 * length. None may be of low order, in a second spelling, or equal to a master key of its owner.
 */
import { z } from 'zod';
import type { Address } from './address.ts';
import { isLowOrderBoxKey, KEY_BYTES, type MasterKeyPair, messageKeyPair } from './crypto.ts';
import { formatTimestamp, type Hex32, parseHex, parseTimestamp, toHex } from './encoding.ts';
import { ProfileError } from './errors.ts';
import { hex32, parseFields, signedHash, timestamp } from './fields.ts';
import { isCanonicalField, masterBoxKey } from './master-key.ts';
import { type MessageKeyKind, messageKeyDigest, signDigest, verifySignedHash } from './transcript.ts';

export const messageKeyKind = z.enum(['ephemeral', 'non-ephemeral']);

/** `Key` of §1.4 as it is read: unknown members are ignored. */
export const messageKeySchema = z.object({
  public_key: hex32,
  kind: messageKeyKind,
  created: timestamp,
  expires: timestamp,
  signed_hash: signedHash,
});
export type MessageKey = z.infer<typeof messageKeySchema>;

const DAY_SECONDS = 86_400;
/** Longest life by kind, in days of 86,400 s, the limit allowed. */
export const MAX_LIFETIME_DAYS: Readonly<Record<MessageKeyKind, number>> = { ephemeral: 180, 'non-ephemeral': 400 };

/**
 * Checks an X25519 key against all the rules that need no signature. `masterKeys`: every master key of the
 * owner's history. Throws `bad-hex`, `key-not-canonical`, `key-low-order`, `key-is-master`.
 */
export function checkMessagePublicKey(publicKey: string, masterKeys: readonly string[]): Uint8Array {
  const bytes = parseHex(publicKey, KEY_BYTES);
  checkPoint(publicKey, bytes);
  const isMaster = masterKeys.some((master) => master === publicKey || masterBoxKey(master) === publicKey);
  if (isMaster) throw new ProfileError('key-is-master');
  return bytes;
}

/** The last keys that passed: many messages go to one key, and nothing about it can change. */
const passed = new Set<string>();
const MAX_PASSED = 256;

function checkPoint(publicKey: string, bytes: Uint8Array): void {
  if (passed.has(publicKey)) return;
  const bit255 = ((bytes[31] ?? 0) & 0x80) !== 0;
  if (bit255 || !isCanonicalField(bytes)) throw new ProfileError('key-not-canonical');
  if (isLowOrderBoxKey(bytes)) throw new ProfileError('key-low-order');
  for (const oldest of passed.size < MAX_PASSED ? [] : passed) {
    passed.delete(oldest);
    break;
  }
  passed.add(publicKey);
}

function checkLife(key: MessageKey): void {
  const created = parseTimestamp(key.created);
  const expires = parseTimestamp(key.expires);
  if (created >= expires) throw new ProfileError('message-key-dates');
  const limitSeconds = MAX_LIFETIME_DAYS[key.kind] * DAY_SECONDS;
  if (expires - created > limitSeconds) throw new ProfileError('message-key-lifetime');
}

/**
 * A key that may be encrypted to, as its owner's history stands. `masterKeys` oldest first, the last one current;
 * `now` in unix seconds; from `expires` on the key is refused. Returns the key with the digest that was signed.
 */
export function verifyMessageKey(input: {
  address: Address;
  key: unknown;
  masterKeys: readonly Hex32[];
  now: number;
}): { key: MessageKey; digest: Uint8Array } {
  const key = parseFields(messageKeySchema, input.key);
  const masterKey = input.masterKeys.at(-1);
  if (masterKey === undefined) throw new ProfileError('bad-field', { path: 'master_keys' });
  checkMessagePublicKey(key.public_key, input.masterKeys);
  checkLife(key);
  const { kind, created, expires } = key;
  const digest = messageKeyDigest({
    address: input.address,
    kind,
    masterKey,
    publicKey: key.public_key,
    created,
    expires,
  });
  verifySignedHash(key.signed_hash, digest, masterKey);
  if (input.now >= parseTimestamp(key.expires)) throw new ProfileError('message-key-expired');
  return { key, digest };
}

/** A fresh message key, signed. `now` in unix seconds. The caller stores `secret` (32 bytes) and wipes its copy. */
export function createMessageKey(input: {
  address: Address;
  kind: MessageKeyKind;
  master: MasterKeyPair;
  now: number;
  lifetimeDays: number;
}): { key: MessageKey; secret: Uint8Array } {
  const { address, kind, master } = input;
  if (input.lifetimeDays > MAX_LIFETIME_DAYS[kind]) throw new ProfileError('message-key-lifetime');
  const pair = messageKeyPair();
  const created = formatTimestamp(input.now);
  const expires = formatTimestamp(parseTimestamp(created) + input.lifetimeDays * DAY_SECONDS);
  const publicKey = toHex(pair.publicKey);
  const digest = messageKeyDigest({ address, kind, masterKey: toHex(master.publicKey), publicKey, created, expires });
  const signed_hash = signDigest(master.secretKey, digest);
  return { key: { public_key: publicKey, kind, created, expires, signed_hash }, secret: pair.secretKey };
}
