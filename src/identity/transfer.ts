/**
 * An account's keystore taken out of the bridge and put in again: for a backup, for a lost database, for moving to another
 * machine. What is put in never changes an account that has keys of its own here.
 */

import { type KeystoreData, masterOf, ownHistoryOf } from '../client/keystore-data.ts';
import type { Events } from '../events.ts';
import { type AccountKeys, addMasterSecret, addMessageSecrets } from '../keystore/account-keys.ts';
import type { Keystore } from '../keystore/keystore.ts';
import { hashPassword } from '../keystore/password.ts';
import type { Address } from '../smimp/address.ts';
import { wipe } from '../smimp/crypto.ts';
import { formatTimestamp, type Hex32, type Hex64, parseHex, parseTimestamp, toHex } from '../smimp/encoding.ts';
import type { Pin, PinState } from '../smimp/pin.ts';
import type { IdentityRecord } from '../smimp/record.ts';
import type { MessageKeyKind } from '../smimp/transcript.ts';
import { createAccount, findAccount } from '../store/accounts.ts';
import type { Db, Tx } from '../store/database.ts';
import { lockMailbox } from '../store/folders.ts';
import { replaceKeyPool, setNonEphemeral } from '../store/message-keys.ts';
import { listOwnRecords } from '../store/own-records.ts';
import { archivePin, listArchivedPins, listPins, savePin } from '../store/pins.ts';
import { appendRecord, identityRecord, initializeAccount, listRecords } from '../store/records.ts';
import { listMessageSecrets } from '../store/secrets.ts';
import { findUserByAddress } from '../store/users.ts';
import { keepOwnRecord, makeKeySet } from './publish.ts';

export type TransferErrorCode =
  /** The account has keys of its own here. Nothing was changed. */
  | 'has-keys'
  /** The server here knows this account with another history. Nothing was changed. */
  | 'other-history';

export class TransferError extends Error {
  override readonly name = 'TransferError';
  readonly code: TransferErrorCode;

  constructor(code: TransferErrorCode) {
    super(code);
    this.code = code;
  }
}

export interface KeystoreTransfer {
  /** Everything that a backup holds, unsealed. Throws KeystoreError. */
  take(accountId: number): Promise<KeystoreData>;
  /**
   * Makes the account of a keystore, or gives its keys to one that has none here, with new message keys. `password` is that
   * of its mail programs. Throws TransferError.
   */
  put(keystore: KeystoreData, password: string): Promise<{ accountId: number }>;
}

export function createKeystoreTransfer(options: {
  db: Db;
  keystore: Keystore;
  events: Events;
  clock: () => Date;
}): KeystoreTransfer {
  const { db, keystore, events, clock } = options;
  return {
    async take(accountId) {
      // One transaction, one state: a rotation must not come between.
      return db
        .transaction()
        .setIsolationLevel('repeatable read')
        .execute(async (tx) => takeAll(tx, await keystore.open(accountId, tx)));
    },
    async put(data, password) {
      const passwordHash = await hashPassword(password);
      const now = clock();
      const { accountId, count } = await db
        .transaction()
        .execute((tx) => putAll(tx, { keystore, data, passwordHash, now }));
      const user = { account_id: accountId, address: data.address, custody: 'server' as const };
      await keystore.rememberScram({ ...user, password_hash: passwordHash }, password);
      events.keysPublished({ accountId, ephemeral: count, nonEphemeral: 1 });
      return { accountId };
    },
  };
}

const timestampOf = (date: Date) => formatTimestamp(date.getTime() / 1000);
const dateOf = (timestamp: string): Date => new Date(parseTimestamp(timestamp) * 1000);
const KEY_BYTES = 32;

async function takeAll(tx: Tx, keys: AccountKeys): Promise<KeystoreData> {
  const { accountId, address } = keys;
  const master = await keys.master();
  const records = await listOwnRecords(tx, accountId);
  return {
    address,
    master: toHex<Hex64>(master.secretKey),
    own_history: records.map((row) => ({ ...identityRecord(row), added: timestampOf(row.added_at) })),
    message_keys: await takeSecrets(tx, keys),
    storage_key: toHex(await keys.storageKey()),
    pins: (await listPins(tx, accountId)).map((row) => ({
      contact: row.contact as Address,
      state: row.state as PinState,
      pin: row.pin as Pin,
      evidence: row.evidence === null ? null : JSON.stringify(row.evidence),
      verified: row.verified_at && timestampOf(row.verified_at),
      checked: timestampOf(row.checked_at),
    })),
    archived_pins: (await listArchivedPins(tx, accountId)).map(({ contact, pin, archived_at }) => ({
      contact: contact as Address,
      pin: pin as Pin,
      archived: timestampOf(archived_at),
    })),
  };
}

async function takeSecrets(tx: Tx, keys: AccountKeys): Promise<KeystoreData['message_keys']> {
  const rows = await listMessageSecrets(tx, keys.accountId);
  return rows.map((row) => ({
    public_key: toHex<Hex32>(row.public_key),
    secret_key: toHex<Hex32>(keys.unseal('message', row.public_key, row.sealed)),
    kind: row.kind as MessageKeyKind,
    created: timestampOf(row.created_at),
    expires: timestampOf(row.expires_at ?? row.created_at),
    retired: row.retired_at && timestampOf(row.retired_at),
  }));
}

type Putting = { keystore: Keystore; data: KeystoreData; passwordHash: string; now: Date };

async function putAll(tx: Tx, putting: Putting): Promise<{ accountId: number; count: number }> {
  const { keystore, data, passwordHash, now } = putting;
  const { address } = data;
  if ((await findUserByAddress(tx, address)) !== undefined) throw new TransferError('has-keys');
  const known = await findAccount(tx, address);
  const { id: accountId } = known ?? (await createAccount(tx, { address, initializeHash: null, now }));
  // Somebody may be giving it keys just now, with a one-time code.
  await lockMailbox(tx, accountId);
  const served = (await listRecords(tx, accountId)).map(identityRecord);
  if (served.length > 0 && !isSame(served, data.own_history)) throw new TransferError('other-history');
  const storageKey = parseHex(data.storage_key, KEY_BYTES);
  const keys = await keystore.createUser(tx, { accountId, address, passwordHash, now, storageKey });
  await putSecrets(tx, keys, data, now);
  await putPins(tx, accountId, data);
  const count = await publish(tx, { keys, data, isServed: served.length > 0, now });
  return { accountId, count };
}

function isSame(served: readonly IdentityRecord[], own: readonly IdentityRecord[]): boolean {
  return served.length === own.length && served.every(({ signed_hash }, i) => signed_hash === own[i]?.signed_hash);
}

async function putSecrets(tx: Tx, keys: AccountKeys, data: KeystoreData, now: Date): Promise<void> {
  const secrets = data.message_keys.map(({ public_key, kind, secret_key, created, expires, retired }) => ({
    key: { public_key, kind },
    secret: parseHex(secret_key, KEY_BYTES),
    expiresAt: dateOf(expires),
    createdAt: dateOf(created),
    // A new key set is published beside them, so all of these are replaced ones.
    retiredAt: retired === null ? now : dateOf(retired),
  }));
  await addMessageSecrets(tx, keys, secrets, now);
  for (const [seq, { added, ...record }] of data.own_history.entries()) {
    await keepOwnRecord(tx, keys.accountId, record, { seq, now: dateOf(added) });
  }
}

async function putPins(tx: Tx, accountId: number, { pins, archived_pins }: KeystoreData): Promise<void> {
  for (const { contact, state, pin, evidence, verified, checked } of pins) {
    await savePin(tx, {
      ...{ accountId, contact, state, pin },
      evidence: evidence === null ? null : (JSON.parse(evidence) as object),
      verifiedAt: verified === null ? null : dateOf(verified),
      now: dateOf(checked),
    });
  }
  for (const { contact, pin, archived } of archived_pins) {
    await archivePin(tx, { accountId, contact, pin, now: dateOf(archived) });
  }
}

/** The server's half: the history, where it is not there, and new message keys. How many single-use ones. */
async function publish(
  tx: Tx,
  { keys, data, isServed, now }: { keys: AccountKeys; data: KeystoreData; isServed: boolean; now: Date },
): Promise<number> {
  const { accountId } = keys;
  const master = masterOf(data);
  await addMasterSecret(tx, keys, master, now);
  const made = await makeKeySet(tx, keys, { master, now });
  const masterKey = toHex(master.publicKey);
  wipe(master.secretKey);
  if (isServed) {
    await setNonEphemeral(tx, accountId, made.nonEphemeralKey, masterKey, now);
    await replaceKeyPool(tx, accountId, made.ephemeralKeys, masterKey);
    return made.ephemeralKeys.length;
  }
  const [first, ...later] = ownHistoryOf(data).history.records;
  const record = first as IdentityRecord;
  if (!(await initializeAccount(tx, { accountId, record, masterKey, ...made, now })))
    throw new TransferError('other-history');
  for (const [i, record] of later.entries()) await appendRecord(tx, accountId, record, { seq: i + 1, now });
  return made.ephemeralKeys.length;
}
