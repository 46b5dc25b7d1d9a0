/**
 * The keys of one account, once it is open. Everything of it at rest is sealed with its account key, bound to account,
 * purpose and id, so that no sealed value can stand in the place of another.
 */
import type { Address } from '../smimp/address.ts';
import {
  keyedHash,
  type MasterKeyPair,
  randomBytes,
  secretOpen,
  secretOpenInPlace,
  secretSeal,
} from '../smimp/crypto.ts';
import { view } from '../smimp/encoding.ts';
import type { MessageKey } from '../smimp/message-key.ts';
import { pae, text } from '../smimp/transcript.ts';
import type { Executor, Tx } from '../store/database.ts';
import {
  findCurrentSecret,
  findMessageSecret,
  insertSecrets,
  type NewSecret,
  replaceSealedSecret,
} from '../store/secrets.ts';
import { KeystoreError } from './errors.ts';

const STORAGE_KEY_BYTES = 32;
const NO_PUBLIC_KEY = Buffer.alloc(0);

export interface AccountKeys {
  readonly accountId: number;
  readonly address: Address;
  /**
   * The master key in use. A rotation replaces it, so ask for it each time. Within a transaction, by its `executor`: who
   * holds a connection must not wait for another one, which those behind may hold.
   */
  master(executor?: Executor): Promise<MasterKeyPair>;
  /** The 32-byte key of storage blobs (SMIMP 0.1 §5). */
  storageKey(): Promise<Uint8Array>;
  /** The secret of a message key, 32 bytes; null when it was erased or never was ours. */
  messageSecret(publicKey: Uint8Array): Promise<Uint8Array | null>;
  /** Seals a value for one purpose and one id. */
  seal(purpose: string, id: Uint8Array | string, plaintext: Uint8Array): Buffer;
  /** What `seal` sealed for the same purpose and id. Throws KeystoreError `damaged`. */
  unseal(purpose: string, id: Uint8Array | string, sealed: Uint8Array): Buffer;
  /** The same where it stands: a view into `sealed`, which is overwritten. */
  unsealInPlace(purpose: string, id: Uint8Array | string, sealed: Buffer): Buffer;
  /** A keyed hash, 32 bytes, for columns that are looked up but must tell nothing. */
  blind(purpose: string, value: Uint8Array | string): Buffer;
}

function bytesOf(value: Uint8Array | string): Uint8Array {
  return typeof value === 'string' ? text(value) : value;
}

/** The keys of an account, read through `db`: a transaction, or the pool. */
export function accountKeys(options: {
  db: Executor;
  accountId: number;
  address: Address;
  accountKey: Uint8Array;
}): AccountKeys {
  const { db, accountId, address } = options;
  const sealKey = keyedHash(options.accountKey, text('smimp-bridge/seal/1'));
  const blindKey = keyedHash(options.accountKey, text('smimp-bridge/blind/1'));
  const context = (purpose: string, id: Uint8Array | string): Buffer =>
    pae([text('smimp-bridge/sealed/1'), text(address), text(purpose), bytesOf(id)]);
  const undamaged = (plaintext: Buffer | null): Buffer => {
    if (plaintext === null) throw new KeystoreError('damaged');
    return plaintext;
  };
  const unseal: AccountKeys['unseal'] = (purpose, id, sealed) =>
    undamaged(secretOpen(sealKey, sealed, context(purpose, id)));
  return {
    accountId,
    address,
    async master(executor = db) {
      const row = await findCurrentSecret(executor, accountId, 'master');
      if (row === undefined) throw new KeystoreError('unknown-account');
      return { publicKey: row.public_key, secretKey: unseal('master', row.public_key, row.sealed) };
    },
    async storageKey() {
      const row = await findCurrentSecret(db, accountId, 'storage');
      if (row === undefined) throw new KeystoreError('unknown-account');
      return unseal('storage', NO_PUBLIC_KEY, row.sealed);
    },
    async messageSecret(publicKey) {
      const row = await findMessageSecret(db, accountId, publicKey);
      return row === undefined ? null : unseal('message', row.public_key, row.sealed);
    },
    seal: (purpose, id, plaintext) => secretSeal(sealKey, plaintext, context(purpose, id)),
    unseal,
    unsealInPlace: (purpose, id, sealed) => undamaged(secretOpenInPlace(sealKey, sealed, context(purpose, id))),
    blind: (purpose, value) => keyedHash(blindKey, pae([text(purpose), bytesOf(value)])),
  };
}

/** Stores a new master key. */
export async function addMasterSecret(db: Executor, keys: AccountKeys, pair: MasterKeyPair, now: Date): Promise<void> {
  const public_key = view(pair.publicKey);
  const sealed = keys.seal('master', public_key, pair.secretKey);
  const row = { account_id: keys.accountId, purpose: 'master' as const, public_key, kind: null, sealed };
  await insertSecrets(db, [{ ...row, created_at: now }]);
}

/** Makes and stores the storage key, or stores the one that the owner brought. */
export async function addStorageSecret(
  db: Executor,
  keys: AccountKeys,
  now: Date,
  storageKey: Uint8Array = randomBytes(STORAGE_KEY_BYTES),
): Promise<void> {
  const sealed = keys.seal('storage', NO_PUBLIC_KEY, storageKey);
  const row = { account_id: keys.accountId, purpose: 'storage' as const, public_key: NO_PUBLIC_KEY, kind: null };
  await insertSecrets(db, [{ ...row, sealed, created_at: now }]);
}

/** Seals another storage key over the present one. */
export async function replaceStorageSecret(tx: Tx, keys: AccountKeys, storageKey: Uint8Array): Promise<void> {
  await replaceSealedSecret(tx, keys.accountId, 'storage', keys.seal('storage', NO_PUBLIC_KEY, storageKey));
}

/** Stores the secrets of new message keys. `expiresAt` of each is the date in its public half. */
export async function addMessageSecrets(
  db: Executor,
  keys: AccountKeys,
  created: readonly {
    key: Pick<MessageKey, 'public_key' | 'kind'>;
    secret: Uint8Array;
    expiresAt: Date;
    createdAt?: Date;
    retiredAt?: Date | null;
  }[],
  now: Date,
): Promise<void> {
  const rows = created.map(({ key, secret, expiresAt, createdAt = now, retiredAt = null }): NewSecret => {
    const public_key = Buffer.from(key.public_key, 'hex');
    const sealed = keys.seal('message', public_key, secret);
    const row = { account_id: keys.accountId, purpose: 'message' as const, public_key, kind: key.kind, sealed };
    return { ...row, created_at: createdAt, expires_at: expiresAt, retired_at: retiredAt };
  });
  await insertSecrets(db, rows);
}
