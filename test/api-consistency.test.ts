/**
 * Answers of the home server (SMIMP 0.1 §5) that must hold together while something changes, at once or over many calls:
 * a contact who sees a head beside another state of the history would block the account.
 */
import { once } from 'node:events';
import { request } from 'node:https';
import { connect } from 'node:tls';
import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Address, parseAddress } from '../src/smimp/address.ts';
import { verifyHistory } from '../src/smimp/chain.ts';
import { masterKeyPair, randomBytes } from '../src/smimp/crypto.ts';
import { type Hex32, toHex } from '../src/smimp/encoding.ts';
import { verifyMessageKey } from '../src/smimp/message-key.ts';
import { MAX_HISTORY_RECORDS, recordHead, rotateRecord } from '../src/smimp/record.ts';
import type { Tx } from '../src/store/database.ts';
import { deleteMessages, inboxId } from '../src/store/messages.ts';
import { appendRecord, changeMasterKey } from '../src/store/records.ts';
import {
  type Account,
  ALICE,
  type ApiSite,
  answerOf,
  codeOf,
  keyOf,
  type Login,
  loginBody,
  segment,
  startApi,
  stranger,
} from './support/api-site.ts';

let site: ApiSite;
let remote: Login;

beforeAll(async () => {
  site = await startApi({ limits: { bodyTimeoutMs: 300 } });
  remote = await site.logIn(stranger(site, ALICE));
});
afterAll(() => site[Symbol.asyncDispose]());

let people = 0;
const newAddress = (): Address => parseAddress(`p${++people}#corp.test`);
const unix = (): number => Math.floor(site.now.getTime() / 1000);
const socketTo = () =>
  connect({ host: '127.0.0.1', port: site.port, ca: site.ca, servername: 'smimp.corp.test', rejectUnauthorized: true });

/** Statements of this database that wait for a lock. */
async function waitingForLock(): Promise<number> {
  const { rows } = await sql<{ n: number }>`
    select count(*) as n from pg_stat_activity
    where datname = current_database() and wait_event_type = 'Lock'`.execute(site.opened.db);
  return Number(rows[0]?.n);
}

/** Replaces the master key in `tx`; the history and keys that are there once it commits. */
async function rotate(tx: Tx, owner: Account) {
  const newKey = masterKeyPair();
  const renewed = { address: owner.address, master: newKey };
  const record = rotateRecord({ previous: owner.record, signer: owner.master, newKey, now: unix() });
  await changeMasterKey(tx, {
    accountId: owner.accountId,
    address: owner.address,
    record,
    seq: 1,
    masterKey: toHex(newKey.publicKey),
    nonEphemeralKey: keyOf(renewed, 'non-ephemeral', site.now),
    ephemeralKeys: [keyOf(renewed, 'ephemeral', site.now)],
    now: site.now,
  });
  return { record, masterKeys: [owner.master, newKey].map(({ publicKey }) => toHex<Hex32>(publicKey)) };
}

/** Starts a call while a rotation is under way that holds the account's lock, and lets the rotation finish. */
async function duringRotation<Result>(owner: Account, call: () => Promise<Result>) {
  return site.opened.db.transaction().execute(async (tx) => {
    await tx.selectFrom('account').select('id').where('id', '=', owner.accountId).forUpdate().execute();
    const started = call();
    await expect.poll(waitingForLock).toBeGreaterThan(0);
    return { rotated: await rotate(tx, owner), started };
  });
}

describe('while a master key is replaced', () => {
  it('gives a message key beside the head it belongs to', async () => {
    const owner = await site.account(newAddress());
    const ask = () => site.post('/0.1/get_message_key', { address: owner.address }, remote.token);
    const { rotated, started } = await duringRotation(owner, ask);
    const answer = answerOf('get_message_key', await started);
    expect(answer).toMatchObject({ head: recordHead(1, rotated.record), public_key: rotated.masterKeys[1] });
    const { address } = owner;
    const check = { address, key: answer.message_key, masterKeys: rotated.masterKeys, now: unix() };
    expect(() => verifyMessageKey(check)).not.toThrow();
  });

  it('opens no session under the old key', async () => {
    const owner = await site.account(newAddress());
    const body = await loginBody(site, owner);
    const logIn = () => site.post(`/0.1/create_session/${segment(owner.address)}`, body);
    const { started } = await duringRotation(owner, logIn);
    expect(codeOf(await started)).toBe('unauthorized');
    const { db } = site.opened;
    expect(await db.selectFrom('session').where('address', '=', owner.address).selectAll().execute()).toEqual([]);
  });
});

describe('a history', () => {
  it('always verifies, also while records are added', async () => {
    const owner = await site.account(newAddress());
    const { db } = site.opened;
    let previous = owner.record;
    let ended = false;
    const writing = (async () => {
      for (let seq = 1; seq <= 40; seq++) {
        const profile = { name: `Name ${seq}` };
        previous = rotateRecord({ previous, signer: owner.master, now: unix(), profile });
        const record = previous;
        await db.transaction().execute((tx) => appendRecord(tx, owner.accountId, record, { seq, now: site.now }));
      }
      ended = true;
    })();
    const read = async (): Promise<void> => {
      while (!ended) {
        const reply = await site.get(`/0.1/get_user/${segment(owner.address)}/history`);
        const { records, head } = answerOf('get_history', reply);
        expect(() => verifyHistory({ address: owner.address, records, head })).not.toThrow();
      }
    };
    await Promise.all([writing, read(), read(), read()]);
  });

  it('grows to a thousand records and not beyond, for nobody would accept it', async () => {
    const owner = await site.account(newAddress());
    let previous = owner.record;
    await site.opened.db.transaction().execute(async (tx) => {
      for (let seq = 1; seq < MAX_HISTORY_RECORDS - 1; seq++) {
        previous = rotateRecord({ previous, signer: owner.master, now: unix() });
        await appendRecord(tx, owner.accountId, previous, { seq, now: new Date('2026-01-01T00:00:00Z') });
      }
    });
    const { token } = await site.logIn(owner);
    const last = rotateRecord({ previous, signer: owner.master, now: unix() });
    expect((await site.post('/0.1/update_profile', { record: last }, token)).status).toBe(200);
    const tooMany = rotateRecord({ previous: last, signer: owner.master, now: unix() });
    expect(codeOf(await site.post('/0.1/update_profile', { record: tooMany }, token))).toBe('bad_record');
  });
});

describe('changes', () => {
  const page = async (login: Login, query: string) =>
    answerOf('get_changes', await site.get(`/0.1/changes${query}`, login.token));

  /** Puts messages straight into a mailbox, each change of which has the revision given. */
  async function fill(owner: Account, revisions: readonly number[]): Promise<string[]> {
    const { db } = site.opened;
    const folder_id = await inboxId(db, owner.accountId);
    const rows = revisions.map((revision, i) => ({
      message_id: randomBytes(32),
      account_id: owner.accountId,
      folder_id,
      seq: i + 1,
      revision,
      message_type: 'email',
      ciphertext: randomBytes(8),
      size_bytes: 8,
      message_public_key: randomBytes(32),
      nonce: randomBytes(24),
      proof_of_work: null,
      message_hash: randomBytes(96),
      sender_address: ALICE,
      sender_public_key: randomBytes(32),
      time_received: site.now,
      pow_zero_bits: null,
      pow_nonce: null,
      login_token_hash: randomBytes(32),
      received_via: 'smimp_client' as const,
      extensions_data: null,
      state: 'shown' as const,
    }));
    await db.insertInto('message').values(rows).execute();
    const last = Math.max(...revisions);
    await db.updateTable('account').set({ revision: last }).where('id', '=', owner.accountId).execute();
    return rows.map(({ message_id }) => toHex(message_id));
  }

  /** A cursor without its token. */
  const place = (cursor: string): string => cursor.replace(/\.e[0-9a-f]{16}$/, '');

  it('come in pages of 500, each once, and never half of one revision', async () => {
    const owner = await site.account(newAddress());
    const login = await site.logIn(owner);
    // Revision 500 is of twenty messages at once; the page ends behind it.
    const ids = await fill(
      owner,
      [...Array(1_200).keys()].map((i) => (i >= 499 && i < 519 ? 500 : i + 1)),
    );
    const seen: string[] = [];
    const sizes: number[] = [];
    let cursor = '';
    for (;;) {
      const answer = await page(login, `?cursor=${cursor}`);
      if (answer.changes.length === 0) break;
      expect(answer.reset).toBe(false);
      sizes.push(answer.changes.length);
      seen.push(...answer.changes.map(({ message_id }) => message_id));
      cursor = answer.cursor;
    }
    expect(sizes).toEqual([519, 500, 181]);
    expect(seen).toEqual(ids);
    expect(place(cursor)).toBe('r1200');
  });

  it('begin again after a cursor from the future, in pages too', async () => {
    const owner = await site.account(newAddress());
    const login = await site.logIn(owner);
    await fill(
      owner,
      [...Array(700).keys()].map((i) => i + 1),
    );
    const first = await page(login, '?cursor=r9000');
    expect([first.reset, first.changes.length, place(first.cursor)]).toEqual([true, 500, 'r500']);
    const rest = await page(login, `?cursor=${first.cursor}`);
    expect([rest.reset, rest.changes.length, place(rest.cursor)]).toEqual([false, 200, 'r700']);
  });

  it('begin again after a cursor from before what is remembered of deletions, and that once only', async () => {
    const owner = await site.account(newAddress());
    const login = await site.logIn(owner);
    const [first = ''] = await fill(
      owner,
      [...Array(1_200).keys()].map((i) => i + 1),
    );
    const { cursor: first500 } = await page(login, '');
    const next = await page(login, `?cursor=${first500}`);
    expect([next.reset, place(next.cursor)]).toEqual([false, 'r1000']);
    const { accountId } = owner;
    const { db } = site.opened;
    await db.transaction().execute((tx) => deleteMessages(tx, accountId, [Buffer.from(first, 'hex')], site.now));
    await db.updateTable('account').set({ expunged_floor: 1_201 }).where('id', '=', accountId).execute();
    const pages: [boolean, number, string][] = [];
    for (let cursor = first500; pages.at(-1)?.[1] !== 0; ) {
      const answer = await page(login, `?cursor=${cursor}`);
      pages.push([answer.reset, answer.changes.length, place(answer.cursor)]);
      cursor = answer.cursor;
    }
    expect(pages).toEqual([
      [true, 500, 'r501.1201'],
      [false, 500, 'r1001.1201'],
      [false, 200, 'r1201'],
      [false, 0, 'r1201'],
    ]);
    expect((await page(login, '')).reset).toBe(false);
    expect((await page(login, `?cursor=${first500}`)).reset).toBe(true);
  });

  it('are waited for as long as was asked, and no longer than the caller', async () => {
    const owner = await site.account(newAddress());
    const login = await site.logIn(owner);
    const { cursor } = await page(login, '');
    expect(await page(login, `?cursor=${cursor}&wait=1`)).toEqual({ cursor, reset: false, changes: [] });
    const listeners = (): number => site.opened.listener.listenerCount('mailbox_changed');
    expect(listeners()).toBe(0);
    const asking = request({
      host: '127.0.0.1',
      port: site.port,
      ca: site.ca,
      servername: 'smimp.corp.test',
      path: `/0.1/changes?cursor=${cursor}&wait=30`,
      headers: { 'smimp-authentication': login.token },
    });
    const gone = once(asking, 'error');
    asking.end();
    await expect.poll(listeners).toBe(1);
    asking.destroy(new Error('the caller is gone'));
    await gone;
    await expect.poll(listeners).toBe(0);
  });
});

describe('a connection', () => {
  const head = (type: string): string =>
    `POST /0.1/get_message_key HTTP/1.1\r\nHost: x\r\nSMIMP-Authentication: ${remote.token}\r\nContent-Type: ${type}\r\nContent-Length: 50\r\n\r\n{`;

  it('that breaks off in the middle of a request is no fault of the server', async () => {
    const used = async () =>
      (await site.opened.db.selectFrom('session').select('last_used_at').where('address', '=', ALICE).execute())[0];
    site.later(120);
    site.log.length = 0;
    const socket = socketTo();
    await once(socket, 'secureConnect');
    socket.write(head('application/json'));
    // The use of the session is noted when the head of the request has arrived.
    await expect.poll(used).toEqual({ last_used_at: site.now });
    socket.destroy();
    await expect.poll(() => site.log.join('')).toContain('"bad_request"');
    expect(site.log.join('')).not.toMatch(/unexpected|internal/);
  });

  it('gets one answer to one request, also when its body never comes', async () => {
    const socket = socketTo();
    await once(socket, 'secureConnect');
    socket.write(head('text/plain'));
    let got = '';
    socket.on('data', (bytes: Buffer) => {
      got += bytes.toString();
    });
    await once(socket, 'close');
    expect(got.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 415']);
  });
});
