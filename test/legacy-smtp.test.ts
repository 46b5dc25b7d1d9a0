/** Handing mail to servers of the old internet: which one, under which encryption, and what its replies mean. */
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { dnsResolver } from '../src/legacy/authentication.ts';
import { createMailer, type Mailer } from '../src/legacy/mailer.ts';
import type { StsPolicy } from '../src/legacy/mta-sts.ts';
import { createExchangers, lookupBy, MAX_EXCHANGERS, type ResolveDns } from '../src/legacy/mx.ts';
import { RelayError } from '../src/legacy/relay-error.ts';
import { pathOf } from '../src/legacy/smtp-client.ts';
import { DnsZone } from './support/dns-zone.ts';
import { type OldServer, startOldServer } from './support/old-server.ts';
import { testAuthority } from './support/tls-server.ts';

const NO_POLICY: StsPolicy = { mode: 'none', mx: [] };
const TIMEOUTS = { connectMs: 2_000, greetingMs: 2_000, idleMs: 5_000 };
const MESSAGE = Buffer.from('From: alice@acme.test\r\nTo: bob@old.test\r\nSubject: Hello\r\n\r\nDear Bob\r\n');
const LETTER = { from: 'alice@acme.test', to: 'bob@old.test', message: MESSAGE };

let owned: AsyncDisposableStack;
beforeEach(() => {
  owned = new AsyncDisposableStack();
});
afterEach(() => owned.disposeAsync());

const serverOf = async (options: Parameters<typeof startOldServer>[0] = {}): Promise<OldServer> =>
  owned.use(await startOldServer(options));

const failed = (code: string): Error => Object.assign(new Error(code), { code });

/** DNS that knows what it is told: MX records by domain, addresses by name. Everything is on loopback, at the port of `at`. */
function dns(records: { mx?: Record<string, [number, string][]>; hosts?: Record<string, string>; trouble?: string[] }) {
  const resolve: ResolveDns = async (name, type) => {
    if (records.trouble?.includes(name)) throw failed('ESERVFAIL');
    const found = type === 'MX' ? records.mx?.[name] : undefined;
    if (found === undefined) throw failed('ENODATA');
    return found.map(([priority, exchange]) => ({ priority, exchange }));
  };
  const lookup = async (name: string): Promise<{ address: string }[]> => {
    const address = records.hosts?.[name];
    if (address === undefined) throw failed('ENOTFOUND');
    return [{ address }];
  };
  return { resolve, lookup };
}

async function mailerOf(options: {
  dns?: Parameters<typeof dns>[0];
  port?: number;
  allow?: string[];
  routes?: Record<string, string>;
  policy?: StsPolicy;
  tls?: Parameters<typeof createMailer>[0]['tls'];
  smarthost?: Parameters<typeof createMailer>[0]['smarthost'];
}): Promise<Mailer> {
  const { routes = {}, allow = ['127.0.0.0/8'], port = 25, policy = NO_POLICY } = options;
  return createMailer({
    name: 'mx.gw.test',
    exchangers: createExchangers({ routes, allow, port, ...dns(options.dns ?? {}) }),
    stsPolicy: async () => policy,
    tls: options.tls ?? 'opportunistic',
    smarthost: options.smarthost ?? null,
    isRouted: (domain) => Object.hasOwn(routes, domain),
    ca: [(await testAuthority()).certificate],
    timeouts: TIMEOUTS,
  });
}

const send = (mailer: Mailer, letter = LETTER) => mailer.send(letter, new AbortController().signal);

async function failureOf(sending: Promise<unknown>): Promise<RelayError> {
  const error = await sending.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  if (error instanceof RelayError) return error;
  throw error ?? new Error('it was sent');
}

const OLD = { mx: { 'old.test': [[10, 'mx.old.test']] as [number, string][] }, hosts: { 'mx.old.test': '127.0.0.1' } };

describe('the server of a domain', () => {
  it('gets the message as it is, encrypted, in one transaction', async () => {
    const server = await serverOf();
    const sent = await send(await mailerOf({ dns: OLD, port: server.port }));
    expect(sent).toEqual({ encrypted: true, verified: false });
    expect(server.received).toHaveLength(1);
    expect(server.received[0]).toMatchObject({ from: 'alice@acme.test', to: ['bob@old.test'], raw: MESSAGE });
  });

  it('is the one that is preferred; the next is asked when it cannot be reached', async () => {
    const server = await serverOf();
    const hosts = { 'far.old.test': '127.0.0.2', 'mx.old.test': '127.0.0.1' };
    const mx: [number, string][] = [
      [20, 'mx.old.test.'],
      [10, 'far.old.test'],
    ];
    await send(await mailerOf({ dns: { mx: { 'old.test': mx }, hosts }, port: server.port }));
    expect(server.received).toHaveLength(1);
  });

  it('that greets with a refusal is passed over for the next', async () => {
    const busy = await serverOf();
    busy.answer('connect', { code: 554, text: '5.3.2 No mail today' });
    const failure = await failureOf(send(await mailerOf({ dns: OLD, port: busy.port })));
    expect(failure).toMatchObject({ code: 'smtp-connect', permanent: false, said: { status: '5.3.2' } });
    expect(busy.received).toEqual([]);
  });

  it('is the domain itself when it has no MX', async () => {
    const server = await serverOf({ name: 'old.test' });
    await send(await mailerOf({ dns: { hosts: { 'old.test': '127.0.0.1' } }, port: server.port }));
    expect(server.received).toHaveLength(1);
  });

  it('is not looked for among more than a few', async () => {
    const names = Array.from({ length: MAX_EXCHANGERS + 1 }, (_, i) => `mx${i}.old.test`);
    const mx = { 'old.test': names.map((name, i): [number, string] => [i, name]) };
    const exchangers = createExchangers({ routes: {}, allow: [], ...dns({ mx }) });
    expect((await exchangers.of('old.test')).map(({ name }) => name)).toEqual(names.slice(0, MAX_EXCHANGERS));
  });

  it('is nobody when the domain says so, or does not exist; trouble with DNS passes', async () => {
    const mx: Record<string, [number, string][]> = {
      'null.test': [[0, '']],
      'dot.test': [[0, '.']],
      'odd.test': [[0, '127.0.0.1']],
    };
    const mailer = await mailerOf({ dns: { mx, trouble: ['ill.test'] } });
    const to = (mailbox: string) => failureOf(send(mailer, { ...LETTER, to: mailbox }));
    expect(await to('bob@null.test')).toMatchObject({ code: 'null-mx', permanent: true });
    expect(await to('bob@dot.test')).toMatchObject({ code: 'null-mx', permanent: true });
    expect(await to('bob@odd.test')).toMatchObject({ code: 'no-such-domain', permanent: true });
    expect(await to('bob@gone.test')).toMatchObject({ code: 'no-such-domain', permanent: true });
    expect(await to('bob@ill.test')).toMatchObject({ code: 'dns', permanent: false });
  });

  it('in a private network is not connected to, unless the configuration allows the network', async () => {
    const server = await serverOf();
    const failure = await failureOf(send(await mailerOf({ dns: OLD, port: server.port, allow: [] })));
    expect(failure).toMatchObject({ code: 'refused-address', permanent: false });
    expect(server.connections()).toBe(0);
  });

  it('is found by the name servers of the configuration', async () => {
    const zone = owned.use(await DnsZone.open());
    const resolve = dnsResolver([zone.server]) as ResolveDns;
    const exchangers = createExchangers({ routes: {}, allow: ['127.0.0.0/8'], resolve, lookup: lookupBy(resolve) });
    zone.set('old.test', 'MX', '20 ill.old.test', '10 mx.old.test');
    zone.set('mx.old.test', 'A', '127.0.0.1');
    zone.trouble('ill.old.test', 'servfail');
    const found = await exchangers.of('old.test');
    expect(found.map(({ name }) => name)).toEqual(['mx.old.test', 'ill.old.test']);
    expect(await found[0]?.targets()).toEqual([{ address: '127.0.0.1', port: 25 }]);
    await expect(found[1]?.targets()).rejects.toMatchObject({ code: 'dns' });
    zone.set('null.test', 'MX', '0 ');
    await expect(exchangers.of('null.test')).rejects.toMatchObject({ code: 'null-mx' });
    await expect((await exchangers.of('gone.test'))[0]?.targets()).rejects.toMatchObject({ code: 'no-such-domain' });
  });

  it('is where a route says, whatever DNS has', async () => {
    const server = await serverOf();
    await send(await mailerOf({ dns: OLD, allow: [], routes: { 'old.test': server.target } }));
    // For nobody else: anybody may write the name of that domain into an MX record.
    const mx = { 'evil.test': [[10, 'old.test']] as [number, string][] };
    const led = await mailerOf({ dns: { mx, hosts: {} }, allow: [], routes: { 'old.test': server.target } });
    expect(await failureOf(send(led, { ...LETTER, to: 'x@evil.test' }))).toMatchObject({ code: 'no-such-domain' });
    expect(server.received).toHaveLength(1);
  });
});

describe('replies', () => {
  for (const at of ['mail', 'rcpt', 'data'] as const) {
    it(`that begin with 4 at ${at} put it off, with 5 end it, with the words that were said`, async () => {
      const server = await serverOf();
      const mailer = await mailerOf({ dns: OLD, port: server.port });
      server.answer(at, { code: 451, text: '4.7.1 Try again in a while' }, 1);
      expect(await failureOf(send(mailer))).toMatchObject({
        code: 'smtp-temporary',
        permanent: false,
        said: { status: '4.7.1', text: '451 4.7.1 Try again in a while' },
      });
      server.answer(at, { code: 550, text: 'Go away\u00e9' }, 1);
      expect(await failureOf(send(mailer))).toMatchObject({
        code: 'smtp-permanent',
        permanent: true,
        said: { status: '5.0.0', text: '550 Go away ' },
      });
      await send(mailer);
      expect(server.received).toHaveLength(1);
    });
  }

  describe('that put it off before the message came', () => {
    const later = { code: 451, text: '4.7.1 Try again in a while' };
    const several = (count: number) => {
      const names = Array.from({ length: count }, (_, n) => `mx${n}.old.test`);
      const mx = { 'old.test': names.map((name, n): [number, string] => [n, name]) };
      return { mx, hosts: Object.fromEntries(names.map((name) => [name, '127.0.0.1'])) };
    };

    it('are asked of the next server in the same attempt', async () => {
      const server = await serverOf();
      server.answer('rcpt', later, 2);
      await send(await mailerOf({ dns: several(3), port: server.port }));
      expect(server.received).toHaveLength(1);
      expect(server.connections()).toBe(3);
    });

    it('are asked of no more servers than any attempt tries, and told in the words that were said', async () => {
      const server = await serverOf();
      server.answer('rcpt', later);
      const dns = several(MAX_EXCHANGERS + 1);
      const lost = { ...dns.hosts, [`mx${MAX_EXCHANGERS - 1}.old.test`]: '127.0.0.2' };
      const failure = await failureOf(send(await mailerOf({ dns: { ...dns, hosts: lost }, port: server.port })));
      expect(failure).toMatchObject({ code: 'smtp-temporary', permanent: false, said: { status: '4.7.1' } });
      expect(server.connections()).toBe(MAX_EXCHANGERS - 1);
    });

    it('leave it open, though another server refuses it for good', async () => {
      const server = await serverOf();
      server.answer('rcpt', later, 1);
      server.answer('data', { code: 550, text: '5.7.1 Not here' }, 1);
      const failure = await failureOf(send(await mailerOf({ dns: several(3), port: server.port })));
      expect(failure).toMatchObject({ code: 'smtp-temporary', permanent: false, said: { status: '4.7.1' } });
      expect(server.connections()).toBe(2);
    });

    it('after it came, no other server gets it in this attempt', async () => {
      const server = await serverOf();
      server.answer('data', later, 1);
      expect(await failureOf(send(await mailerOf({ dns: several(2), port: server.port })))).toMatchObject({
        code: 'smtp-temporary',
      });
      expect(server.connections()).toBe(1);
    });
  });

  it('that refuse end it at the first server that gave one: others of the domain are not asked', async () => {
    const server = await serverOf();
    const hosts = { 'mx.old.test': '127.0.0.1', 'mx2.old.test': '127.0.0.1' };
    const mx: [number, string][] = [
      [10, 'mx.old.test'],
      [20, 'mx2.old.test'],
    ];
    server.answer('rcpt', { code: 550, text: '5.1.1 Nobody' }, 1);
    await failureOf(send(await mailerOf({ dns: { mx: { 'old.test': mx }, hosts }, port: server.port })));
    expect(server.connections()).toBe(1);
  });

  it('that never come after the message: it may have arrived, so no other server gets it now', async () => {
    const server = await serverOf();
    const hosts = { 'mx.old.test': '127.0.0.1', 'mx2.old.test': '127.0.0.1' };
    const mx: [number, string][] = [
      [10, 'mx.old.test'],
      [20, 'mx2.old.test'],
    ];
    server.answer('data', 'drop', 1);
    const failure = await failureOf(
      send(await mailerOf({ dns: { mx: { 'old.test': mx }, hosts }, port: server.port })),
    );
    expect(failure).toMatchObject({ code: 'smtp-lost', permanent: false });
    expect(server.received).toHaveLength(1);
  });

  it('of a server that says nothing are not waited for without end', async () => {
    const sockets = new Set<Socket>();
    const silent = createServer((socket) => sockets.add(socket.on('error', () => undefined))).listen(0, '127.0.0.1');
    await once(silent, 'listening');
    owned.defer(() => {
      for (const socket of sockets) socket.destroy();
      silent.close();
    });
    const { port } = silent.address() as { port: number };
    const failure = await failureOf(send(await mailerOf({ dns: OLD, port })));
    expect(failure).toMatchObject({ code: 'smtp-connect', permanent: false });
  });

  it('are not waited for when the work is called off', async () => {
    const server = await serverOf();
    const ending = new AbortController();
    ending.abort();
    const mailer = await mailerOf({ dns: OLD, port: server.port });
    await expect(mailer.send(LETTER, ending.signal)).rejects.toThrow();
    expect(server.received).toEqual([]);
  });
});

describe('what a server takes', () => {
  it('a message above its size is not sent at all', async () => {
    const server = await serverOf({ settings: { size: MESSAGE.length - 1 } });
    const failure = await failureOf(send(await mailerOf({ dns: OLD, port: server.port })));
    expect(failure).toMatchObject({ code: 'smtp-too-large', permanent: true });
    const roomy = await serverOf({ settings: { size: MESSAGE.length } });
    await send(await mailerOf({ dns: OLD, port: roomy.port }));
    expect(roomy.received[0]?.parameters).toMatchObject({ SIZE: String(MESSAGE.length) });
  });

  it('an address beyond ASCII only with SMTPUTF8', async () => {
    const letter = { ...LETTER, to: 'b\u00f6b@old.test' };
    const without = await serverOf({ settings: { hideSMTPUTF8: true } });
    const failure = await failureOf(send(await mailerOf({ dns: OLD, port: without.port }), letter));
    expect(failure).toMatchObject({ code: 'smtp-utf8', permanent: true });
    const server = await serverOf({ settings: { hideSMTPUTF8: false } });
    await send(await mailerOf({ dns: OLD, port: server.port }), letter);
    expect(server.received[0]).toMatchObject({ to: ['b\u00f6b@old.test'], parameters: { SMTPUTF8: true } });
  });

  it('a mailbox that is no plain word in quotes, and one that nobody could write not at all', async () => {
    const mailboxes = [
      'a b@old.test',
      '"c d"@old.test',
      'e@f@old.test',
      'g..h@old.test',
      'i"\\j@old.test',
      'k.l+m@old.test',
    ];
    expect(mailboxes.map(pathOf)).toEqual([
      ...['"a b"@old.test', '"c d"@old.test', '"e@f"@old.test', '"g..h"@old.test'],
      ...['"i\\"\\\\j"@old.test', 'k.l+m@old.test'],
    ]);
    const server = await serverOf();
    const mailer = await mailerOf({ dns: OLD, port: server.port });
    const failure = await failureOf(send(mailer, { ...LETTER, to: 'a<b>@old.test' }));
    expect(failure).toMatchObject({ code: 'bad-mailbox', permanent: true });
    expect(server.received).toEqual([]);
  });

  it('bytes beyond ASCII are announced', async () => {
    const server = await serverOf({ settings: { hide8BITMIME: false } });
    const mailer = await mailerOf({ dns: OLD, port: server.port });
    await send(mailer);
    await send(mailer, { ...LETTER, message: Buffer.concat([MESSAGE, Buffer.from('gr\u00fc\u00df\r\n')]) });
    expect(server.received.map(({ parameters }) => parameters.BODY)).toEqual([undefined, '8BITMIME']);
  });

  it('a report has no reverse path; a line that is a dot arrives as one', async () => {
    const server = await serverOf();
    const message = Buffer.concat([MESSAGE, Buffer.from('.\r\n..\r\n.a\r\n')]);
    await send(await mailerOf({ dns: OLD, port: server.port }), { from: null as never, to: 'bob@old.test', message });
    expect(server.received[0]).toMatchObject({ from: '', raw: message });
  });
});

describe('encryption', () => {
  const enforce: StsPolicy = { mode: 'enforce', mx: ['*.old.test'] };

  it('is used where it is offered, whatever the certificate, and not asked for where it is not', async () => {
    for (const [tls, encrypted] of [
      ['valid', true],
      ['invalid', true],
      ['none', false],
    ] as const) {
      const server = await serverOf({ tls });
      const sent = await send(await mailerOf({ dns: OLD, port: server.port }));
      expect(sent).toEqual({ encrypted, verified: false });
    }
  });

  it('that breaks down is done without, unless it is required', async () => {
    const server = await serverOf({
      settings: { minVersion: 'TLSv1.3', maxVersion: 'TLSv1.3', ciphers: 'TLS_AES_128_CCM_8_SHA256' },
    });
    const sent = await send(await mailerOf({ dns: OLD, port: server.port }));
    expect(sent).toEqual({ encrypted: false, verified: false });
    const failure = await failureOf(send(await mailerOf({ dns: OLD, port: server.port, tls: 'required' })));
    expect(failure).toMatchObject({ code: 'smtp-tls', permanent: false });
    expect(server.received).toHaveLength(1);
  });

  it('that is required is waited for; that is to be verified needs a certificate for the name', async () => {
    const none = await serverOf({ tls: 'none' });
    const wrong = await serverOf({ tls: 'invalid' });
    const valid = await serverOf({ tls: 'valid' });
    const outcome = async (tls: 'required' | 'verified', { port }: OldServer) => {
      const mailer = await mailerOf({ dns: OLD, port, tls });
      return send(mailer).catch((error: RelayError) => error.code);
    };
    expect(await outcome('required', none)).toBe('smtp-tls');
    expect(await outcome('required', wrong)).toEqual({ encrypted: true, verified: false });
    expect(await outcome('verified', none)).toBe('smtp-tls');
    expect(await outcome('verified', wrong)).toBe('smtp-tls');
    expect(await outcome('verified', valid)).toEqual({ encrypted: true, verified: true });
    expect(none.received).toEqual([]);
  });

  it('that the domain enforces is verified, and only its own servers are used', async () => {
    const none = await serverOf({ tls: 'none' });
    const wrong = await serverOf({ tls: 'invalid' });
    const valid = await serverOf({ tls: 'valid' });
    const outcome = async ({ port }: OldServer, policy: StsPolicy) =>
      send(await mailerOf({ dns: OLD, port, policy })).catch((error: RelayError) => error.code);
    expect(await outcome(none, enforce)).toBe('smtp-tls');
    expect(await outcome(wrong, enforce)).toBe('smtp-tls');
    expect(await outcome(valid, enforce)).toEqual({ encrypted: true, verified: true });
    expect(await outcome(valid, { ...enforce, mx: ['mx.else.test'] })).toBe('smtp-tls');
    expect(await outcome(none, { ...enforce, mode: 'testing' })).toEqual({ encrypted: false, verified: false });
    expect(none.received).toHaveLength(1);
  });
});

describe('a relay of one\u2019s own', () => {
  it('gets everything but what has a route, with the login, over verified TLS', async () => {
    const login = { user: 'gateway', password: 'correct horse' };
    const relay = await serverOf({ name: 'relay.gw.test', login, settings: { hideSMTPUTF8: false } });
    const routed = await serverOf();
    const targets = async () => [{ address: '127.0.0.1', port: relay.port }];
    const smarthost = { host: 'relay.gw.test', tls: 'starttls' as const, login, targets };
    const mailer = await mailerOf({ smarthost, routes: { 'routed.test': routed.target }, allow: [] });
    expect(await send(mailer)).toEqual({ encrypted: true, verified: true });
    await send(mailer, { ...LETTER, to: 'bob@routed.test' });
    expect(relay.received.map(({ to, user }) => [to[0], user])).toEqual([['bob@old.test', 'gateway']]);
    expect(routed.received).toHaveLength(1);
    await send(mailer, { ...LETTER, to: 'b\u00f6b@old.test' });
    expect(relay.received[1]).toMatchObject({ to: ['b\u00f6b@old.test'], user: 'gateway' });
    const wrong = { ...smarthost, login: { ...login, password: 'wrong' } };
    expect(await failureOf(send(await mailerOf({ smarthost: wrong })))).toMatchObject({
      code: 'smtp-login',
      permanent: false,
    });
    const other = { ...smarthost, host: 'another.gw.test' };
    expect(await failureOf(send(await mailerOf({ smarthost: other })))).toMatchObject({ code: 'smtp-tls' });
  });
});
