import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createEvents } from '../src/events.ts';
import { type Accounts, createAccounts } from '../src/identity/accounts.ts';
import {
  createKeyMaintenance,
  KEEP_RETIRED_MS,
  KEEP_UNUSED_MS,
  type KeyMaintenance,
  LAST_ISSUE_BEFORE_MS,
  ROTATE_AFTER_MS,
  TOP_UP_BELOW,
} from '../src/identity/maintenance.ts';
import { readOwnHistory } from '../src/identity/own-history.ts';
import { EPHEMERAL_LIFETIME_DAYS, POOL_SIZE } from '../src/identity/publish.ts';
import { createKeystore, type Keystore } from '../src/keystore/keystore.ts';
import { createLogger } from '../src/log.ts';
import { type Address, parseAddress } from '../src/smimp/address.ts';
import { verifyHistory } from '../src/smimp/chain.ts';
import { messagePublicKey } from '../src/smimp/crypto.ts';
import { type Hex32, toHex } from '../src/smimp/encoding.ts';
import { verifyMessageKey } from '../src/smimp/message-key.ts';
import type { Db, OpenedDatabase } from '../src/store/database.ts';
import { findNonEphemeral } from '../src/store/message-keys.ts';
import { inboxId, insertMessage } from '../src/store/messages.ts';
import { listRecords } from '../src/store/records.ts';
import { testDatabase } from './support/database.ts';

const START = new Date('2026-01-15T12:00:00Z');
const DAY_MS = 86_400_000;
const SERVER_KEY = Buffer.alloc(32, 7);

let opened: OpenedDatabase;
let db: Db;
let keystore: Keystore;
let accounts: Accounts;
let maintenance: KeyMaintenance;
let address: Address;
let accountId: number;
const logged: string[] = [];
const later = (ms: number): Date => new Date(START.getTime() + ms);

beforeAll(async () => {
  opened = await testDatabase();
  db = opened.db;
  keystore = createKeystore({ db, serverKey: SERVER_KEY });
  const events = createEvents(createLogger({ level: 'info', destination: { write: (line) => logged.push(line) } }));
  accounts = createAccounts({ db, keystore, events, clock: () => START });
  maintenance = createKeyMaintenance({ db, keystore, events });
});
afterAll(() => opened[Symbol.asyncDispose]());
beforeEach(async () => {
  await db.deleteFrom('message').execute();
  await db.deleteFrom('folder').execute();
  await db.deleteFrom('account').execute();
  address = parseAddress(`u${randomUUID().replaceAll('-', '')}#acme.test`);
  accountId = (await accounts.add({ address, password: 'secret word', name: 'Alice' })).id;
  logged.length = 0;
});

const publicKeys = (state: 'available' | 'issued' | 'current' | 'replaced') =>
  db.selectFrom('message_key').selectAll().where('account_id', '=', accountId).where('state', '=', state).execute();
const secrets = () =>
  db.selectFrom('secret').selectAll().where('account_id', '=', accountId).where('purpose', '=', 'message').execute();
const ownHistory = async () => (await readOwnHistory(db, { accountId, address })).history;

/** As `get_message_key` would: the next `count` keys of the pool are given out. */
async function issue(count: number): Promise<Buffer[]> {
  const keys = (await publicKeys('available')).slice(0, count).map((row) => row.public_key);
  await db.updateTable('message_key').set({ state: 'issued' }).where('public_key', 'in', keys).execute();
  return keys;
}

async function receive(publicKey: Buffer): Promise<void> {
  const folder = await inboxId(db, accountId);
  const random = () => Buffer.from(randomUUID().replaceAll('-', '').repeat(2), 'hex');
  await db.transaction().execute((tx) =>
    insertMessage(tx, {
      message_id: random(),
      account_id: accountId,
      folder_id: folder,
      message_type: 'email',
      ciphertext: Buffer.alloc(10),
      message_public_key: publicKey,
      nonce: Buffer.alloc(24),
      proof_of_work: null,
      message_hash: Buffer.alloc(96),
      sender_address: 'bob#corp.test',
      sender_public_key: Buffer.alloc(32),
      time_received: START,
      pow_zero_bits: null,
      pow_nonce: null,
      login_token_hash: Buffer.alloc(32),
      received_via: 'smimp_client',
      extensions_data: null,
      state: 'pending',
    }),
  );
}

/** Every published key is signed by the current master key, and its secret is at hand. */
async function checkPublished(now: Date): Promise<void> {
  const keys = await keystore.open(accountId);
  const { masterKeys } = await ownHistory();
  for (const row of [...(await publicKeys('available')), ...(await publicKeys('current'))]) {
    const key = {
      public_key: toHex<Hex32>(row.public_key),
      kind: row.kind,
      created: row.created,
      expires: row.expires,
      signed_hash: toHex(row.signed_hash),
    };
    verifyMessageKey({ address, key, masterKeys, now: now.getTime() / 1000 });
    const secret = await keys.messageSecret(row.public_key);
    expect(Buffer.from(messagePublicKey(secret ?? Buffer.alloc(32, 1)))).toEqual(row.public_key);
  }
}

describe('a new account', () => {
  it('has an identity, a full pool, a non-ephemeral key and every secret, on both sides the same history', async () => {
    expect(await publicKeys('available')).toHaveLength(POOL_SIZE);
    expect(await publicKeys('current')).toHaveLength(1);
    expect(await secrets()).toHaveLength(POOL_SIZE + 1);
    await checkPublished(START);
    const own = await ownHistory();
    expect(own.data[0]?.name).toBe('Alice');
    const served = (await listRecords(db, accountId)).map((row) => ({
      data: row.data,
      signed_hash: toHex(row.signed_hash),
      new_key_signed_hash: null,
    }));
    expect(verifyHistory({ address, records: served, head: own.head }).head).toBe(own.head);
    const account = await accounts.find(address);
    expect(account).toMatchObject({ initialized_at: START, initialize_hash: null });
    expect(
      await keystore.verifyPassword({ address, password: 'secret word', source: '::1', now: START }),
    ).toMatchObject({
      ok: true,
      accountId,
    });
    expect((await accounts.fingerprint(address)).uri).toContain('smimp-verify:');
  });

  it('is made whole or not at all', async () => {
    await expect(accounts.add({ address, password: 'again', name: null })).rejects.toMatchObject({ code: '23505' });
    const other = parseAddress('other#acme.test');
    await expect(accounts.add({ address: other, password: '', name: null })).rejects.toMatchObject({
      code: 'password-length',
    });
    expect(await accounts.find(other)).toBeNull();
    expect(await accounts.list()).toHaveLength(1);
  });

  it('has a random master key: the same address, password and moment give another one', async () => {
    const keyNow = async (): Promise<Hex32> => (await readOwnHistory(db, { accountId, address })).history.currentKey;
    const seen = new Set([await keyNow()]);
    for (let again = 0; again < 3; again += 1) {
      await accounts.remove(accountId);
      accountId = (await accounts.add({ address, password: 'secret word', name: 'Alice' })).id;
      seen.add(await keyNow());
    }
    expect(seen.size).toBe(4);
  });

  it('is gone with everything when it is removed', async () => {
    await receive((await issue(1))[0] as Buffer);
    await accounts.remove(accountId);
    expect(await accounts.list()).toEqual([]);
    for (const table of ['secret', 'mail_user', 'message_key', 'record', 'own_record', 'message'] as const) {
      expect(await db.selectFrom(table).selectAll().execute()).toEqual([]);
    }
  });
});

describe('a round of maintenance', () => {
  it('does nothing when nothing is due, however often it runs', async () => {
    const before = [await publicKeys('available'), await secrets()];
    await maintenance.runOnce(later(ROTATE_AFTER_MS - 1));
    await maintenance.runOnce(later(ROTATE_AFTER_MS - 1));
    expect([await publicKeys('available'), await secrets()]).toEqual(before);
    expect(logged).toEqual([]);
  });

  it('fills the pool up when fewer than half are left, in one process only', async () => {
    await issue(POOL_SIZE - TOP_UP_BELOW);
    await maintenance.runOnce(START);
    expect(await publicKeys('available')).toHaveLength(TOP_UP_BELOW);
    await issue(1);
    await Promise.all([maintenance.runOnce(START), maintenance.runOnce(START), maintenance.runOnce(START)]);
    expect(await publicKeys('available')).toHaveLength(POOL_SIZE);
    await checkPublished(START);
    expect(logged.map((line) => JSON.parse(line))).toMatchObject([{ event: 'keys_published', ephemeral: 51 }]);
  });

  it('replaces the non-ephemeral key weekly and keeps the old secret while messages may come', async () => {
    const before = await findNonEphemeral(db, accountId);
    const now = later(ROTATE_AFTER_MS);
    await maintenance.runOnce(now);
    const after = await findNonEphemeral(db, accountId);
    expect(after?.public_key).not.toEqual(before?.public_key);
    expect(await publicKeys('replaced')).toMatchObject([{ public_key: before?.public_key, replaced_at: now }]);
    await checkPublished(now);
    const oldSecret = async () => (await keystore.open(accountId)).messageSecret(before?.public_key as Buffer);
    await maintenance.runOnce(new Date(now.getTime() + KEEP_RETIRED_MS));
    expect(await oldSecret()).not.toBeNull();
    await maintenance.runOnce(new Date(now.getTime() + KEEP_RETIRED_MS + 1));
    expect(await oldSecret()).toBeNull();
  });

  it('never erases a secret to which a message is encrypted', async () => {
    const before = await findNonEphemeral(db, accountId);
    const [issued] = await issue(1);
    await receive(before?.public_key as Buffer);
    await receive(issued as Buffer);
    await maintenance.runOnce(later(ROTATE_AFTER_MS));
    await maintenance.runOnce(later(1000 * DAY_MS));
    const keys = await keystore.open(accountId);
    expect(await keys.messageSecret(before?.public_key as Buffer)).not.toBeNull();
    expect(await keys.messageSecret(issued as Buffer)).not.toBeNull();
  });

  it('keeps secrets of keys that were issued but not used until 30 days after they expire', async () => {
    const [issued] = await issue(1);
    const held = async () => (await keystore.open(accountId)).messageSecret(issued as Buffer);
    const expires = EPHEMERAL_LIFETIME_DAYS * DAY_MS;
    await maintenance.runOnce(later(expires + KEEP_UNUSED_MS));
    expect(await held()).not.toBeNull();
    await maintenance.runOnce(later(expires + KEEP_UNUSED_MS + 1));
    expect(await held()).toBeNull();
  });

  it('issues no key that is about to expire', async () => {
    const lastDay = EPHEMERAL_LIFETIME_DAYS * DAY_MS - LAST_ISSUE_BEFORE_MS;
    await maintenance.runOnce(later(lastDay));
    const [first] = await publicKeys('available');
    expect(first?.created).toBe('2026-01-15 12:00:00');
    await maintenance.runOnce(later(lastDay + 1000));
    const renewed = await publicKeys('available');
    expect(renewed).toHaveLength(POOL_SIZE);
    expect(renewed.every(({ created }) => created > '2026-04-08')).toBe(true);
  });

  it('does the other accounts when one cannot be opened', async () => {
    const other = await accounts.add({ address: parseAddress('zoe#acme.test'), password: 'x', name: null });
    await db.updateTable('mail_user').set({ custody: 'password' }).where('account_id', '=', accountId).execute();
    await maintenance.runOnce(later(ROTATE_AFTER_MS));
    const rotated = await findNonEphemeral(db, other.id);
    expect(rotated?.created).toBe('2026-01-22 12:00:00');
    expect(logged.map((line) => JSON.parse(line))).toContainEqual(
      expect.objectContaining({ event: 'unexpected', error: expect.objectContaining({ code: 'locked' }) }),
    );
  });
});

describe('a new master key', () => {
  it('takes over in one step: record, keys, sessions; the old secret is erased, message secrets stay', async () => {
    const [issued] = await issue(1);
    const before = await (await keystore.open(accountId)).master();
    await db
      .insertInto('session')
      .values({
        token_hash: Buffer.alloc(32, 1),
        login_token_hash: Buffer.alloc(32, 2),
        address,
        scope: 'home',
        public_key: Buffer.from(before.publicKey),
        key_checked_at: START,
        created_at: START,
        last_used_at: START,
        expires_at: later(DAY_MS),
      })
      .execute();
    await maintenance.rotateMaster(accountId, later(1000));
    const own = await ownHistory();
    const master = await (await keystore.open(accountId)).master();
    expect(own.seq).toBe(1);
    expect(own.currentKey).toBe(toHex(master.publicKey));
    expect(own.currentKey).not.toBe(toHex(before.publicKey));
    expect(own.data[1]?.name).toBe('Alice');
    expect(await listRecords(db, accountId, 1)).toMatchObject([{ seq: 1, data: own.records[1]?.data }]);
    const masters = await db.selectFrom('secret').select('public_key').where('purpose', '=', 'master').execute();
    expect(masters).toEqual([{ public_key: master.publicKey }]);
    expect(await db.selectFrom('session').selectAll().execute()).toEqual([]);
    expect(await publicKeys('available')).toHaveLength(POOL_SIZE);
    await checkPublished(later(1000));
    expect(await (await keystore.open(accountId)).messageSecret(issued as Buffer)).not.toBeNull();
  });

  it('follows another when two come at once', async () => {
    await Promise.all([maintenance.rotateMaster(accountId, START), maintenance.rotateMaster(accountId, START)]);
    const own = await ownHistory();
    expect(own.seq).toBe(2);
    expect(own.masterKeys).toHaveLength(3);
    await checkPublished(START);
  });
});
