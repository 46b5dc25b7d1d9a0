import { tmpdir } from 'node:os';
import { sql } from 'kysely';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { openQueue } from '../src/pipeline/queue.ts';
import { createAccount, findAccount } from '../src/store/accounts.ts';
import { findContents, findRendered, insertContents, ROW_BYTES } from '../src/store/contents.ts';
import { notify, type OpenedDatabase, openDatabase } from '../src/store/database.ts';
import { deleteMessages, findMessage, inboxId, insertMessage, type NewMessage } from '../src/store/messages.ts';
import { statement } from '../src/store/statement.ts';
import { newDatabase, testDatabase } from './support/database.ts';

const NOW = new Date('2026-01-15T12:00:00Z');
const bytes = (size: number, value: number): Buffer => Buffer.alloc(size, value);

let opened: OpenedDatabase;
beforeAll(async () => {
  opened = await testDatabase();
});
afterAll(() => opened[Symbol.asyncDispose]());

it('keeps the database of a test, or of a demonstration, where it is deleted with the rest, also for root', () => {
  expect(inject('postgres').host.startsWith(`${tmpdir()}/smimp-test-`)).toBe(true);
});

it('leaves no connection behind when it cannot be brought up to date', async () => {
  const connection = await newDatabase();
  const client = new pg.Client(connection);
  await client.connect();
  try {
    const later = { name: '9999-of-a-later-version', timestamp: NOW.toISOString() };
    await client.query('insert into kysely_migration (name, timestamp) values ($1, $2)', [later.name, later.timestamp]);
    const opening = openDatabase({ connection, onError: (error) => process.emitWarning(error) });
    await expect(opening).rejects.toThrow('could not be brought up to date');
    const others = 'select 1 from pg_stat_activity where datname = $1 and pid <> pg_backend_pid()';
    const count = async () => (await client.query(others, [connection.database])).rowCount;
    // Sooner than connections end that nobody uses any more.
    await expect.poll(count, { timeout: 8_000 }).toBe(0);
  } finally {
    await client.end();
  }
});

it('a statement takes its values by name, as often as they stand in it, and tells them from casts', async () => {
  const ask = statement<{ first: number; second_one: Buffer | null }, object>(
    "select :first::int + :first::int as twice, :second_one::bytea is null as none, ':'::text as colon",
  );
  expect(await ask(opened.db, { second_one: null, first: 4 })).toEqual([{ twice: 8, none: true, colon: ':' }]);
  expect(await ask(opened.db, { first: 1, second_one: bytes(1, 0) })).toEqual([{ twice: 2, none: false, colon: ':' }]);
});

function message(accountId: number, folderId: number, number: number): NewMessage {
  return {
    message_id: bytes(32, number),
    account_id: accountId,
    folder_id: folderId,
    message_type: 'email',
    ciphertext: bytes(100, number),
    message_public_key: bytes(32, 7),
    nonce: bytes(24, 0),
    proof_of_work: null,
    message_hash: bytes(96, number),
    sender_address: 'alice#acme.test',
    sender_public_key: bytes(32, 1),
    time_received: NOW,
    pow_zero_bits: null,
    pow_nonce: null,
    login_token_hash: bytes(32, 2),
    received_via: 'smimp_client',
    extensions_data: null,
    state: 'pending',
  };
}

describe('what is kept of messages', () => {
  it('is read side by side, each whole and in its place, however large', async () => {
    const { db } = opened;
    const account = await db
      .transaction()
      .execute((tx) => createAccount(tx, { address: 'frank#corp.test', initializeHash: null, now: NOW }));
    const folder = await inboxId(db, account.id);
    const sizes = [1, 0, ROW_BYTES - 1, ROW_BYTES, 3 * ROW_BYTES, 7, null, 5];
    const kept = sizes.map((size, place) => ({
      message_id: bytes(32, 200 - place),
      account_id: account.id,
      renderer_version: 2 + (place % 2),
      sealed: bytes(100 + place, place),
      sealed_for: bytes(32, 100 + place),
      rendered: size === null ? null : bytes(size, place),
    }));
    for (const place of kept.keys())
      await db.transaction().execute((tx) => insertMessage(tx, message(account.id, folder, 200 - place)));
    await insertContents(db, kept);
    const ids = kept.map(({ message_id }) => message_id);
    const contents = await findContents(db, account.id, [...ids, bytes(32, 250)]);
    expect(new Set(contents)).toEqual(new Set(kept.map(({ rendered: _bytes, ...content }) => content)));
    const rendered = kept.map(({ message_id, sealed_for, rendered: of }) => ({ message_id, sealed_for, rendered: of }));
    const whole = rendered.filter(({ rendered: of }) => of !== null);
    expect(new Set(await findRendered(db, account.id, ids))).toEqual(new Set(whole));
    expect(await findRendered(db, account.id, [])).toEqual([]);
    expect(await findContents(db, account.id + 1, ids)).toEqual([]);
  });
});

describe('a mailbox in the database', () => {
  it('gives rising seqs, counts its size and forgets a key with its last message', async () => {
    const { db } = opened;
    const account = await db
      .transaction()
      .execute((tx) => createAccount(tx, { address: 'bob#corp.test', initializeHash: null, now: NOW }));
    const folder = await inboxId(db, account.id);
    for (const number of [1, 2]) {
      const place = await db.transaction().execute((tx) => insertMessage(tx, message(account.id, folder, number)));
      expect(place).toEqual({ seq: number, revision: number });
    }
    await db
      .insertInto('secret')
      .values({
        account_id: account.id,
        purpose: 'message',
        public_key: bytes(32, 7),
        kind: 'ephemeral',
        sealed: bytes(40, 9),
        created_at: NOW,
      })
      .execute();
    const secrets = () => db.selectFrom('secret').select('public_key').execute();
    await db.transaction().execute((tx) => deleteMessages(tx, account.id, [bytes(32, 1)], NOW));
    expect(await secrets()).toHaveLength(1);
    expect((await findAccount(db, 'bob#corp.test'))?.size_bytes).toBe(100);
    await db.transaction().execute((tx) => deleteMessages(tx, account.id, [bytes(32, 2), bytes(32, 9)], NOW));
    expect(await secrets()).toHaveLength(0);
    expect(await findMessage(db, account.id, bytes(32, 2))).toBeUndefined();
  });

  it('forgets a key that was replaced two days ago by the clock it is given, not a second sooner', async () => {
    const { db } = opened;
    const { id } = await db
      .transaction()
      .execute((tx) => createAccount(tx, { address: 'carol#corp.test', initializeHash: null, now: NOW }));
    const secret = { account_id: id, purpose: 'message' as const, kind: 'non-ephemeral', sealed: bytes(40, 9) };
    const dates = { created_at: NOW, retired_at: NOW };
    await db
      .insertInto('secret')
      .values({ ...secret, ...dates, public_key: bytes(32, 7) })
      .execute();
    const left = async () =>
      (await db.selectFrom('secret').select('kind').where('account_id', '=', id).execute()).length;
    const folder = await inboxId(db, id);
    for (const [number, afterMs, secrets] of [
      [11, 2 * 86_400_000, 1],
      [12, 2 * 86_400_000 + 1, 0],
    ] as const) {
      await db.transaction().execute((tx) => insertMessage(tx, message(id, folder, number)));
      const now = new Date(NOW.getTime() + afterMs);
      await db.transaction().execute((tx) => deleteMessages(tx, id, [bytes(32, number)], now));
      expect(await left()).toBe(secrets);
    }
  });

  it('tells other connections at commit', async () => {
    const heard: string[] = [];
    opened.listener.on('mailbox_changed', (payload) => heard.push(payload));
    await notify(opened.db, 'mailbox_changed', 42);
    await expect.poll(() => heard).toContain('42');
  });

  it('survives the loss of every connection, in the middle of work and at rest', async () => {
    await using broken = await testDatabase();
    const connection = { kind: 'postgres', connection: broken.connection } as const;
    await using queue = await openQueue({ settings: connection, onError: () => undefined });
    const { rows } = await sql<{ name: string }>`select current_database() as name`.execute(broken.db);
    const cut = () =>
      sql`select pg_terminate_backend(pid) from pg_stat_activity where datname = ${rows[0]?.name}`.execute(opened.db);
    const heard = new Promise<void>((resolve) => broken.listener.once('reconnected', resolve));
    const working = [
      sql`select pg_sleep(20)`.execute(broken.db),
      broken.db.transaction().execute((tx) => sql`select pg_sleep(20)`.execute(tx)),
    ];
    const ended = Promise.allSettled(working);
    const active = sql<{ n: number }>`
      select count(*)::int as n from pg_stat_activity where datname = ${rows[0]?.name} and query like 'select pg_sleep%'`;
    await expect.poll(async () => (await active.execute(opened.db)).rows[0]?.n).toBe(2);
    await cut();
    expect((await ended).map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    // An idle connection may be handed out before its loss is noticed.
    const one = async () => (await sql<{ one: number }>`select 1 as one`.execute(broken.db)).rows[0]?.one;
    await expect.poll(() => one().catch(() => null)).toBe(1);
    const added = () => queue.add([1]).then(() => true);
    await expect.poll(() => added().catch(() => false)).toBe(true);
    await heard;
  });
});

describe('prepared statements', () => {
  it('are prepared anew when a newer version of the program changed the table', async () => {
    const { db } = await testDatabase();
    await db
      .transaction()
      .execute((tx) => createAccount(tx, { address: 'eve#corp.test', initializeHash: null, now: NOW }));
    const find = () => findAccount(db, 'eve#corp.test');
    for (let i = 0; i < 20; i += 1) expect(await find()).toMatchObject({ address: 'eve#corp.test' });
    await sql`alter table account add column newer text`.execute(db);
    await Promise.allSettled([find(), find(), find(), find(), find()]);
    expect(await find()).toMatchObject({ address: 'eve#corp.test', newer: null });
    await db.destroy();
  });
});
