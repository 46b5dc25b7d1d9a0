/** HTTPS, JSON and limits of the home server (SMIMP 0.1 §1.1, §5): bad input of every kind gets its own plain refusal. */
import { once } from 'node:events';
import { request as plainRequest } from 'node:http';
import { connect, type TLSSocket } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CALL_NAMES, CALLS, MAX_REQUEST_BYTES } from '../src/smimp/api.ts';
import {
  type Account,
  ALICE,
  type ApiSite,
  answerOf,
  BASE_URL,
  BOB,
  codeOf,
  type Login,
  rawExchange,
  segment,
  sendPath,
  startApi,
  stranger,
} from './support/api-site.ts';

let site: ApiSite;
let bob: Account;
let home: Login;
let remote: Login;

beforeAll(async () => {
  site = await startApi({ limits: { requestTimeoutMs: 400, headersTimeoutMs: 300, checkEveryMs: 50 } });
  bob = await site.account(BOB, { ephemeral: 2 });
  home = await site.logIn(bob);
  remote = await site.logIn(stranger(site, ALICE));
});
afterAll(() => site[Symbol.asyncDispose]());

async function openSocket(at: ApiSite): Promise<TLSSocket> {
  const socket = connect({ host: '127.0.0.1', port: at.port, ca: at.ca, servername: 'smimp.corp.test' });
  await once(socket, 'secureConnect');
  return socket;
}

const json = { 'content-type': 'application/json' };
const postRaw = (body: string | Buffer, headers: Record<string, string> = json, path = '/0.1/get_message_key') =>
  site.send({ method: 'POST', path, body, headers, token: remote.token });
const END = /\r\n\r\n[\s\S]*\}|\r\n\r\n$/;

describe('the door', () => {
  it('speaks TLS 1.2 and newer only', async () => {
    const refused = new Promise((resolve, reject) => {
      const socket = connect({
        host: '127.0.0.1',
        port: site.port,
        ca: site.ca,
        maxVersion: 'TLSv1.1',
        minVersion: 'TLSv1',
      });
      socket.once('error', resolve);
      socket.once('secureConnect', () => reject(new Error('TLS 1.1 was accepted')));
    });
    expect(await refused).toBeInstanceOf(Error);
    const plain = new Promise((resolve, reject) => {
      const asked = plainRequest({ host: '127.0.0.1', port: site.port, path: '/version' });
      asked
        .once('error', resolve)
        .once('response', () => reject(new Error('plain HTTP was answered')))
        .end();
    });
    expect(await plain).toBeInstanceOf(Error);
  });

  it('tells where it is and what it can', async () => {
    const found = await site.get('/.well-known/smimp.txt');
    expect(found.text).toBe(`${BASE_URL}\n`);
    expect(answerOf('version', await site.get('/version'))).toEqual({ versions: ['0.1'] });
    const information = answerOf('server_information', await site.get('/0.1/server_information'));
    expect(information).toMatchObject({ domains: ['corp.test'], limits: { message_bytes: 26_214_400 } });
    expect([...information.apis].sort()).toEqual([...CALL_NAMES].sort());
  });

  it('answers what it does not know with a problem document', async () => {
    for (const path of ['/', '/0.1/', '/0.1/nowhere', '/0.1/message', '/0.2/version', '/0.1/Folder/email'])
      expect(codeOf(await site.get(path, home.token)), path).toBe('not_found');
    const { headers } = await site.get('/0.1/nowhere');
    expect(headers['content-type']).toContain('application/problem+json');
    expect(codeOf(await site.send({ method: 'DELETE', path: '/version' }))).toBe('method_not_allowed');
    expect(codeOf(await site.send({ method: 'PUT', path: '/0.1/folder/email', token: home.token }))).toBe(
      'method_not_allowed',
    );
    expect(codeOf(await site.get('/0.1/folder/%zz', home.token))).toBe('bad_request');
  });

  it('takes any percent-encoding of an address, decoded once', async () => {
    const path = (address: string): string => `/0.1/get_user/${address}/public_key`;
    const everything = [...Buffer.from(BOB)].map((byte) => `%${byte.toString(16)}`).join('');
    for (const spelling of [segment(BOB), everything])
      expect(answerOf('get_public_key', await site.get(path(spelling))).address).toBe(BOB);
    for (const spelling of ['bob%2523corp.test', 'BOB%23corp.test', 'bob', 'bob%23%63orp.test.', '%FF%23corp.test'])
      expect(codeOf(await site.get(path(spelling))), spelling).toBe('bad_request');
    expect(codeOf(await site.get(path(segment(`${'a'.repeat(255)}#corp.test`))))).toBe('unknown_user');
    expect(codeOf(await site.get(path(segment(`${'a'.repeat(256)}#corp.test`))))).toBe('bad_request');
  });

  it('echoes nothing', async () => {
    const canary = 'canary7f3a';
    for (const reply of [
      await site.get(`/0.1/get_user/${canary}/public_key`),
      await site.get(`/${canary}`),
      await postRaw(JSON.stringify({ [canary]: canary })),
      await postRaw(`{"${canary}"`),
    ]) {
      expect(reply.status).toBeGreaterThanOrEqual(400);
      expect(reply.text + JSON.stringify(reply.headers)).not.toContain(canary);
    }
  });
});

describe('requests', () => {
  it('must be strict JSON of the known members', async () => {
    const depth = (levels: number): string => '['.repeat(levels) + ']'.repeat(levels);
    const bad = [
      '',
      ' ',
      'null',
      '{',
      '{"address":"bob#corp.test","address":"bob#corp.test"}',
      '{"address":"bob#corp.test","addr\\u0065ss":"bob#corp.test"}',
      '{"address":"bob#corp.test","__proto__":{}}',
      '{"address":"bob#corp.test","more":1}',
      '\ufeff{"address":"bob#corp.test"}',
      '{"address":"\\ud800"}',
      '{"address":1e3}',
      depth(17),
      depth(100_000),
      `{"address":"bob#corp.test","more":[${'{},'.repeat(50_000)}{}]}`,
      Buffer.from([0x22, 0xff, 0x22]),
    ];
    for (const body of bad) expect(codeOf(await postRaw(body)), String(body).slice(0, 40)).toBe('bad_request');
    expect((await postRaw('{"address":"bob#corp.test"}')).status).toBe(200);
  });

  it('come as plain JSON: no other type, no compression', async () => {
    const body = '{"address":"bob#corp.test"}';
    for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'application/jsonx'])
      expect(codeOf(await postRaw(body, { 'content-type': type })), type).toBe('unsupported_media_type');
    for (const encoding of ['gzip', 'deflate', 'br', 'gzip, identity'])
      expect(codeOf(await postRaw(body, { ...json, 'content-encoding': encoding }))).toBe('unsupported_media_type');
    expect((await postRaw(body, { 'content-type': 'application/json; charset=utf-8' })).status).toBe(200);
  });

  it('have no body or query where the call has none', async () => {
    expect(codeOf(await site.get('/version?x=1'))).toBe('bad_request');
    const body = { method: 'GET', path: '/version', body: '{}', headers: json };
    expect(codeOf(await site.send(body))).toBe('bad_request');
    const again = await site.logIn(bob);
    const ended = { method: 'POST', path: '/0.1/destroy_session', token: again.token, headers: json };
    expect(codeOf(await site.send({ ...ended, body: '{}' }))).toBe('bad_request');
    expect((await site.send({ ...ended, headers: {} })).status).toBe(204);
  });

  it('may be 256 KiB and not a byte more', async () => {
    const sized = (size: number): string => '{"address":"bob#corp.test"}'.padEnd(size, ' ');
    expect((await postRaw(sized(MAX_REQUEST_BYTES))).status).toBe(200);
    expect(codeOf(await postRaw(sized(MAX_REQUEST_BYTES + 1)))).toBe('too_large');
  });

  it('are cut off while they stream, whatever they announce', async () => {
    const head = `POST /0.1/get_message_key HTTP/1.1\r\nHost: x\r\nSMIMP-Authentication: ${remote.token}\r\nContent-Type: application/json\r\n`;
    const chunk = `4000\r\n${' '.repeat(0x4000)}\r\n`;
    const chunked = `${head}Transfer-Encoding: chunked\r\n\r\n${chunk.repeat(17)}`;
    expect(await rawExchange(site, chunked, END)).toContain('"code":"too_large"');
    const more = `${head}Content-Length: 5\r\n\r\n{"address":"bob#corp.test"}`;
    expect(await rawExchange(site, more, END)).toContain('"code":"bad_request"');
    const both = `${head}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`;
    expect(await rawExchange(site, both, END)).toMatch(/^HTTP\/1\.1 400 /);
    const tooFew = `${head}Content-Length: 500\r\n\r\n{}`;
    expect(await rawExchange(site, tooFew, END)).toContain('"code":"request_timeout"');
  });

  it('must arrive in time: body and headers', async () => {
    const head = `POST /0.1/get_message_key HTTP/1.1\r\nHost: x\r\nSMIMP-Authentication: ${remote.token}\r\nContent-Type: application/json\r\n`;
    expect(await rawExchange(site, `${head}Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n`, END)).toMatch(
      /^HTTP\/1\.1 408 /,
    );
    const slow = await rawExchange(site, head, END);
    expect(slow).toMatch(/^HTTP\/1\.1 408 /);
    expect(slow).toContain('application/problem+json');
  });

  it('have a bounded number and size of headers, and a bounded path', async () => {
    const asked = (headers: string, path = '/version'): string => `GET ${path} HTTP/1.1\r\nHost: x\r\n${headers}\r\n`;
    const many = (count: number): string => Array.from({ length: count }, (_, i) => `x-${i}: 1\r\n`).join('');
    expect(await rawExchange(site, asked(many(63)), END)).toMatch(/^HTTP\/1\.1 200 /);
    expect(await rawExchange(site, asked(many(64)), END)).toContain('"code":"bad_request"');
    expect(await rawExchange(site, asked(`x: ${'y'.repeat(20_000)}\r\n`), END)).toMatch(
      /^HTTP\/1\.1 4\d\d [\s\S]*problem\+json/,
    );
    expect(await rawExchange(site, asked('', `/version?${'z'.repeat(5_000)}`), END)).toMatch(
      /"code":"(bad_request|too_large)"/,
    );
  });
});

describe('a server with little room', () => {
  it('cuts off a body that dawdles, and takes no more than its memory', async () => {
    await using small = await startApi({ limits: { bodyTimeoutMs: 50, bodyBudgetBytes: 1_000 } });
    await small.account(BOB);
    const { token } = await small.logIn(stranger(small, ALICE));
    const head = (path: string, length: number): string =>
      `POST ${path} HTTP/1.1\r\nHost: x\r\nSMIMP-Authentication: ${token}\r\nContent-Type: application/json\r\nContent-Length: ${length}\r\n\r\n`;
    expect(await rawExchange(small, head('/0.1/get_message_key', 20), END)).toContain('"code":"request_timeout"');
    const refused = await rawExchange(small, head(sendPath(BOB), 1_001), END);
    expect(refused).toContain('"code":"unavailable"');
    expect(refused.toLowerCase()).toContain('retry-after: ');
    expect(await rawExchange(small, `${head(sendPath(BOB), 1_000)}${' '.repeat(1_000)}`, END)).toContain(
      '"code":"bad_request"',
    );
    // What was taken is given back: the same fits again.
    expect(await rawExchange(small, `${head(sendPath(BOB), 1_000)}${' '.repeat(1_000)}`, END)).toContain(
      '"code":"bad_request"',
    );
  });

  it('lets who sends slowly keep its place only while nobody else needs one', async () => {
    await using small = await startApi({ limits: { bodyBudgetBytes: 1_000 } });
    await small.account(BOB);
    const { token } = await small.logIn(stranger(small, ALICE));
    const message = `POST ${sendPath(BOB)} HTTP/1.1\r\nHost: x\r\nSMIMP-Authentication: ${token}\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n`;
    const slow = await openSocket(small);
    const heard: Buffer[] = [];
    slow.on('data', (chunk: Buffer) => heard.push(chunk));
    slow.write(`${message}{`);
    await expect.poll(() => rawExchange(small, message, END)).toContain('"code":"unavailable"');
    expect(heard).toEqual([]);
    small.later(11);
    const ended = once(slow, 'close');
    expect(await rawExchange(small, message, END)).toContain('"code":"unavailable"');
    await ended;
    expect(Buffer.concat(heard).toString()).toContain('"code":"request_timeout"');
    const next = `${message}${' '.repeat(1_000)}`;
    await expect.poll(() => rawExchange(small, next, END)).toContain('"code":"bad_request"');
  });

  it('takes no more connections than it may', async () => {
    await using small = await startApi({ limits: { connections: 2 } });
    const doors = [await openSocket(small), await openSocket(small)];
    await expect(openSocket(small)).rejects.toThrow();
    for (const socket of doors) socket.destroy();
  });
});

describe('the table of calls', () => {
  it('has each served call behind its own authorisation', async () => {
    for (const name of CALL_NAMES) {
      const { auth, method, path } = CALLS[name];
      if (auth !== 'session' && auth !== 'home') continue;
      const filled = path.replace('{a}', segment(BOB)).replace('{type}', 'email').replace('{name}', 'x');
      const url = `/0.1/${filled.replace('{id}', '00'.repeat(32)).replace('{mark}', 'true')}`;
      for (const token of ['00'.repeat(32), 'x', home.token.toUpperCase()])
        expect(codeOf(await site.send({ method, path: url, token })), `${name} ${token}`).toBe('unauthorized');
    }
  });
});
