/**
 * What a person's keystore holds, as plain data: the secrets, the own history (one's own copy, never the server's), and the
 * pins (SMIMP 0.1 §1.4, §3, §5). It is what a backup carries from one client to another.
 */
import { z } from 'zod';
import { type VerifiedHistory, verifyHistory } from '../smimp/chain.ts';
import { type MasterKeyPair, masterKeyPair, messagePublicKey } from '../smimp/crypto.ts';
import { type Hex64, parseHex, parseTimestamp, toHex } from '../smimp/encoding.ts';
import { ProfileError } from '../smimp/errors.ts';
import { address, count, hex32, hex64, parseFields, signedHash, timestamp } from '../smimp/fields.ts';
import { messageKeyKind } from '../smimp/message-key.ts';
import { recordHead, recordSchema } from '../smimp/record.ts';

/** A pin as src/smimp/pin.ts defines it. */
export const pinSchema = z.object({
  original_key: hex32,
  first_seen_key: hex32,
  signed_hashes: z.array(signedHash).min(1),
  first_seen: z.array(timestamp).min(1),
  last_data: z.string(),
  master_keys: z.array(z.object({ public_key: hex32, seq: count })).min(1),
});

const pinState = z.enum(['NEW', 'OK', 'EXTENDED', 'TRUNCATED', 'FORKED', 'REPLACED', 'INVALID', 'UNAVAILABLE']);

export const keptPinSchema = z.object({
  contact: address,
  state: pinState,
  pin: pinSchema,
  /** JSON as text: it nests as deep as the server that gave it liked. */
  evidence: z.string().nullable(),
  verified: timestamp.nullable(),
  checked: timestamp,
});

export const messageSecretSchema = z.object({
  public_key: hex32,
  secret_key: hex32,
  kind: messageKeyKind,
  created: timestamp,
  expires: timestamp,
  /** When a newer key took its place. */
  retired: timestamp.nullable(),
});
export type MessageSecret = z.infer<typeof messageSecretSchema>;

export const ownRecordSchema = z.object({ ...recordSchema.shape, added: timestamp });
export type OwnRecord = z.infer<typeof ownRecordSchema>;

export const keystoreSchema = z.object({
  address,
  /** Seed ‖ public key. */
  master: hex64,
  own_history: z.array(ownRecordSchema).min(1),
  message_keys: z.array(messageSecretSchema),
  storage_key: hex32,
  pins: z.array(keptPinSchema),
  archived_pins: z.array(z.object({ contact: address, pin: pinSchema, archived: timestamp })),
});
export type KeystoreData = z.infer<typeof keystoreSchema>;

const SEED_BYTES = 32;

/** The master key pair. Throws `bad-field` when the halves do not belong together. */
export function masterOf({ master }: Pick<KeystoreData, 'master'>): MasterKeyPair {
  const secret = parseHex(master, 2 * SEED_BYTES);
  const pair = masterKeyPair(secret.subarray(0, SEED_BYTES));
  if (toHex<Hex64>(pair.secretKey) !== master) throw new ProfileError('bad-field', { path: 'master' });
  return pair;
}

/** The own history, verified, with when each record was added (unix seconds). */
export function ownHistoryOf({ address, own_history }: Pick<KeystoreData, 'address' | 'own_history'>): {
  history: VerifiedHistory;
  addedAt: number[];
} {
  const records = own_history.map(({ added: _added, ...record }) => record);
  const last = records.at(-1);
  if (last === undefined) throw new ProfileError('history-length');
  const head = recordHead(records.length - 1, last);
  const addedAt = own_history.map(({ added }) => parseTimestamp(added));
  return { history: verifyHistory({ address, records, head }), addedAt };
}

/**
 * A keystore whose parts belong together: the history verifies and ends in the master key, every secret has its public
 * half, no pin is there twice or crooked. Throws ProfileError.
 */
export function parseKeystore(value: unknown): KeystoreData {
  const data = parseFields(keystoreSchema, value);
  const { history } = ownHistoryOf(data);
  if (toHex(masterOf(data).publicKey) !== history.currentKey) throw new ProfileError('bad-field', { path: 'master' });
  for (const [i, key] of data.message_keys.entries()) {
    const matches = toHex(messagePublicKey(parseHex(key.secret_key, SEED_BYTES))) === key.public_key;
    if (!matches) throw new ProfileError('bad-field', { path: `message_keys.${i}` });
  }
  const contacts = new Set(data.pins.map(({ contact }) => contact));
  const crooked = data.pins.findIndex(({ pin }) => pin.signed_hashes.length !== pin.first_seen.length);
  if (contacts.size !== data.pins.length) throw new ProfileError('bad-field', { path: 'pins' });
  if (crooked >= 0) throw new ProfileError('bad-field', { path: `pins.${crooked}` });
  return data;
}
