/**
 * Attack 13. Whoever names an address makes this server look for its home: to reach inside the network, to hammer somebody, to
 * hang or to talk to itself (SMIMP 0.1 §2). Logging in is the way in, for it needs no account here.
 */

import type { AddressInfo } from 'node:net';
import { createServer, type Server } from 'node:net';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createDiscovery } from '../../src/remote/discovery.ts';
import { createHomeClient } from '../../src/remote/home.ts';
import { createHttps, type Https } from '../../src/remote/https.ts';
import { createFetchPublicKey, type FetchPublicKey } from '../../src/remote/public-keys.ts';
import { type Address, parseAddress } from '../../src/smimp/address.ts';
import { masterKeyPair } from '../../src/smimp/crypto.ts';
import { type ApiSite, codeOf, loginBody, segment, startApi } from '../support/api-site.ts';
import { answerText, type Handler, startTlsServer, type TlsServer, testAuthority } from '../support/tls-server.ts';

let site: ApiSite;
let evil: TlsServer;
let https: Https;
/** A service inside that nobody outside may talk to: it writes down every connection. */
let inside: Server;
let touched = 0;
let smimpTxt: Handler;
/** What DNS answers, look-up by look-up; the last answer stays. */
let dns: string[][] = [];
const asked: string[] = [];
let domains = 0;

beforeAll(async () => {
  inside = createServer((socket) => {
    touched += 1;
    socket.destroy();
  });
  await new Promise<void>((resolve) => inside.listen(0, '127.0.0.1', resolve));
  evil = await startTlsServer({
    names: ['*.evil.test', 'smimp.corp.test'],
    handler: (request, response) => smimpTxt(request, response),
  });
  site = await startApi();
  const lookup = async (name: string) => {
    asked.push(name);
    const answers = dns.length > 1 ? dns.shift() : dns[0];
    return (answers ?? []).map((address) => ({ address }));
  };
  // Only names of evil.test that the test maps lead to the evil server; all others go through DNS as on the internet.
  const hosts: Record<string, string> = { 'smimp.corp.test': `127.0.0.1:${site.port}` };
  for (let i = 0; i < 100; i++) hosts[`m${i}.evil.test`] = evil.target;
  https = createHttps({ hosts, allow: [], ca: [(await testAuthority()).certificate], lookup, connectTimeoutMs: 1_000 });
});
afterAll(async () => {
  await https[Symbol.asyncDispose]();
  await site[Symbol.asyncDispose]();
  await evil[Symbol.asyncDispose]();
  inside.close();
});
beforeEach(() => {
  domains += 1;
  asked.length = 0;
  evil.requests.length = 0;
  smimpTxt = (_request, response) => answerText(response, 'smimp.evil.test');
});
afterEach(() => expect(touched).toBe(0));

function fetcher({ timeoutMs = 10_000 } = {}): FetchPublicKey {
  const clock = () => site.now;
  const discovery = createDiscovery({ https, db: site.opened.db, clock, timeoutMs });
  return createFetchPublicKey({ discovery, home: createHomeClient({ https, timeoutMs }), clock });
}

/** A login as somebody of a domain that the attacker chose; how it ended. */
async function logIn(address: Address, fetch = fetcher()): Promise<string> {
  const person = { address, master: masterKeyPair() };
  const body = await loginBody(site, person);
  // The server of the test asks what it is given; here that is the real thing.
  site.duringFetch = async () => {
    const found = await fetch(address).then(
      (answer) => answer.public_key,
      (error: Error) => error,
    );
    site.remoteKeys.set(address, found);
  };
  const reply = await site.post(`/0.1/create_session/${segment(address)}`, body);
  site.duringFetch = async () => undefined;
  return reply.status === 200 ? 'in' : codeOf(reply);
}

/** Through DNS, and by a mapped name. */
const throughDns = (): Address => parseAddress(`x#d${domains}.evil.test`);
const mapped = (): Address => parseAddress(`x#m${domains}.evil.test`);

describe('13 SSRF', () => {
  it.each([
    ['127.0.0.1'],
    ['10.0.0.8', '192.168.1.1', '172.16.9.9'],
    ['169.254.169.254'],
    ['100.64.1.1'],
    ['0.0.0.0'],
    ['::1'],
    ['::ffff:127.0.0.1'],
    ['::ffff:7f00:1'],
    ['fd00::1', 'fe80::1'],
    ['fe80::1%lo'],
    ['64:ff9b::7f00:1'],
    ['2002:7f00:1::1'],
    ['::'],
    ['2130706433'],
    ['0x7f000001'],
    [''],
  ])('DNS that answers %s (and what follows) reaches nothing', async (...addresses) => {
    dns = [addresses];
    expect(await logIn(throughDns())).toBe('bad_gateway');
    expect(asked).toEqual([`d${domains}.evil.test`]);
  });

  it('rebinding: what is connected to is what was vetted, and every connection vets anew', async () => {
    dns = [['127.0.0.1'], ['127.0.0.1']];
    expect(await logIn(throughDns())).toBe('bad_gateway');
    expect(asked).toHaveLength(1);
    // A name that was public for smimp.txt and is private for the API: the second look-up is vetted too.
    smimpTxt = (_request, response) =>
      answerText(response, `inner.evil.test:${(inside.address() as AddressInfo).port}`);
    dns = [['127.0.0.1']];
    expect(await logIn(mapped())).toBe('bad_gateway');
    expect(asked.at(-1)).toBe('inner.evil.test');
  });

  const port = (): number => (inside.address() as AddressInfo).port;
  const named: Record<string, () => string> = {
    'an address': () => `127.0.0.1:${port()}`,
    'an address in hex': () => `0x7f.1:${port()}`,
    'an address as one number': () => `2130706433:${port()}`,
    'an address in octal': () => `0177.0.0.1:${port()}`,
    'an IPv6 address': () => `[::1]:${port()}`,
    'a mapped IPv6 address': () => `[::ffff:127.0.0.1]:${port()}`,
    localhost: () => `localhost:${port()}`,
    'a trailing dot': () => `inner.evil.test.:${port()}`,
    'a password': () => `https://a:b@inner.evil.test:${port()}`,
    'a file': () => 'file:///etc/passwd',
    'plain HTTP': () => `http://inner.evil.test:${port()}`,
    'a fullwidth address': () => `１２７.0.0.1:${port()}`,
    'a link-local name by escape': () => `%31%32%37.0.0.1:${port()}`,
    'two lines': () => `\r\n\r\n127.0.0.1:${port()}\r\ninner.evil.test`,
  };

  it.each(Object.keys(named))('a smimp.txt that names %s leads nowhere', async (what) => {
    dns = [['127.0.0.1']];
    smimpTxt = (_request, response) => answerText(response, Buffer.from(named[what]?.() ?? '', 'latin1'));
    expect(await logIn(mapped())).toBe('bad_gateway');
    expect(evil.requests).toEqual(['GET /.well-known/smimp.txt']);
    expect(asked).toEqual([]);
  });

  it.each([
    'https://169.254.169.254/latest/meta-data/',
    'https://0x7f.1/',
    'https://[::1]/',
    'https://localhost/',
    'http://inner.evil.test/',
    '//127.0.0.1/',
    'gopher://127.0.0.1/',
    'https://inner.evil.test/',
  ])('a redirect of smimp.txt to %s is not followed there', async (location) => {
    dns = [['169.254.169.254']];
    smimpTxt = (_request, response) => void response.writeHead(302, { location }).end();
    expect(await logIn(mapped())).toBe('bad_gateway');
    expect(evil.requests).toHaveLength(1);
  });

  it('a server that names this one as its own makes it ask itself once, and no loop', async () => {
    smimpTxt = (_request, response) => answerText(response, 'smimp.corp.test');
    const before = site.log.length;
    expect(await logIn(mapped())).toBe('unauthorized');
    const calls = site.log.slice(before).map((line) => (JSON.parse(line) as { call?: string }).call);
    expect(calls.filter((call) => call === 'get_public_key')).toHaveLength(1);
    expect(site.fetches).toBeLessThanOrEqual(domains + 1);
  });

  it('a server that drips, stalls or never ends costs its deadline, once a minute', async () => {
    const slow: Handler[] = [
      (_request, response) => {
        response.writeHead(200);
        const dripping = setInterval(() => response.write('.'), 5);
        response.on('close', () => clearInterval(dripping));
      },
      () => undefined,
    ];
    for (const handler of slow) {
      domains += 1;
      smimpTxt = handler;
      const fetch = fetcher({ timeoutMs: 400 });
      expect(await logIn(mapped(), fetch)).toBe('gateway_timeout');
      const requests = evil.requests.length;
      expect(await logIn(mapped(), fetch)).toBe('bad_gateway');
      expect(evil.requests).toHaveLength(requests);
    }
    domains += 1;
    smimpTxt = (_request, response) => {
      response.writeHead(200);
      const more = (): void => {
        while (!response.destroyed && response.write(Buffer.alloc(50_000)));
        response.once('drain', more);
      };
      more();
    };
    expect(await logIn(mapped())).toBe('bad_gateway');
  });

  it('a domain cannot be used as a hammer: two at once, thirty a minute, then no more', async () => {
    let atOnce = 0;
    let most = 0;
    smimpTxt = async (_request, response) => {
      atOnce += 1;
      most = Math.max(most, atOnce);
      await new Promise((resolve) => setTimeout(resolve, 2));
      atOnce -= 1;
      answerText(response, 'no', 500);
    };
    const fetch = fetcher();
    const domain = `m${domains}.evil.test`;
    const all = await Promise.allSettled(Array.from({ length: 80 }, (_, i) => fetch(parseAddress(`x${i}#${domain}`))));
    expect(most).toBeLessThanOrEqual(2);
    expect(evil.requests.length).toBeLessThanOrEqual(30);
    const codes = all.map((result) =>
      result.status === 'rejected' ? (result.reason as { code: string }).code : 'answered',
    );
    expect(codes.filter((code) => code === 'rate-limited')).toHaveLength(50);
  });
});
