/** Refused logins (SMIMP 0.1 §5): in which words, and when another server is asked; what a session token is good for. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { RemoteError } from '../src/remote/errors.ts';
import { type Address, parseAddress } from '../src/smimp/address.ts';
import { masterKeyPair, randomBytes } from '../src/smimp/crypto.ts';
import { formatTimestamp, type Hex32, toHex } from '../src/smimp/encoding.ts';
import {
  type Account,
  ALICE,
  type ApiSite,
  answerOf,
  BOB,
  CAROL,
  codeOf,
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

const NOBODY = parseAddress('nobody#corp.test');
const loginPath = (address: Address): string => `/0.1/create_session/${segment(address)}`;
const postLogin = (address: Address, body: unknown): Promise<Reply> => site.post(loginPath(address), body);

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
});
