/**
 * Taking in a secret that another client of the same owner sent (SMIMP 0.1 §4.1): never by itself, only from oneself under
 * the master key in use, only what the owner confirmed. What comes in never becomes the default: a message key only opens
 * mail; a storage key takes the place of ours only because two clients of one owner must read each other's notes.
 */

import { addMessageSecrets, replaceStorageSecret } from '../keystore/account-keys.ts';
import type { AccountKeys, Keystore } from '../keystore/keystore.ts';
import { messagePublicKey } from '../smimp/crypto.ts';
import type { SecretBody } from '../smimp/email.ts';
import { type Hex32, parseBase64, parseHex, toBase64, toHex } from '../smimp/encoding.ts';
import { ProfileError } from '../smimp/errors.ts';
import { checkMessagePublicKey, MAX_LIFETIME_DAYS } from '../smimp/message-key.ts';
import { envelopeDigest } from '../smimp/open.ts';
import { openStorage, type StorageObject, sealStorage } from '../smimp/storage.ts';
import { verifySignedHash } from '../smimp/transcript.ts';
import { advanceMailbox } from '../store/accounts.ts';
import type { Db, Tx } from '../store/database.ts';
import { type FlagWrite, writeFlags } from '../store/flag-changes.ts';
import { lockMailbox } from '../store/folders.ts';
import { type SealedNotes, sealedNotes } from '../store/mailbox.ts';
import { retryUnknownKey } from '../store/unopened.ts';
import type { Inspection } from './inspect.ts';
import { storedEnvelope } from './stored-envelope.ts';

export type SecretErrorCode =
  | 'unknown-message'
  /** Held, quarantined or not looked at yet. */
  | 'not-opened'
  /** Of another type than `secret-…`. */
  | 'not-secret'
  /** Not from this account, or not signed by the master key it uses now. */
  | 'not-own'
  /** Secrets of other identities, aliases and lists have no use here. */
  | 'unsupported'
  /** The public key is not that of the secret, or no key at all. */
  | 'bad-key';

export class SecretError extends Error {
  override readonly name = 'SecretError';
  readonly code: SecretErrorCode;

  constructor(code: SecretErrorCode, options: { cause?: unknown } = {}) {
    super(code, options);
    this.code = code;
  }
}

/** What would be, or was, taken in. */
export type OfferedSecret = {
  readonly kind: SecretBody['kind'];
  readonly publicKey: string | null;
  note: string | null;
};

export interface SecretInbox {
  /** Checks everything and takes nothing in. Throws SecretError. */
  offered(ask: { accountId: number; messageId: Buffer }): Promise<OfferedSecret>;
  /** Throws SecretError. */
  accept(ask: { accountId: number; messageId: Buffer }): Promise<OfferedSecret>;
}

const KEY_BYTES = 32;
const DAY_MS = 86_400_000;

export function createSecretInbox(options: {
  db: Db;
  keystore: Keystore;
  inspection: Inspection;
  clock: () => Date;
}): SecretInbox {
  const { db, keystore, inspection, clock } = options;

  const checked = async (ask: { accountId: number; messageId: Buffer }): Promise<SecretBody> => {
    const found = await inspection.show(ask);
    if (found === null) throw new SecretError('unknown-message');
    const { envelope, opened } = found;
    if (opened === null) throw new SecretError('not-opened');
    const { content } = opened;
    if (content.type === 'email' || content.type === 'short-message' || content.type === 'opaque')
      throw new SecretError('not-secret');
    const keys = await keystore.open(ask.accountId);
    const current = toHex((await keys.master()).publicKey);
    const stored = storedEnvelope(envelope, keys.address);
    if (stored.sender_address !== keys.address || stored.sender_public_key !== current)
      throw new SecretError('not-own');
    verifySignedHash(stored.message_hash, envelopeDigest(stored), current);
    checkKind(content.value);
    return content.value;
  };

  return {
    offered: async (ask) => offerOf(await checked(ask)),
    async accept(ask) {
      const secret = await checked(ask);
      const { accountId } = ask;
      await db.transaction().execute(async (tx) => {
        await lockMailbox(tx, accountId);
        const keys = await keystore.open(accountId, tx);
        if (secret.kind === 'message-key') await takeMessageKey(tx, keys, secret, clock());
        else await takeStorageKey(tx, keys, secret);
      });
      return offerOf(secret);
    },
  };
}

function offerOf(secret: SecretBody): OfferedSecret {
  const publicKey = secret.kind === 'message-key' ? publicKeyOf(secret) : null;
  return { kind: secret.kind, publicKey, note: secret.note };
}

function checkKind(secret: SecretBody): void {
  const isKey = secret.secret_key.length === 2 * KEY_BYTES;
  if (!isKey || (secret.kind !== 'message-key' && secret.kind !== 'storage')) throw new SecretError('unsupported');
  if (secret.kind === 'storage') return;
  const publicKey = publicKeyOf(secret);
  if (secret.public_key !== null && secret.public_key !== publicKey) throw new SecretError('bad-key');
  try {
    checkMessagePublicKey(publicKey, []);
  } catch (cause) {
    if (cause instanceof ProfileError) throw new SecretError('bad-key', { cause });
    throw cause;
  }
}

function publicKeyOf({ secret_key }: SecretBody): Hex32 {
  return toHex(messagePublicKey(parseHex(secret_key, KEY_BYTES)));
}

/** Kept as one that only opens: it is never published from here, and goes with the last message under it. */
async function takeMessageKey(tx: Tx, keys: AccountKeys, secret: SecretBody, now: Date): Promise<void> {
  const public_key = publicKeyOf(secret);
  const known = await keys.messageSecret(Buffer.from(public_key, 'hex'));
  if (known === null) {
    const expiresAt = new Date(now.getTime() + MAX_LIFETIME_DAYS['non-ephemeral'] * DAY_MS);
    const key = { public_key, kind: 'ephemeral' as const };
    await addMessageSecrets(tx, keys, [{ key, secret: parseHex(secret.secret_key, KEY_BYTES), expiresAt }], now);
  }
  await retryUnknownKey(tx, keys.accountId, { publicKey: Buffer.from(public_key, 'hex'), now });
}

/** Notes under our key are sealed anew under the other one; those that the other client made open by themselves then. */
async function takeStorageKey(tx: Tx, keys: AccountKeys, secret: SecretBody): Promise<void> {
  const next = parseHex(secret.secret_key, KEY_BYTES);
  const present = await keys.storageKey();
  const rows = await sealedNotes(tx, keys.accountId);
  const writes = rows.flatMap((row) => resealed(keys, row, { present, next }));
  if (writes.length > 0) {
    const { accountId } = keys;
    const { revision } = await advanceMailbox(tx, accountId, { seqs: 0 });
    await writeFlags(tx, { accountId, revision }, writes);
  }
  await replaceStorageSecret(tx, keys, next);
}

function resealed(
  keys: AccountKeys,
  row: SealedNotes,
  { present, next }: { present: Uint8Array; next: Uint8Array },
): FlagWrite[] {
  const object: StorageObject = { owner: keys.address, purpose: 'extensions', objectId: toHex<Hex32>(row.digest) };
  try {
    const blob = toBase64(row.extensions_data);
    const { version, value } = openStorage({ key: present, object, blob, leastVersion: row.notes_version });
    const extensionsData = parseBase64(sealStorage({ key: next, object, version: version + 1, value }));
    return [{ messageId: row.message_id, read: row.read, extensionsData, notesVersion: version + 1 }];
  } catch (error) {
    if (error instanceof ProfileError) return [];
    throw error;
  }
}
