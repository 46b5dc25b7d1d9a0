import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import {
  createDiscovery,
  type Discovery,
  FAILED_FRESH_MS,
  FOUND_FRESH_MS,
  MAX_REDIRECTS,
} from '../src/remote/discovery.ts';
import { createHttps } from '../src/remote/https.ts';
import { type Domain, parseDomain } from '../src/smimp/address.ts';
import type { OpenedDatabase } from '../src/store/database.ts';
import { testDatabase } from './support/database.ts';
import {
  answerJson,
  answerText,
  type Handler,
  startTlsServer,
  type TlsServer,
  testAuthority,
} from './support/tls-server.ts';

const HOST = 'smimp.peer.test';
const NAMES = [HOST, '*.example', 'a.example', 'b.example'];

let opened: OpenedDatabase;
let now = new Date('2026-01-15T12:00:00Z');
let server: TlsServer;
let smimpTxt: Handler;
let version: Handler;
let discovery: Discovery;
let domains = 0;
let domain: Domain;
const cleanup: AsyncDisposable[] = [];

const honest: Handler = (_request, response) => answerText(response, `${HOST}\n`);
const redirect =
  (location: string, status = 302): Handler =>
  (_request, response) =>
    void response.writeHead(status, { location }).end('moved');

beforeAll(async () => {
  opened = await testDatabase();
  const handler: Handler = (request, response) =>
    request.url === '/version' ? version(request, response) : smimpTxt(request, response);
  server = await startTlsServer({ names: [...NAMES, ...Array.from({ length: 60 }, (_, i) => `d${i}.test`)], handler });
  const hosts = Object.fromEntries(
    [HOST, 'a.example', 'b.example', ...Array.from({ length: 60 }, (_, i) => `d${i}.test`)].map((name) => [
      name,
      server.target,
    ]),
  );
  const lookup = async () => [{ address: '10.0.0.1' }];
  const https = createHttps({ hosts, allow: [], ca: [(await testAuthority()).certificate], lookup });
  discovery = createDiscovery({ https, db: opened.db, clock: () => now, timeoutMs: 300 });
  cleanup.push(https, server, opened);
  reset();
});
afterAll(async () => {
  for (const one of cleanup) await one[Symbol.asyncDispose]();
});
afterEach(reset);

/** A domain nothing is known of, whose server is honest. */
function reset(): void {
  domain = parseDomain(`d${domains++}.test`);
  smimpTxt = honest;
  version = (_request, response) => answerJson(response, { versions: ['0.1', '0.2'] });
  server.requests.length = 0;
}

const found = { outcome: 'found', baseUrl: `https://${HOST}` };
const failed = (code: string, everFound = false) => ({ outcome: 'failed', everFound, code });
const wait = (ms: number): void => {
  now = new Date(now.getTime() + ms);
};

describe('discovery', () => {
  it('finds a server and remembers it for an hour, in the database', async () => {
    expect(await discovery.discover(domain)).toEqual(found);
    expect(server.requests).toEqual(['GET /.well-known/smimp.txt', 'GET /version']);
    wait(FOUND_FRESH_MS - 1);
    expect(await discovery.discover(domain)).toEqual(found);
    expect(server.requests).toHaveLength(2);
    wait(1);
    expect(await discovery.discover(domain)).toEqual(found);
    expect(server.requests).toHaveLength(4);
  });

  it('asks once for many', async () => {
    const all = await Promise.all(Array.from({ length: 20 }, () => discovery.discover(domain)));
    expect(all).toEqual(Array(20).fill(found));
    expect(server.requests).toHaveLength(2);
  });

  it('remembers a failure for a minute', async () => {
    smimpTxt = (_request, response) => answerText(response, 'busy', 503);
    expect(await discovery.discover(domain)).toEqual(failed('api'));
    smimpTxt = honest;
    wait(FAILED_FRESH_MS - 1);
    expect(await discovery.discover(domain)).toEqual(failed('failed-recently'));
    wait(1);
    expect(await discovery.discover(domain)).toEqual(found);
  });

  it.each([404, 410])('takes %i for "does not speak SMIMP"', async (status) => {
    smimpTxt = (_request, response) => answerText(response, 'nothing here', status);
    expect(await discovery.discover(domain)).toEqual({ outcome: 'absent' });
  });

  it.each([400, 401, 403, 405, 418, 451, 500, 503])('takes %i for a failure', async (status) => {
    smimpTxt = (_request, response) => answerText(response, 'no', status);
    expect(await discovery.discover(domain)).toEqual(failed('api'));
  });

  it('never again takes a domain that spoke SMIMP for absent, whatever it answers, for ever', async () => {
    expect(await discovery.discover(domain)).toEqual(found);
    smimpTxt = (_request, response) => answerText(response, 'gone', 410);
    wait(FOUND_FRESH_MS);
    expect(await discovery.discover(domain)).toMatchObject({ outcome: 'failed', everFound: true });
    wait(400 * 86_400_000);
    expect(await discovery.discover(domain)).toMatchObject({ outcome: 'failed', everFound: true });
    smimpTxt = honest;
    wait(FAILED_FRESH_MS);
    expect(await discovery.discover(domain)).toEqual(found);
  });

  it('counts a domain as speaking SMIMP from its first good smimp.txt, even if the server then fails', async () => {
    version = (_request, response) => answerText(response, 'down', 503);
    expect(await discovery.discover(domain)).toEqual(failed('api', true));
    smimpTxt = (_request, response) => answerText(response, 'gone', 404);
    wait(FAILED_FRESH_MS);
    expect(await discovery.discover(domain)).toMatchObject({ outcome: 'failed', everFound: true });
  });

  it('turns to a domain that was absent once it speaks', async () => {
    smimpTxt = (_request, response) => answerText(response, 'no', 404);
    expect(await discovery.discover(domain)).toEqual({ outcome: 'absent' });
    smimpTxt = honest;
    wait(FAILED_FRESH_MS);
    expect(await discovery.discover(domain)).toEqual(found);
  });
});

describe('redirects of smimp.txt', () => {
  it('are followed three times, to any host, and no further', async () => {
    const chain =
      (length: number): Handler =>
      (request, response) => {
        const step = Number(new URL(request.url ?? '', 'https://x.test').searchParams.get('step') ?? 0);
        if (step >= length) return answerText(response, HOST);
        return redirect(`https://${step % 2 === 0 ? 'a' : 'b'}.example/?step=${step + 1}`)(request, response);
      };
    smimpTxt = chain(MAX_REDIRECTS);
    expect(await discovery.discover(domain)).toEqual(found);
    reset();
    smimpTxt = chain(MAX_REDIRECTS + 1);
    expect(await discovery.discover(domain)).toEqual(failed('redirect'));
    expect(server.requests).toHaveLength(MAX_REDIRECTS + 1);
  });

  it.each([301, 302, 303, 307, 308])('by %i, also to a relative place', async (status) => {
    smimpTxt = (request, response) =>
      request.url === '/there' ? answerText(response, HOST) : redirect('/there', status)(request, response);
    expect(await discovery.discover(domain)).toEqual(found);
  });

  it.each([
    ['plain HTTP', 'http://a.example/', 'redirect'],
    ['another scheme', 'ftp://a.example/', 'redirect'],
    ['nowhere', '', 'redirect'],
    ['what is no URL', 'https://', 'redirect'],
    ['credentials', 'https://user:pass@a.example/', 'refused-address'],
    ['an IPv4 address', 'https://127.0.0.1/', 'refused-address'],
    ['an address in hex', 'https://0x7f.1/', 'refused-address'],
    ['an IPv6 address', 'https://[::1]/', 'refused-address'],
    ['a name of one label', 'https://localhost/', 'refused-address'],
    ['a name at a private address', 'https://inside.example/', 'refused-address'],
  ])('are refused to %s', async (_where, location, code) => {
    smimpTxt = redirect(location);
    expect(await discovery.discover(domain)).toEqual(failed(code));
    expect(server.requests).toHaveLength(1);
  });

  it('do not make a page on another host mean absence when it is not there', async () => {
    smimpTxt = (request, response) =>
      request.url === '/.well-known/smimp.txt'
        ? redirect('https://a.example/lost')(request, response)
        : answerText(response, 'no', 404);
    expect(await discovery.discover(domain)).toEqual({ outcome: 'absent' });
  });
});

describe('what smimp.txt may not be', () => {
  it.each([
    ['too long', 'x'.repeat(1025), 'too-large'],
    ['endless', 'x'.repeat(300_000), 'too-large'],
    ['empty', '\n\n', 'bad-response'],
    ['no ASCII', 'smimp.pe\u00e9r.test', 'bad-response'],
    ['plain HTTP', 'http://smimp.peer.test', 'bad-response'],
    ['an address', '127.0.0.1', 'bad-response'],
    ['an address in hex', '0x7f.1', 'bad-response'],
    ['a dot segment', 'smimp.peer.test/../x', 'bad-response'],
    ['a page', '<!doctype html><title>Welcome</title>', 'bad-response'],
  ])('%s', async (_what, body, code) => {
    smimpTxt = (_request, response) => answerText(response, body);
    expect(await discovery.discover(domain)).toEqual(failed(code));
  });

  it('late', async () => {
    smimpTxt = () => undefined;
    expect(await discovery.discover(domain)).toEqual(failed('timeout'));
  });

  it('the way to a private address', async () => {
    smimpTxt = (_request, response) => answerText(response, 'inside.example');
    expect(await discovery.discover(domain)).toEqual(failed('refused-address', true));
  });
});

describe('the version', () => {
  it.each([
    ['none in common', '{"versions":["0.2"]}', 'no-common-version'],
    ['no strict JSON', '{"versions":["0.1"],"versions":["0.1"]}', 'bad-response'],
    ['another shape', '{"versions":"0.1"}', 'bad-response'],
    ['too much', `{"versions":["0.1","${'x'.repeat(20_000)}"]}`, 'too-large'],
  ])('%s is a failure of a domain that speaks', async (_what, body, code) => {
    version = (_request, response) => answerText(response, body);
    expect(await discovery.discover(domain)).toEqual(failed(code, true));
  });
});
