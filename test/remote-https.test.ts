import { createServer as createPlainServer } from 'node:http';
import { type AddressInfo, createServer as createTcpServer, type Server } from 'node:net';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type Authority, createAuthority } from '../src/admin/certificates.ts';
import { RemoteError } from '../src/remote/errors.ts';
import { createHttps, type Https, type HttpsRequest } from '../src/remote/https.ts';
import { createResolver, isPublicAddress } from '../src/remote/network.ts';
import { answerText, type Handler, startTlsServer, type TlsServer, testAuthority } from './support/tls-server.ts';

const DAY_MS = 86_400_000;

let authority: Authority;
beforeAll(async () => {
  authority = await testAuthority();
});

const open: AsyncDisposable[] = [];
afterEach(async () => {
  for (const one of open.splice(0)) await one[Symbol.asyncDispose]();
});

function client(hosts: Record<string, string>, settings: Partial<Parameters<typeof createHttps>[0]> = {}): Https {
  const https = createHttps({ hosts, allow: [], ca: [authority.certificate], ...settings });
  open.push(https);
  return https;
}

async function serve(
  handler: Handler,
  options: Partial<Parameters<typeof startTlsServer>[0]> = {},
): Promise<TlsServer> {
  const server = await startTlsServer({ names: ['peer.test'], handler, ...options });
  open.push(server);
  return server;
}

const ask = (https: Https, request: Partial<HttpsRequest> & { path?: string } = {}) => {
  const { path = '/', ...rest } = request;
  return https.request({
    method: 'GET',
    url: new URL(`https://peer.test${path}`),
    maxBytes: 1000,
    timeoutMs: 5_000,
    ...rest,
  });
};

async function codeOf(promise: Promise<unknown>): Promise<string> {
  const error = await promise.then(
    () => 'nothing was thrown',
    (reason: unknown) => reason,
  );
  return error instanceof RemoteError ? error.code : String(error);
}

/** The code with which a request to a server that behaves like this fails. */
async function failure(handler: Handler, request: Partial<HttpsRequest> = {}): Promise<string> {
  const server = await serve(handler);
  return codeOf(ask(client({ 'peer.test': server.target }), request));
}

describe('a request', () => {
  it('sends what it is given and brings the answer, over connections it keeps', async () => {
    const server = await serve((request, response) => {
      request.pipe(response.writeHead(200, { 'x-echo': request.headers['x-sent'] ?? '' }));
    });
    const https = client({ 'peer.test': server.target });
    for (const text of ['one', 'two', 'three', 'four', 'five']) {
      const answer = await ask(https, { method: 'POST', body: Buffer.from(text), headers: { 'x-sent': text } });
      expect(answer.status).toBe(200);
      expect(answer.body.toString()).toBe(text);
      expect(answer.headers['x-echo']).toBe(text);
    }
    expect(server.connections()).toBeLessThanOrEqual(2);
  });

  it('asks for no compression and follows no redirect', async () => {
    const codings: unknown[] = [];
    const server = await serve((request, response) => {
      codings.push(request.headers['accept-encoding']);
      response.writeHead(302, { location: '/elsewhere' }).end();
    });
    expect((await ask(client({ 'peer.test': server.target }))).status).toBe(302);
    expect(codings).toEqual(['identity']);
    expect(server.requests).toEqual(['GET /']);
  });

  it('takes in no byte more than allowed, announced or not', async () => {
    const exact = await serve((_request, response) => answerText(response, Buffer.alloc(1000)));
    expect((await ask(client({ 'peer.test': exact.target }))).body).toHaveLength(1000);
    expect(await failure((_request, response) => answerText(response, Buffer.alloc(1001)))).toBe('too-large');
    const unannounced: Handler = (_request, response) => {
      response.writeHead(200, { 'transfer-encoding': 'chunked' });
      response.write(Buffer.alloc(10_000_000));
    };
    expect(await failure(unannounced)).toBe('too-large');
  });

  it('stops a body that never ends', async () => {
    const endless: Handler = (_request, response) => {
      response.writeHead(200);
      const more = (): void => {
        while (!response.destroyed && response.write(Buffer.alloc(10_000)));
        response.once('drain', more);
      };
      more();
    };
    expect(await failure(endless, { maxBytes: 1_000_000 })).toBe('too-large');
  });

  it('has a deadline for a server that drips', async () => {
    const drip: Handler = (_request, response) => {
      response.writeHead(200);
      const dripping = setInterval(() => response.write('.'), 5);
      response.on('close', () => clearInterval(dripping));
    };
    expect(await failure(drip, { timeoutMs: 100 })).toBe('timeout');
  });

  it('has a deadline for a server that stalls before its headers, or in the middle of its body', async () => {
    const silent: Handler = () => undefined;
    expect(await failure(silent, { timeoutMs: 100 })).toBe('timeout');
    const halfway: Handler = (_request, response) => {
      response.writeHead(200, { 'content-length': '10' });
      response.write('12345');
    };
    expect(await failure(halfway, { timeoutMs: 100 })).toBe('timeout');
  });

  it('can be cancelled', async () => {
    const cancel = new AbortController();
    const handler: Handler = () => cancel.abort();
    expect(await failure(handler, { signal: cancel.signal })).toBe('cancelled');
  });

  it('refuses compressed bodies and broken HTTP, and notices a lost connection', async () => {
    const zipped: Handler = (_request, response) =>
      response.writeHead(200, { 'content-encoding': 'gzip' }).end('x') && undefined;
    expect(await failure(zipped)).toBe('bad-response');
    expect(await failure((request) => request.socket.end('NONSENSE\r\n\r\n') && undefined)).toBe('bad-response');
    const long: Handler = (_request, response) =>
      response.writeHead(200, { 'x-long': 'x'.repeat(20_000) }).end() && undefined;
    expect(await failure(long)).toBe('bad-response');
    expect(await failure((request) => request.socket.destroy() && undefined)).toBe('connect');
    const short: Handler = (request, response) => {
      response.writeHead(200, { 'content-length': '10' });
      response.write('12345', () => request.socket.destroy());
    };
    expect(await failure(short)).toBe('connect');
  });
});

describe('TLS', () => {
  const attempt = async (options: Partial<Parameters<typeof startTlsServer>[0]>, ca = authority): Promise<string> => {
    const server = await serve((_request, response) => answerText(response, 'hello'), options);
    const https = client({ 'peer.test': server.target }, { ca: [ca.certificate] });
    const code = await ask(https).then(
      () => 'accepted',
      (error: RemoteError) => error.code,
    );
    // Whatever was wrong, nothing was sent.
    expect(server.requests).toEqual(code === 'accepted' ? ['GET /'] : []);
    return code;
  };

  it('accepts a certificate for the name from a trusted authority, and no other', async () => {
    expect(await attempt({})).toBe('accepted');
    expect(await attempt({ authority: await createAuthority() })).toBe('tls');
    expect(await attempt({ names: ['other.test'] })).toBe('tls');
    expect(await attempt({ names: ['sub.peer.test'] })).toBe('tls');
  });

  it('refuses what has ended, what has not begun, and what signs itself', async () => {
    const now = Date.now();
    const [past, future] = [new Date(now - DAY_MS), new Date(now + DAY_MS)];
    expect(await attempt({ notBefore: new Date(now - 2 * DAY_MS), notAfter: past })).toBe('tls');
    expect(await attempt({ notBefore: future, notAfter: new Date(now + 2 * DAY_MS) })).toBe('tls');
    expect(await attempt({}, await createAuthority())).toBe('tls');
  });

  it('is not given up for plain HTTP, nor for a process that turned verification off', async () => {
    const plain = createPlainServer((_request, response) => response.end('plain'));
    await new Promise<void>((resolve) => plain.listen(0, '127.0.0.1', resolve));
    const https = client({ 'peer.test': `127.0.0.1:${(plain.address() as AddressInfo).port}` });
    expect(await codeOf(ask(https))).toBe('tls');
    expect(await codeOf(ask(https, { url: new URL('http://peer.test/') }))).toBe('refused-address');
    plain.close();
    process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0';
    try {
      expect(await attempt({ authority: await createAuthority() })).toBe('tls');
    } finally {
      delete process.env.NODE_TLS_REJECT_UNAUTHORIZED;
    }
  });

  it('has a deadline for the handshake', async () => {
    const sockets: { destroy(): unknown }[] = [];
    const mute: Server = createTcpServer((socket) => void sockets.push(socket));
    await new Promise<void>((resolve) => mute.listen(0, '127.0.0.1', resolve));
    const hosts = { 'peer.test': `127.0.0.1:${(mute.address() as AddressInfo).port}` };
    expect(await codeOf(ask(client(hosts, { connectTimeoutMs: 100 })))).toBe('timeout');
    for (const socket of sockets) socket.destroy();
    mute.close();
  });
});

describe('where a connection may go', () => {
  it.each([
    '0.0.0.0',
    '10.1.2.3',
    '100.64.0.1',
    '127.0.0.1',
    '127.255.255.255',
    '169.254.169.254',
    '172.16.0.1',
    '172.31.255.255',
    '192.0.0.8',
    '192.0.2.1',
    '192.88.99.1',
    '192.168.1.1',
    '198.18.0.1',
    '198.51.100.1',
    '203.0.113.9',
    '224.0.0.1',
    '239.1.1.1',
    '240.0.0.1',
    '255.255.255.255',
    '::',
    '::1',
    '::ffff:127.0.0.1',
    '::ffff:8.8.8.8',
    '::127.0.0.1',
    '64:ff9b::7f00:1',
    '100::1',
    'fc00::1',
    'fd12:3456::1',
    'fe80::1',
    'fec0::1',
    'ff02::1',
    '2001::1',
    '2001:db8::1',
    '2002:7f00:1::',
    '3fff::1',
    '4000::1',
    'no address',
  ])('not to %s', (address) => {
    expect(isPublicAddress(address)).toBe(false);
  });

  it.each(['8.8.8.8', '172.32.0.1', '100.128.0.1', '192.0.1.1', '223.255.255.255', '2606:4700::1111', '2a00:1450::1'])(
    'to %s',
    (address) => {
      expect(isPublicAddress(address)).toBe(true);
    },
  );

  const resolver = (addresses: string[], settings: { hosts?: Record<string, string>; allow?: string[] } = {}) => {
    const asked: string[] = [];
    const lookup = async (name: string) => {
      asked.push(name);
      return addresses.map((address) => ({ address }));
    };
    const { hosts = {}, allow = [] } = settings;
    return { resolve: createResolver({ hosts, allow, lookup }), asked };
  };

  it('keeps the public addresses of a name and refuses a name that has none', async () => {
    const mixed = resolver(['10.0.0.1', '8.8.8.8', '::1']);
    expect(await mixed.resolve('peer.test', 443)).toEqual([{ address: '8.8.8.8', port: 443 }]);
    expect(await codeOf(resolver(['10.0.0.1', 'fd00::1']).resolve('peer.test', 443))).toBe('refused-address');
    expect(await codeOf(resolver([]).resolve('peer.test', 443))).toBe('unresolvable');
  });

  it('opens the private networks the configuration lists, and only those', async () => {
    const { resolve } = resolver(['10.0.0.1', '10.1.0.1', 'fd00::1', 'fd01::1'], {
      allow: ['10.0.0.0/16', 'fd00::/16'],
    });
    const targets = await resolve('peer.test', 8443);
    expect(targets.map(({ address }) => address)).toEqual(['10.0.0.1', 'fd00::1']);
  });

  it('takes mapped names as they are written, with a port of their own', async () => {
    const hosts = { 'a.test': '127.0.0.1', 'b.test': '127.0.0.1:9443', 'c.test': '[::1]', 'd.test': '[::1]:9443' };
    const { resolve, asked } = resolver([], { hosts });
    expect(await resolve('a.test', 443)).toEqual([{ address: '127.0.0.1', port: 443 }]);
    expect(await resolve('b.test', 443)).toEqual([{ address: '127.0.0.1', port: 9443 }]);
    expect(await resolve('c.test', 443)).toEqual([{ address: '::1', port: 443 }]);
    expect(await resolve('d.test', 443)).toEqual([{ address: '::1', port: 9443 }]);
    expect(asked).toEqual([]);
  });

  it.each(['127.0.0.1', '2130706433', '0x7f.1', 'localhost', '[::1]', 'peer.test.', 'constructor'])(
    'asks DNS nothing for %s, which is no domain',
    async (name) => {
      const { resolve, asked } = resolver(['8.8.8.8']);
      expect(await codeOf(resolve(name, 443))).toBe('refused-address');
      expect(asked).toEqual([]);
    },
  );

  it('connects to what was vetted: one look-up per connection, whatever DNS would answer next', async () => {
    const server = await serve((_request, response) => answerText(response, 'hello'));
    const answers = ['127.0.0.1', '10.0.0.1'];
    const lookup = async () => [{ address: answers.shift() ?? '10.0.0.1' }];
    const https = client({}, { allow: ['127.0.0.0/8'], lookup });
    const url = new URL(`https://peer.test:${server.port}/`);
    expect((await ask(https, { url })).status).toBe(200);
    expect(answers).toEqual(['10.0.0.1']);
    const strict = client({}, { lookup: async () => [{ address: '127.0.0.1' }] });
    expect(await codeOf(ask(strict, { url }))).toBe('refused-address');
    expect(server.requests).toHaveLength(1);
  });

  it('tries the next address when one does not answer, but not when one has a wrong certificate', async () => {
    const handler: Handler = (_request, response) => answerText(response, 'hello');
    const server = await serve(handler);
    const url = new URL(`https://peer.test:${server.port}/`);
    const both = async () => [{ address: '127.0.0.2' }, { address: '127.0.0.1' }];
    const ofBoth = () => client({}, { allow: ['127.0.0.0/8'], lookup: both });
    expect((await ask(ofBoth(), { url })).status).toBe(200);
    await serve(handler, { host: '127.0.0.2', port: server.port, names: ['other.test'] });
    expect(await codeOf(ask(ofBoth(), { url }))).toBe('tls');
    expect(server.requests).toHaveLength(1);
    const failing = async () => {
      throw new Error('no such name');
    };
    expect(await codeOf(ask(client({}, { lookup: failing }), { url }))).toBe('unresolvable');
  });

  it('takes no credentials or fragment in a URL', async () => {
    const https = client({ 'peer.test': '127.0.0.1:1' });
    for (const url of ['https://user@peer.test/', 'https://peer.test/#x', 'ftp://peer.test/']) {
      expect(await codeOf(ask(https, { url: new URL(url) }))).toBe('refused-address');
    }
    expect(await codeOf(ask(https))).toBe('connect');
  });
});
