import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { addMasterSecret } from '../src/keystore/account-keys.ts';
import { createKeystore, type Keystore } from '../src/keystore/keystore.ts';
import { createDiscovery } from '../src/remote/discovery.ts';
import { apiDisposition, type Disposition, RemoteError } from '../src/remote/errors.ts';
import { createHomeClient, type HomeClient, type Session } from '../src/remote/home.ts';
import { createHttps } from '../src/remote/https.ts';
import { createFetchPublicKey } from '../src/remote/public-keys.ts';
import { createSessions, SESSION_IDLE_MS, SESSION_MARGIN_MS, type Sessions } from '../src/remote/sessions.ts';
import { parseAddress } from '../src/smimp/address.ts';
import { API_ERRORS, type ApiErrorCode, MAX_REMOTE_FETCHES_PER_MINUTE, problem } from '../src/smimp/api.ts';
import { masterKeyPair } from '../src/smimp/crypto.ts';
import { toHex } from '../src/smimp/encoding.ts';
import { loginTokenDigest } from '../src/smimp/transcript.ts';
import { createAccount } from '../src/store/accounts.ts';
import type { OpenedDatabase } from '../src/store/database.ts';
import { deleteSecret } from '../src/store/secrets.ts';
import { testDatabase } from './support/database.ts';
import { type HostileServer, type ServedUser, startHostileServer } from './support/hostile-server.ts';
import { answerJson, answerText, type Handler, testAuthority } from './support/tls-server.ts';

const ALICE = parseAddress('alice#acme.test');
const MASTER = masterKeyPair();
const EVERYTHING_FOR_BOB = { message_type: 'email' };

let opened: OpenedDatabase;
let server: HostileServer;
let home: HomeClient;
let bob: ServedUser;
let now: Date;
let keystore: Keystore;
let accountId: number;
const cleanup: AsyncDisposable[] = [];
const seconds = (): number => Math.floor(now.getTime() / 1000);
const wait = (ms: number): void => {
  now = new Date(now.getTime() + ms);
};

beforeAll(async () => {
  now = new Date('2026-01-15T12:00:00Z');
  opened = await testDatabase();
  server = await startHostileServer('corp.test', { zeroBits: 3, now: seconds });
  const https = createHttps({ hosts: server.hosts, allow: [], ca: [(await testAuthority()).certificate] });
  home = createHomeClient({ https, timeoutMs: 300, sendTimeoutMs: 300 });
  keystore = createKeystore({ db: opened.db, serverKey: Buffer.alloc(32, 1) });
  accountId = await opened.db.transaction().execute(async (tx) => {
    const { id } = await createAccount(tx, { address: ALICE, initializeHash: null, now });
    const keys = await keystore.createUser(tx, { accountId: id, address: ALICE, passwordHash: 'none', now });
    await addMasterSecret(tx, keys, MASTER, now);
    return id;
  });
  cleanup.push(https, server, opened);
});
afterAll(async () => {
  for (const one of cleanup) await one[Symbol.asyncDispose]();
});
beforeEach(() => {
  bob = server.addUser('bob', seconds());
  server.requests.length = 0;
});
const CALL_NAMES = [
  'get_public_key',
  'get_history',
  'get_create_session',
  'post_create_session',
  'get_message_key',
  'get_pow_params',
  'send_message',
] as const;
afterEach(() => {
  for (const name of CALL_NAMES) server.behave(name, null);
});

const login = (): Promise<Session> => home.createSession({ baseUrl: server.baseUrl, address: ALICE, master: MASTER });

async function errorOf(promise: Promise<unknown>): Promise<RemoteError> {
  const error = await promise.then(
    () => new Error('nothing was thrown'),
    (reason: unknown) => reason,
  );
  if (!(error instanceof RemoteError)) throw error;
  return error;
}

describe('the calls', () => {
  it('read keys and histories, whole, in part and only when changed', async () => {
    bob.change({ now: seconds(), rotate: true });
    const head = bob.trueHead();
    const key = await home.publicKey(server.baseUrl, bob.address);
    expect(key).toEqual({ address: bob.address, public_key: toHex(bob.master.publicKey), seq: 1, head });
    const ask = { baseUrl: server.baseUrl, address: bob.address };
    const whole = await home.history({ ...ask, from: 0 });
    expect(whole).toMatchObject({ records: bob.records, head });
    expect((await home.history({ ...ask, from: 1 }))?.records).toEqual(bob.records.slice(1));
    const etag = whole?.etag ?? null;
    expect(etag).not.toBeNull();
    expect(await home.history({ ...ask, from: 0, etag })).toBeNull();
    bob.change({ now: seconds() });
    expect((await home.history({ ...ask, from: 0, etag }))?.records).toHaveLength(3);
    expect(server.requests.at(-1)).toBe('GET /0.1/get_user/bob%23corp.test/history');
  });

  it('log in, bound to the base URL, and use the session', async () => {
    const session = await login();
    expect(session).toMatchObject({ baseUrl: server.baseUrl, address: ALICE, scope: 'remote' });
    expect(session.expires).toBe(seconds() + 86_400);
    const key = await home.getMessageKey(session, bob.address);
    expect(key).toMatchObject({ address: bob.address, head: bob.trueHead(), non_ephemeral: false });
    const pow = await home.getPowParams(session, bob.address, 'email');
    expect(pow).toMatchObject({ zero_bits: 3 });
    const body = Buffer.from(JSON.stringify(EVERYTHING_FOR_BOB));
    expect((await home.sendMessage(session, bob.address, body)).messageId).toMatch(/^[0-9a-f]{64}$/);
    expect(server.messages.at(-1)).toMatchObject({
      sender: ALICE,
      recipient: bob.address,
      envelope: EVERYTHING_FOR_BOB,
    });
    await home.destroySession(session);
    expect(await errorOf(home.getMessageKey(session, bob.address))).toMatchObject({ disposition: 'session' });
  });

  it('bind envelopes to the token that was signed', async () => {
    let token = '';
    server.behave('get_create_session', (_request, response) => {
      token = '5'.repeat(64);
      answerJson(response, { token, expires: '2026-01-15 12:02:00' });
    });
    server.behave('post_create_session', (_request, response) =>
      answerJson(response, { authentication_token: 'a'.repeat(64), expires: '2026-01-16 12:00:00', scope: 'remote' }),
    );
    expect((await login()).loginTokenHash).toBe(toHex(loginTokenDigest(token as never)));
  });
});

describe('a server that does not answer as it should', () => {
  const replies: [string, Handler, string][] = [
    ['a page', (_q, r) => answerText(r, '<html>'), 'bad-response'],
    ['nothing', (_q, r) => answerText(r, ''), 'bad-response'],
    ['a duplicate name', (_q, r) => answerText(r, '{"address":"a","address":"b"}'), 'bad-response'],
    ['another shape', (_q, r) => answerJson(r, { records: {} }), 'bad-response'],
    ['a list', (_q, r) => answerText(r, '[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]'), 'bad-response'],
    ['somebody else', (_q, r) => answerJson(r, otherKey()), 'bad-response'],
    ['ten megabytes', (_q, r) => answerText(r, Buffer.alloc(10_000_000, ' ')), 'too-large'],
    ['a redirect', (_q, r) => void r.writeHead(302, { location: 'https://corp.test/' }).end(), 'redirect'],
    ['success of another kind', (_q, r) => answerJson(r, otherKey(), 201), 'bad-response'],
    ['silence', () => undefined, 'timeout'],
    ['half a body', (_q, r) => void r.writeHead(200, { 'content-length': '9' }).write('{'), 'timeout'],
  ];
  const otherKey = () => ({ address: 'eve#corp.test', public_key: '1'.repeat(64), seq: 0, head: '2'.repeat(64) });

  it.each(replies)('%s', async (_what, handler, code) => {
    server.behave('get_public_key', handler);
    const error = await errorOf(home.publicKey(server.baseUrl, bob.address));
    expect(error).toMatchObject({ code, disposition: 'retry' });
  });

  it('with a history for somebody else, or one that is no strict JSON, says which check failed', async () => {
    const ask = { baseUrl: server.baseUrl, address: bob.address, from: 0 };
    server.behave('get_history', (_q, r) => answerText(r, '{"records":1.5}'));
    expect((await errorOf(home.history(ask))).cause).toMatchObject({ code: 'json-number' });
    server.behave('get_history', (_q, r) => answerJson(r, { address: ALICE, records: [], head: '1'.repeat(64) }));
    expect((await errorOf(home.history(ask))).cause).toMatchObject({ code: 'record-address' });
    server.behave('get_history', (_q, r) => void r.writeHead(304).end());
    expect((await errorOf(home.history(ask))).code).toBe('redirect');
  });
});

describe('errors of the API', () => {
  const expected: Partial<Record<ApiErrorCode, Disposition>> = {
    unauthorized: 'session',
    bad_signature: 'session',
    key_consumed: 'reseal',
    bad_key: 'reseal',
    bad_pow: 'remint',
    blocked: 'permanent',
    forbidden: 'permanent',
    bad_request: 'permanent',
    too_large: 'permanent',
    unknown_user: 'retry',
    too_many_requests: 'retry',
    insufficient_storage: 'retry',
    internal: 'retry',
    bad_gateway: 'retry',
    unavailable: 'retry',
    gateway_timeout: 'retry',
    request_timeout: 'retry',
    not_found: 'retry',
  };

  it.each(Object.entries(expected) as [ApiErrorCode, Disposition][])('%s means %s', async (code, disposition) => {
    const session = await login();
    server.failOnce('send_message', code);
    const error = await errorOf(home.sendMessage(session, bob.address, Buffer.from('{}')));
    expect(error).toMatchObject({ code: 'api', apiCode: code, status: API_ERRORS[code], disposition });
  });

  it('have a meaning without a code of the list, or with one that is not that of the status', async () => {
    const session = await login();
    const say = (status: number, body: unknown) =>
      server.behave('send_message', (_request, response) => answerJson(response, body, status));
    for (const [status, disposition] of [
      [400, 'permanent'],
      [401, 'session'],
      [404, 'retry'],
      [408, 'retry'],
      [422, 'permanent'],
      [429, 'retry'],
      [500, 'retry'],
      [599, 'bad-response'],
    ] as const) {
      say(status, { code: 'something_else' });
      const error = await errorOf(home.sendMessage(session, bob.address, Buffer.from('{}')));
      const wanted = disposition === 'bad-response' ? { code: disposition } : { apiCode: null, disposition };
      expect(error).toMatchObject({ status, ...wanted });
    }
    say(500, problem('blocked'));
    expect(await errorOf(home.sendMessage(session, bob.address, Buffer.from('{}')))).toMatchObject({
      apiCode: null,
      disposition: 'retry',
    });
    expect(apiDisposition(503, null)).toBe('retry');
  });

  it('say when to come again, within reason', async () => {
    const session = await login();
    for (const [header, ms] of [
      ['7', 7_000],
      ['999999999', 86_400_000],
      ['-1', null],
      ['Wed, 21 Oct 2026 07:28:00 GMT', null],
    ] as const) {
      server.failOnce('get_message_key', 'too_many_requests', { 'retry-after': header });
      const error = await errorOf(home.getMessageKey(session, bob.address));
      expect(error).toMatchObject({ disposition: 'retry', retryAfterMs: ms });
    }
  });

  it('at a login are no reason to log in at once again', async () => {
    server.failOnce('post_create_session', 'unauthorized');
    expect(await errorOf(login())).toMatchObject({ apiCode: 'unauthorized', disposition: 'retry' });
  });
});

describe('sessions', () => {
  let sessions: Sessions;
  let at: { accountId: number; baseUrl: HostileServer['baseUrl'] };
  const logins = (): number =>
    server.requests.filter((request) => request.startsWith('POST /0.1/create_session')).length;
  beforeEach(async () => {
    await opened.db.deleteFrom('remote_session').execute();
    sessions = createSessions({ home, db: opened.db, keystore, clock: () => now });
    at = { accountId, baseUrl: server.baseUrl };
  });

  it('are opened once, for many at a time and across restarts, and kept sealed', async () => {
    const many = await Promise.all(Array.from({ length: 10 }, () => sessions.get(at)));
    const [first] = many;
    if (first === undefined) throw new Error('no session');
    expect(many.every((session) => session === first)).toBe(true);
    const restarted = createSessions({ home, db: opened.db, keystore, clock: () => now });
    expect(await restarted.get(at)).toEqual(first);
    expect(logins()).toBe(1);
    const row = await opened.db.selectFrom('remote_session').selectAll().executeTakeFirstOrThrow();
    expect(row.sealed.includes(first.token)).toBe(false);
    expect(row.sealed.includes(Buffer.from(first.token, 'hex'))).toBe(false);
  });

  it('are opened anew before they end', async () => {
    const first = await sessions.get(at);
    for (let step = 0; step < 23; step++) {
      wait(3_000_000 - 1);
      if (now.getTime() < first.expires * 1000 - SESSION_MARGIN_MS) expect(await sessions.get(at)).toEqual(first);
    }
    now = new Date(first.expires * 1000 - SESSION_MARGIN_MS);
    expect(await sessions.get(at)).not.toEqual(first);
    expect(logins()).toBe(2);
  });

  it('are opened anew when they lay idle', async () => {
    const first = await sessions.get(at);
    wait(SESSION_IDLE_MS - 1);
    expect(await sessions.get(at)).toEqual(first);
    wait(SESSION_IDLE_MS);
    expect(await sessions.get(at)).not.toEqual(first);
  });

  it('are forgotten when refused, but not those that took their place', async () => {
    const first = await sessions.get(at);
    expect(await sessions.find({ ...at, loginTokenHash: first.loginTokenHash })).toEqual(first);
    await sessions.invalidate(accountId, first);
    expect(await sessions.find({ ...at, loginTokenHash: first.loginTokenHash })).toBeNull();
    const second = await sessions.get(at);
    expect(second).not.toEqual(first);
    await sessions.invalidate(accountId, first);
    expect(await sessions.get(at)).toEqual(second);
    expect(await sessions.find({ ...at, loginTokenHash: first.loginTokenHash })).toBeNull();
  });

  it('of a master key that was replaced are not used', async () => {
    const first = await sessions.get(at);
    const keys = await keystore.open(accountId);
    const next = masterKeyPair();
    await opened.db.transaction().execute(async (tx) => {
      await deleteSecret(tx, accountId, { purpose: 'master', publicKey: Buffer.from(MASTER.publicKey) });
      await addMasterSecret(tx, keys, next, now);
    });
    const second = await sessions.get(at);
    expect(second.publicKey).toBe(toHex(next.publicKey));
    expect(second).not.toEqual(first);
  });
});

describe('fetching a key for a login', () => {
  const fetcher = async () => {
    await opened.db.deleteFrom('domain').execute();
    const https = createHttps({ hosts: server.hosts, allow: [], ca: [(await testAuthority()).certificate] });
    cleanup.unshift(https);
    const discovery = createDiscovery({ https, db: opened.db, clock: () => now });
    return createFetchPublicKey({ discovery, home, clock: () => now });
  };
  const asked = (): number => server.requests.filter((request) => request.includes('/public_key')).length;

  it('asks once for many who want the same', async () => {
    const fetchKey = await fetcher();
    const answers = await Promise.all(Array.from({ length: 10 }, () => fetchKey(bob.address)));
    expect(new Set(answers.map(({ public_key }) => public_key))).toEqual(new Set([toHex(bob.master.publicKey)]));
    expect(asked()).toBe(1);
  });

  it('asks a domain two things at once and thirty a minute', async () => {
    const fetchKey = await fetcher();
    let running = 0;
    let most = 0;
    const held: (() => void)[] = [];
    server.behave('get_public_key', async (_request, response) => {
      running += 1;
      most = Math.max(most, running);
      await new Promise<void>((resolve) => held.push(resolve));
      running -= 1;
      answerText(response, '{}');
    });
    const addresses = Array.from({ length: MAX_REMOTE_FETCHES_PER_MINUTE + 1 }, (_, i) =>
      parseAddress(`user${i}#corp.test`),
    );
    const fetches = addresses.map((address) => errorOf(fetchKey(address)));
    const releasing = setInterval(() => held.shift()?.(), 1);
    const errors = await Promise.all(fetches);
    clearInterval(releasing);
    expect(errors.map(({ code }) => code).sort()).toEqual([
      ...Array<string>(MAX_REMOTE_FETCHES_PER_MINUTE).fill('bad-response'),
      'rate-limited',
    ]);
    expect(most).toBe(2);
    server.behave('get_public_key', null);
    expect(await errorOf(fetchKey(bob.address))).toMatchObject({ code: 'rate-limited' });
    wait(60_000);
    expect((await fetchKey(bob.address)).address).toBe(bob.address);
  });

  it('tells an unknown user from a server that cannot be reached', async () => {
    const fetchKey = await fetcher();
    server.removeUser(bob);
    expect(await errorOf(fetchKey(bob.address))).toMatchObject({ apiCode: 'unknown_user' });
    expect(await errorOf(fetchKey(parseAddress('eve#nowhere.invalid')))).toMatchObject({ apiCode: null });
    server.behave('smimp.txt', (_request, response) => answerText(response, 'no', 404));
    const anew = await fetcher();
    expect(await errorOf(anew(bob.address))).toMatchObject({ apiCode: 'unknown_user' });
    server.behave('smimp.txt', null);
  });
});
