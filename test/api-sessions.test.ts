/** `get_user` and logging in (SMIMP 0.1 §3, §5): whose key counts, what a token is good for, when a session ends. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RemoteError } from '../src/remote/errors.ts';
import { parseAddress } from '../src/smimp/address.ts';
import { masterKeyPair } from '../src/smimp/crypto.ts';
import { toHex } from '../src/smimp/encoding.ts';
import { recordHead } from '../src/smimp/record.ts';
import { purgeExpired } from '../src/store/sessions.ts';
import {
  type Account,
  ALICE,
  type ApiSite,
  answerOf,
  BOB,
  codeOf,
  loginBody,
  segment,
  startApi,
  stranger,
} from './support/api-site.ts';

let site: ApiSite;
let bob: Account;
beforeAll(async () => {
  site = await startApi();
  bob = await site.account(BOB);
});
afterAll(() => site[Symbol.asyncDispose]());

const post = (address: string, body: unknown) => site.post(`/0.1/create_session/${segment(address)}`, body);
const NOBODY = parseAddress('nobody#corp.test');

describe('get_user', () => {
  it('gives key, last record and history, with an ETag', async () => {
    const head = recordHead(0, bob.record);
    const path = `/0.1/get_user/${segment(BOB)}`;
    const key = answerOf('get_public_key', await site.get(`${path}/public_key`));
    expect(key).toEqual({ address: BOB, public_key: toHex(bob.master.publicKey), seq: 0, head });
    expect(answerOf('get_most_recent', await site.get(`${path}/most_recent`))).toEqual(bob.record);
    const reply = await site.get(`${path}/history?from=0`);
    expect(answerOf('get_history', reply)).toEqual({ address: BOB, records: [bob.record], head });
    const etag = String(reply.headers.etag);
    expect(etag).toMatch(/^"[^"]+"$/);
    const again = await site.send({ path: `${path}/history?from=0`, headers: { 'if-none-match': etag } });
    expect([again.status, again.text]).toEqual([304, '']);
    expect(answerOf('get_history', await site.get(`${path}/history?from=1`)).records).toEqual([]);
    expect(codeOf(await site.get(`${path}/history?from=x`))).toBe('bad_request');
    for (const call of ['public_key', 'most_recent', 'history'])
      expect(codeOf(await site.get(`/0.1/get_user/${segment(NOBODY)}/${call}`))).toBe('unknown_user');
  });
});

describe('a login', () => {
  it('has a scope: home for accounts of this server, remote for others', async () => {
    expect(await site.logIn(bob)).toMatchObject({ scope: 'home' });
    expect(await site.logIn(stranger(site, ALICE))).toMatchObject({ scope: 'remote' });
  });

  it('gives a token to any well-formed address, and never asks another server for it', async () => {
    const before = site.fetches;
    for (const address of [BOB, NOBODY, ALICE, 'x#nowhere.test']) {
      const { token, expires } = answerOf(
        'get_create_session',
        await site.get(`/0.1/create_session/${segment(address)}`),
      );
      expect(token).toHaveLength(64);
      expect(expires).toBe('2026-03-01 09:02:00');
    }
    expect(site.fetches).toBe(before);
    expect(codeOf(await site.get('/0.1/create_session/x'))).toBe('bad_request');
  });

  it('uses its token up, also when it fails', async () => {
    const body = await loginBody(site, bob);
    const forged = await loginBody(site, { address: BOB, master: masterKeyPair() });
    expect(codeOf(await post(BOB, { ...body, signed_token: forged.signed_token }))).toBe('unauthorized');
    expect(codeOf(await post(BOB, body))).toBe('unauthorized');
    const second = await loginBody(site, bob);
    const replies = await Promise.all(Array.from({ length: 10 }, () => post(BOB, second)));
    expect(replies.filter(({ status }) => status === 200)).toHaveLength(1);
  });

  it('wants this address, this server, this key, and a token not older than 120 seconds', async () => {
    const late = await loginBody(site, bob);
    const inTime = await loginBody(site, bob);
    site.later(119);
    expect((await post(BOB, inTime)).status).toBe(200);
    site.later(1);
    expect(codeOf(await post(BOB, late))).toBe('unauthorized');
    expect(codeOf(await post(NOBODY, await loginBody(site, bob)))).toBe('unauthorized');
    expect(codeOf(await post(BOB, await loginBody(site, bob, 'https://evil.test')))).toBe('unauthorized');
    const stranger_ = { address: BOB, master: masterKeyPair() };
    expect(codeOf(await post(BOB, await loginBody(site, stranger_)))).toBe('unauthorized');
    const unknown = { address: NOBODY, master: masterKeyPair() };
    expect(codeOf(await post(NOBODY, await loginBody(site, unknown)))).toBe('unauthorized');
  });

  it('asks the other server only after the signature holds, and says when it cannot', async () => {
    const alice = stranger(site, ALICE);
    const before = site.fetches;
    const good = await loginBody(site, alice);
    const forged = { ...good, public_key: toHex(masterKeyPair().publicKey) };
    expect(codeOf(await post(ALICE, forged))).toBe('unauthorized');
    expect(site.fetches).toBe(before);
    const refusals: [Error, string][] = [
      [new RemoteError('timeout'), 'gateway_timeout'],
      [new RemoteError('tls'), 'bad_gateway'],
      [new RemoteError('connect'), 'bad_gateway'],
      [new RemoteError('bad-response'), 'bad_gateway'],
      [new RemoteError('api', { status: 404, apiCode: 'unknown_user' }), 'unauthorized'],
      [new RemoteError('rate-limited', { retryAfterMs: 60_000 }), 'too_many_requests'],
    ];
    for (const [error, code] of refusals) {
      const body = await loginBody(site, alice);
      site.remoteKeys.set(ALICE, error);
      expect(codeOf(await post(ALICE, body)), error.message).toBe(code);
    }
    const body = await loginBody(site, alice);
    site.remoteKeys.set(ALICE, toHex(masterKeyPair().publicKey));
    expect(codeOf(await post(ALICE, body))).toBe('unauthorized');
  });

  it('pins nothing about users of other servers: whoever has another key there today comes in with it', async () => {
    await site.logIn(stranger(site, ALICE));
    expect((await site.logIn(stranger(site, ALICE))).scope).toBe('remote');
    expect(await site.opened.db.selectFrom('pin').selectAll().execute()).toEqual([]);
  });
});

describe('a session', () => {
  const works = async (token: string): Promise<boolean> => (await site.get('/0.1/folder/email', token)).status === 200;

  it('ends when it is destroyed, after an hour without use, after 24 hours with it', async () => {
    const [one, two, three] = [await site.logIn(bob), await site.logIn(bob), await site.logIn(bob)];
    const destroy = { method: 'POST', path: '/0.1/destroy_session', token: one.token };
    expect((await site.send(destroy)).status).toBe(204);
    expect(await works(one.token)).toBe(false);
    expect(codeOf(await site.send(destroy))).toBe('unauthorized');
    site.later(3599);
    expect(await works(two.token)).toBe(true);
    site.later(1);
    expect(await works(three.token)).toBe(false);
    for (let hour = 1; hour < 24; hour++) {
      site.later(3590);
      expect(await works(two.token), `hour ${hour}`).toBe(true);
    }
    site.later(86_400 - 3600 - 23 * 3590 - 1);
    expect(await works(two.token)).toBe(true);
    site.later(1);
    expect(await works(two.token)).toBe(false);
  });

  it('is stored as a hash only, and swept away with its tokens and nonces', async () => {
    const { token } = await site.logIn(bob);
    await site.get(`/0.1/get_pow_params/${segment(BOB)}/email`, token);
    const { db } = site.opened;
    const rows = async () => ({
      sessions: (await db.selectFrom('session').selectAll().execute()).length,
      tokens: (await db.selectFrom('login_token').selectAll().execute()).length,
      nonces: (await db.selectFrom('pow_nonce').selectAll().execute()).length,
    });
    const kept = await db.selectFrom('session').selectAll().execute();
    expect(JSON.stringify(kept)).not.toContain(JSON.stringify([...Buffer.from(token, 'hex')]));
    const limits = { idleMs: 3_600_000, keepSentMs: 86_400_000 };
    await purgeExpired(db, site.now, limits);
    expect(await works(token)).toBe(true);
    await purgeExpired(db, new Date(site.now.getTime() + 3_601_000), limits);
    expect(await rows()).toEqual({ sessions: 0, tokens: 0, nonces: 0 });
  });
});
