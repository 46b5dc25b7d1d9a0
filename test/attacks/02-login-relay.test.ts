/**
 * Attack 2. A server passes on another server's login token, to log in there as its visitor (SMIMP 0.1 §1.3, §2). The
 * signature binds the base URL to the letter, so what was signed for one place is good at no other.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createDiscovery } from '../../src/remote/discovery.ts';
import { createHomeClient } from '../../src/remote/home.ts';
import { createHttps, type Https } from '../../src/remote/https.ts';
import { type Domain, parseDomain } from '../../src/smimp/address.ts';
import { parseBaseUrl } from '../../src/smimp/discovery.ts';
import { type Account, type ApiSite, BASE_URL, BOB, loginBody, segment, startApi } from '../support/api-site.ts';
import {
  answerJson,
  answerText,
  readRequest,
  startTlsServer,
  type TlsServer,
  testAuthority,
} from '../support/tls-server.ts';

let site: ApiSite;
let bob: Account;
let evil: TlsServer;
let https: Https;
/** What the real server answered the relay. */
const relayed: { status: number; text: string }[] = [];
let smimpTxt = 'smimp.evil.test';

beforeAll(async () => {
  site = await startApi();
  bob = await site.account(BOB);
  evil = await startTlsServer({
    names: ['evil.test', 'smimp.evil.test', 'smimp.corp.test'],
    async handler(request, response) {
      if (request.url === '/.well-known/smimp.txt') return answerText(response, smimpTxt);
      if (request.url?.endsWith('/version')) return answerJson(response, { versions: ['0.1'] });
      // Everything else goes to the real server and back, as if it had been asked there.
      const body = await readRequest(request);
      const path = (request.url ?? '').replace(/^\/a/, '');
      const headers = { 'content-type': 'application/json' };
      const reply = await site.send({
        method: request.method ?? 'GET',
        path,
        ...(body.length > 0 ? { body, headers } : {}),
      });
      if (request.method === 'POST') relayed.push(reply);
      answerJson(response, reply.json, reply.status);
    },
  });
  const target = evil.target;
  const hosts = {
    'evil.test': target,
    'smimp.evil.test': target,
    'smimp.corp.test': `127.0.0.1:${site.port}`,
    'corp.test': `127.0.0.1:${site.port}`,
  };
  https = createHttps({ hosts, allow: [], ca: [(await testAuthority()).certificate] });
});
afterAll(async () => {
  await https[Symbol.asyncDispose]();
  await evil[Symbol.asyncDispose]();
  await site[Symbol.asyncDispose]();
});
beforeEach(() => {
  relayed.length = 0;
});

const sessions = async (): Promise<number> =>
  (await site.opened.db.selectFrom('session').select('address').execute()).length;
const tokens = async (): Promise<number> =>
  (await site.opened.db.selectFrom('login_token').select('token').execute()).length;

describe('2 login relayed between two servers', () => {
  it('opens nothing at the other server, and uses the token up', async () => {
    const home = createHomeClient({ https });
    const before = { sessions: await sessions(), tokens: await tokens() };
    const login = { baseUrl: parseBaseUrl('https://smimp.evil.test'), address: BOB, master: bob.master };
    await expect(home.createSession(login)).rejects.toMatchObject({ status: 401 });
    expect(relayed.map(({ status }) => status)).toEqual([401]);
    expect(await sessions()).toBe(before.sessions);
    expect(await tokens()).toBe(before.tokens);
    // The same client at the real place gets in.
    expect((await home.createSession({ ...login, baseUrl: BASE_URL })).scope).toBe('home');
  });

  it.each([
    'https://smimp.evil.test/0.1',
    'https://smimp.corp.test:8443',
    'https://smimp.corp.test:443',
    'https://smimp.corp.test/',
    'https://smimp.corp.test/a',
    'https://smimp.corp.test.',
    'https://SMIMP.corp.test',
    'HTTPS://smimp.corp.test',
    'http://smimp.corp.test',
    'smimp.corp.test',
    'https://smimp.corp.test#',
    'https://smimp.corp.test%2f',
    'https://corp.test',
    '',
  ])('takes no signature for %j as one for itself', async (baseUrl) => {
    const before = await sessions();
    const body = await loginBody(site, bob, baseUrl);
    const reply = await site.post(`/0.1/create_session/${segment(BOB)}`, body);
    expect(reply.status).toBe(401);
    expect(await sessions()).toBe(before);
    const again = await loginBody(site, bob);
    const reused = await site.post(`/0.1/create_session/${segment(BOB)}`, { ...again, token: body.token });
    expect(reused.status).toBe(401);
  });

  it('cannot be dressed as the other server by a Host header', async () => {
    const body = await loginBody(site, bob, 'https://smimp.evil.test');
    for (const host of ['smimp.evil.test', 'smimp.corp.test', 'evil.test:443']) {
      const headers = { 'content-type': 'application/json', host, 'x-forwarded-host': 'smimp.evil.test' };
      const path = `/0.1/create_session/${segment(BOB)}`;
      expect((await site.send({ method: 'POST', path, body: JSON.stringify(body), headers })).status).toBe(401);
    }
  });

  it.each([
    ['HTTPS://SMIMP.Corp.Test:443/', 'https://smimp.corp.test'],
    ['smimp.corp.test', 'https://smimp.corp.test'],
    ['https://smimp.evil.test/a/', 'https://smimp.evil.test/a'],
    ['smimp.evil.test:8443', 'https://smimp.evil.test:8443'],
  ])('signs one spelling, whatever smimp.txt writes: %s', async (written, spelling) => {
    smimpTxt = written;
    await site.opened.db.deleteFrom('domain').execute();
    const discovery = createDiscovery({ https, db: site.opened.db, clock: () => site.now });
    const found = await discovery.discover(parseDomain('evil.test') as Domain);
    expect(found).toEqual({ outcome: 'found', baseUrl: spelling });
    const home = createHomeClient({ https });
    const login = home.createSession({ baseUrl: parseBaseUrl(spelling), address: BOB, master: bob.master });
    // Named by evil.test, the real server is still logged in to as itself; the relay behind any other name gets nothing.
    if (spelling === BASE_URL) expect((await login).baseUrl).toBe(BASE_URL);
    else await expect(login).rejects.toMatchObject({ status: 401 });
  });
});
