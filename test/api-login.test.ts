/** Logging in and sessions (SMIMP 0.1 §5): what is refused, in which words, and when another server is asked. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { RemoteError } from '../src/remote/errors.ts';
import { type Address, parseAddress } from '../src/smimp/address.ts';
import { masterKeyPair, randomBytes } from '../src/smimp/crypto.ts';
import { formatTimestamp, type Hex32, toHex } from '../src/smimp/encoding.ts';
import { deleteSessionsOf, purgeExpired } from '../src/store/sessions.ts';
import {
  type Account,
  ALICE,
  type ApiSite,
  answerOf,
  BOB,
  CAROL,
  codeOf,
  type Login,
  loginBody,
  type Person,
  prepare,
  type Reply,
  segment,
  sendPath,
  startApi,
  stranger,
} from './support/api-site.ts';

let site: ApiSite;
let bob: Account;
let alice: Person;

const HOUR = 3600;
const NOBODY = parseAddress('nobody#corp.test');
const loginPath = (address: Address): string => `/0.1/create_session/${segment(address)}`;
const postLogin = (address: Address, body: unknown): Promise<Reply> => site.post(loginPath(address), body);
const isAlive = async (login: Login): Promise<boolean> =>
  (await site.get(`/0.1/get_pow_params/${segment(BOB)}/email`, login.token)).status === 200;

beforeAll(async () => {
  site = await startApi();
  bob = await site.account(BOB, { ephemeral: 40 });
  alice = stranger(site, ALICE);
});
afterAll(() => site[Symbol.asyncDispose]());
afterEach(() => {
  site.remoteKeys.set(ALICE, toHex(alice.master.publicKey));
});

describe('create_session', () => {
  it('gives a token for two minutes, the same for an address that nobody has', async () => {
    const replies = await Promise.all([BOB, NOBODY, ALICE].map((address) => site.get(loginPath(address))));
    const answers = replies.map((reply) => answerOf('get_create_session', reply));
    const expires = formatTimestamp(site.now.getTime() / 1000 + 120);
    expect(answers.map((answer) => answer.expires)).toEqual([expires, expires, expires]);
    expect(new Set(answers.map(({ token }) => token)).size).toBe(3);
    const shape = ({ status, headers, json }: Reply) => [status, Object.keys(headers), Object.keys(json as object)];
    expect(shape(replies[1] as Reply)).toEqual(shape(replies[0] as Reply));
    expect(codeOf(await site.get('/0.1/create_session/nobody'))).toBe('bad_request');
  });

  it('says whose session it is', async () => {
    expect(await site.logIn(bob)).toMatchObject({ scope: 'home' });
    expect(await site.logIn(alice)).toMatchObject({ scope: 'remote' });
  });

  it('keeps only a hash of the session token', async () => {
    const { token } = await site.logIn(bob);
    const rows = await site.opened.db.selectFrom('session').selectAll().execute();
    const stored = rows.flatMap((row) => Object.values(row).filter((value) => Buffer.isBuffer(value)));
    expect(stored.length).toBeGreaterThan(0);
    expect(stored.some((value) => value.equals(Buffer.from(token, 'hex')))).toBe(false);
  });

  it('uses a token up, whether the login succeeds or not', async () => {
    const body = await loginBody(site, bob);
    expect((await postLogin(BOB, body)).status).toBe(200);
    expect(codeOf(await postLogin(BOB, body))).toBe('unauthorized');

    const second = await loginBody(site, bob);
    const forged = { ...second, signed_token: `${'00'.repeat(64)}${second.signed_token.slice(128)}` };
    expect(codeOf(await postLogin(BOB, forged))).toBe('unauthorized');
    expect(codeOf(await postLogin(BOB, second))).toBe('unauthorized');
  });

  it('lets one of many at once have the token', async () => {
    const body = await loginBody(site, bob);
    const replies = await Promise.all(Array.from({ length: 10 }, () => postLogin(BOB, body)));
    expect(replies.filter(({ status }) => status === 200)).toHaveLength(1);
  });

  it('refuses a token after two minutes, and one that was never issued', async () => {
    const early = await loginBody(site, bob);
    const late = await loginBody(site, bob);
    site.later(119);
    expect((await postLogin(BOB, early)).status).toBe(200);
    site.later(1);
    expect(codeOf(await postLogin(BOB, late))).toBe('unauthorized');
    const { signed_token, public_key } = await loginBody(site, bob);
    const unknown = { token: toHex(randomBytes(32)), signed_token, public_key };
    expect(codeOf(await postLogin(BOB, unknown))).toBe('unauthorized');
  });

  it('refuses a signature for another server, address, key or token', async () => {
    expect(codeOf(await postLogin(BOB, await loginBody(site, bob, 'https://smimp.evil.test')))).toBe('unauthorized');
    expect(codeOf(await postLogin(BOB, await loginBody(site, bob, 'https://smimp.corp.test/')))).toBe('unauthorized');
    const carol = await site.account(CAROL);
    expect(codeOf(await postLogin(CAROL, await loginBody(site, bob)))).toBe('unauthorized');
    const asBob = { address: BOB, master: carol.master };
    expect(codeOf(await postLogin(BOB, await loginBody(site, asBob)))).toBe('unauthorized');
    const own = await loginBody(site, bob);
    const other = await loginBody(site, bob);
    expect(codeOf(await postLogin(BOB, { ...own, signed_token: other.signed_token }))).toBe('unauthorized');
    const claimed = { ...(await loginBody(site, bob)), public_key: toHex(carol.master.publicKey) };
    expect(codeOf(await postLogin(BOB, claimed))).toBe('unauthorized');
  });

  it('refuses in the same words whoever has no account and whoever has another key', async () => {
    const master = masterKeyPair();
    const wrong = await postLogin(BOB, await loginBody(site, { address: BOB, master }));
    const nobody = await postLogin(NOBODY, await loginBody(site, { address: NOBODY, master }));
    expect([nobody.status, nobody.text]).toEqual([wrong.status, wrong.text]);
    expect(codeOf(nobody)).toBe('unauthorized');
  });

  it('asks another server only when the signature holds, and never for its own domain', async () => {
    const before = site.fetches;
    await site.get(loginPath(ALICE));
    await postLogin(ALICE, await loginBody(site, alice, 'https://smimp.evil.test'));
    await postLogin(ALICE, { ...(await loginBody(site, alice)), token: toHex(randomBytes(32)) });
    await postLogin(NOBODY, await loginBody(site, { address: NOBODY, master: masterKeyPair() }));
    await site.logIn(bob);
    expect(site.fetches).toBe(before);
    await site.logIn(alice);
    expect(site.fetches).toBe(before + 1);
  });

  it('tells a refusal from a server that cannot be asked', async () => {
    const codeFor = async (known: Hex32 | Error): Promise<[string, string | undefined]> => {
      const body = await loginBody(site, alice);
      site.remoteKeys.set(ALICE, known);
      const reply = await postLogin(ALICE, body);
      return [codeOf(reply), reply.headers['retry-after']];
    };
    expect(await codeFor(toHex(masterKeyPair().publicKey))).toEqual(['unauthorized', undefined]);
    const unknown = new RemoteError('api', { status: 404, apiCode: 'unknown_user' });
    expect(await codeFor(unknown)).toEqual(['unauthorized', undefined]);
    for (const code of ['connect', 'tls', 'unresolvable', 'bad-response', 'refused-address', 'redirect'] as const)
      expect(await codeFor(new RemoteError(code)), code).toEqual(['bad_gateway', undefined]);
    expect(await codeFor(new RemoteError('api', { status: 500 }))).toEqual(['bad_gateway', undefined]);
    expect(await codeFor(new RemoteError('timeout'))).toEqual(['gateway_timeout', undefined]);
    const limited = new RemoteError('rate-limited', { retryAfterMs: 60_000 });
    expect(await codeFor(limited)).toEqual(['too_many_requests', '60']);
  });
});

describe('a session', () => {
  it('ends when it is destroyed, and no other with it', async () => {
    const [one, two] = [await site.logIn(bob), await site.logIn(bob)];
    const ended = await site.send({ method: 'POST', path: '/0.1/destroy_session', token: one.token });
    expect([ended.status, ended.text]).toEqual([204, '']);
    expect(await isAlive(one)).toBe(false);
    expect(await isAlive(two)).toBe(true);
    const again = await site.send({ method: 'POST', path: '/0.1/destroy_session', token: one.token });
    expect(codeOf(again)).toBe('unauthorized');
  });

  it('ends when nobody used it for an hour', async () => {
    const login = await site.logIn(bob);
    for (const seconds of [HOUR - 1, HOUR - 1]) {
      site.later(seconds);
      expect(await isAlive(login)).toBe(true);
    }
    site.later(HOUR);
    expect(await isAlive(login)).toBe(false);
  });

  it('ends after a day, however busy', async () => {
    const login = await site.logIn(bob);
    for (let half = 0; half < 47; half++) {
      site.later(HOUR / 2);
      expect(await isAlive(login)).toBe(true);
    }
    site.later(HOUR / 2 - 1);
    expect(await isAlive(login)).toBe(true);
    site.later(1);
    expect(await isAlive(login)).toBe(false);
  });

  it('is no use in another place than its header', async () => {
    const { token } = await site.logIn(bob);
    const path = '/0.1/ephemeral_keys';
    expect(codeOf(await site.send({ path, headers: { authorization: `Bearer ${token}` } }))).toBe('unauthorized');
    expect(codeOf(await site.send({ path, headers: { cookie: `SMIMP-Authentication=${token}` } }))).toBe(
      'unauthorized',
    );
    expect((await site.send({ path, headers: { 'SMIMP-Authentication': token } })).status).toBe(200);
  });

  it('of a removed account can neither read nor send', async () => {
    const dora = await site.account(parseAddress('dora#corp.test'));
    const login = await site.logIn(dora);
    const { envelope } = await prepare(site, { sender: dora, login, recipient: BOB });
    await site.opened.db.deleteFrom('folder').where('account_id', '=', dora.accountId).execute();
    await site.opened.db.deleteFrom('account').where('id', '=', dora.accountId).execute();
    expect(codeOf(await site.get('/0.1/folder/email', login.token))).toBe('unauthorized');
    site.later(301);
    expect(codeOf(await site.post(sendPath(BOB), envelope, login.token))).toBe('unauthorized');
  });

  it('is not opened by a login that began before the key was replaced', async () => {
    const erin = await site.account(parseAddress('erin#corp.test'));
    const body = await loginBody(site, erin);
    const { login } = await site.opened.db.transaction().execute(async (tx) => {
      // The lock of a rotation under way, and what it does.
      await tx.selectFrom('account').select('id').where('id', '=', erin.accountId).forUpdate().execute();
      const started = postLogin(erin.address, body);
      await expect.poll(() => loginTokens(body.token)).toBe(0);
      await tx.deleteFrom('record').where('account_id', '=', erin.accountId).execute();
      await deleteSessionsOf(tx, erin.address);
      return { login: started };
    });
    expect(codeOf(await login)).toBe('unauthorized');
    const rows = await site.opened.db.selectFrom('session').where('address', '=', erin.address).selectAll().execute();
    expect(rows).toEqual([]);
  });

  const loginTokens = async (token: Hex32): Promise<number> => {
    const rows = await site.opened.db
      .selectFrom('login_token')
      .select('token')
      .where('token', '=', Buffer.from(token, 'hex'))
      .execute();
    return rows.length;
  };

  it('is thrown away with its tokens and nonces once it has ended, not before', async () => {
    const { db } = site.opened;
    const count = async (table: 'login_token' | 'session' | 'pow_nonce'): Promise<number> =>
      (await db.selectFrom(table).selectAll().execute()).length;
    const limits = { idleMs: HOUR * 1000, keepSentMs: 25 * HOUR * 1000 };
    await purgeExpired(db, new Date(site.now.getTime() + 48 * HOUR * 1000), limits);
    expect([await count('login_token'), await count('session'), await count('pow_nonce')]).toEqual([0, 0, 0]);
    const login = await site.logIn(bob);
    await site.get(loginPath(BOB));
    expect(await isAlive(login)).toBe(true);
    await purgeExpired(db, site.now, limits);
    expect([await count('login_token'), await count('session'), await count('pow_nonce')]).toEqual([1, 1, 1]);
    site.later(HOUR);
    await purgeExpired(db, site.now, limits);
    expect([await count('login_token'), await count('session'), await count('pow_nonce')]).toEqual([0, 0, 0]);
  });
});
