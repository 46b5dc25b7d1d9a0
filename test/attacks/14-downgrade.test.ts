/**
 * Attack 14. Whoever sits between two servers makes SMIMP fail, so that mail goes out as in the old days (SMIMP 0.1 §2.6, §6).
 * Every kind of failure, with and without a pin: nothing is sent in another way, and nothing is sent in the clear.
 */
import { createServer as createPlainHttp } from 'node:http';
import { createServer as createTls } from 'node:https';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createAuthority, issueCertificate } from '../../src/admin/certificates.ts';
import { HISTORY_FRESH_MS } from '../../src/identity/histories.ts';
import { createCheckRecipient } from '../../src/pipeline/recipients.ts';
import { FOUND_FRESH_MS } from '../../src/remote/discovery.ts';
import { findDelivery } from '../../src/store/outbound.ts';
import { type HostileServer, type ServedUser, startHostileServer } from '../support/hostile-server.ts';
import { GIVE_UP_MS, type OutboundSite, outboundSite, TestClock } from '../support/outbound-site.ts';
import { answerJson, answerText } from '../support/tls-server.ts';
import { WatchedSockets } from '../support/watched-sockets.ts';

/** Words of the message; they may stand in no byte that leaves before TLS. */
const PLAIN = /the subject|the text|bob#|bob@|MAIL FROM|RCPT TO|EHLO|DATA|GET \/|POST \//;

const clock = new TestClock();
let corp: HostileServer;
let site: OutboundSite;
let bob: ServedUser;
/** Takes any connection and writes down what it is told. */
let eavesdropper: Server;
let overheard: Buffer[] = [];
const owned = new AsyncDisposableStack();

beforeAll(async () => {
  corp = owned.use(await startHostileServer('corp.test', { zeroBits: 0, now: clock.seconds }));
  site = owned.use(await outboundSite([corp], clock));
  eavesdropper = createServer((socket: Socket) => {
    socket.on('data', (bytes: Buffer) => overheard.push(bytes));
    socket.on('error', () => undefined);
    setTimeout(() => socket.destroy(), 150).unref();
  });
  await new Promise<void>((resolve) => eavesdropper.listen(0, '127.0.0.1', resolve));
});
afterAll(async () => {
  eavesdropper.close();
  await owned.disposeAsync();
});

const honest = (): Record<string, string> => corp.hosts;
const portOf = (server: { address(): unknown }): number => (server.address() as AddressInfo).port;
const lead = (target: string): void => {
  for (const name of Object.keys(honest())) site.hosts[name] = target;
};

/** Puts one failure between Alice and Bob's server; gives back what stops it. */
type Failure = () => Promise<() => unknown> | (() => unknown);
const behave =
  (call: Parameters<HostileServer['behave']>[0], handler: Parameters<HostileServer['behave']>[1]) => () => {
    corp.behave(call, handler);
    return () => corp.behave(call, null);
  };

async function withCertificate(options: { names: string[]; own?: boolean; past?: boolean }): Promise<() => unknown> {
  const authority = await createAuthority();
  const validity = options.past ? { notBefore: new Date(0), notAfter: new Date(86_400_000) } : {};
  const issued = await issueCertificate({ authority, names: options.names, ...validity });
  const server = createTls({ cert: issued.certificate, key: issued.key }, (request, response) => {
    overheard.push(Buffer.from(`${request.method} ${request.url}`));
    response.end('smimp.corp.test');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  lead(`127.0.0.1:${portOf(server)}`);
  return () => server.closeAllConnections();
}

const failures: Record<string, { fail: Failure; unpinned: 'refused' | 'waits' }> = {
  'smimp.txt is 404': {
    fail: behave('smimp.txt', (_q, response) => answerText(response, 'no', 404)),
    unpinned: 'refused',
  },
  'smimp.txt is 410': {
    fail: behave('smimp.txt', (_q, response) => answerText(response, 'no', 410)),
    unpinned: 'refused',
  },
  'smimp.txt is 403': {
    fail: behave('smimp.txt', (_q, response) => answerText(response, 'no', 403)),
    unpinned: 'waits',
  },
  'smimp.txt is a page': {
    fail: behave('smimp.txt', (_q, response) => answerText(response, '<html>')),
    unpinned: 'waits',
  },
  'smimp.txt leads to plain HTTP': {
    fail: () =>
      behave(
        'smimp.txt',
        (_q, response) => void response.writeHead(302, { location: `http://127.0.0.1:${portOf(eavesdropper)}/` }).end(),
      )(),
    unpinned: 'waits',
  },
  'smimp.txt names plain HTTP': {
    fail: () =>
      behave('smimp.txt', (_q, response) => answerText(response, `http://smimp.corp.test:${portOf(eavesdropper)}`))(),
    unpinned: 'waits',
  },
  'the list of versions is empty': {
    fail: behave('version', (_q, response) => answerJson(response, { versions: [] })),
    unpinned: 'waits',
  },
  'the versions are others': {
    fail: behave('version', (_q, response) => answerJson(response, { versions: ['0.0', '1.0', '0.10'] })),
    unpinned: 'waits',
  },
  'the API is 404': {
    fail: behave('get_history', (_q, response) => answerText(response, 'no', 404)),
    unpinned: 'waits',
  },
  'the user is unknown': {
    fail() {
      corp.removeUser(bob);
      return () => undefined;
    },
    unpinned: 'refused',
  },
  'the API redirects to plain HTTP': {
    fail: () =>
      behave(
        'get_history',
        (_q, response) => void response.writeHead(307, { location: `http://127.0.0.1:${portOf(eavesdropper)}/` }).end(),
      )(),
    unpinned: 'waits',
  },
  'the certificate signs itself': {
    fail: () => withCertificate({ names: ['corp.test', 'smimp.corp.test'] }),
    unpinned: 'waits',
  },
  'the certificate is for another name': { fail: () => withCertificate({ names: ['evil.test'] }), unpinned: 'waits' },
  'the certificate has ended': {
    fail: () => withCertificate({ names: ['corp.test', 'smimp.corp.test'], past: true }),
    unpinned: 'waits',
  },
  'there is no TLS, only HTTP': {
    async fail() {
      const server = createPlainHttp((request, response) => {
        overheard.push(Buffer.from(`${request.method} ${request.url}`));
        response.end('smimp.corp.test');
      });
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      lead(`127.0.0.1:${portOf(server)}`);
      return () => server.close();
    },
    unpinned: 'waits',
  },
  'somebody only listens': {
    fail() {
      lead(`127.0.0.1:${portOf(eavesdropper)}`);
      return () => undefined;
    },
    unpinned: 'waits',
  },
  'nobody is there': {
    fail() {
      lead('127.0.0.1:1');
      return () => undefined;
    },
    unpinned: 'waits',
  },
};

let heal: () => unknown = () => undefined;
let watched: WatchedSockets;
beforeEach(async () => {
  overheard = [];
  corp.messages.length = 0;
  clock.advance(FOUND_FRESH_MS + HISTORY_FRESH_MS);
  bob = corp.addUser('bob', clock.seconds());
  await site.opened.db.deleteFrom('domain').execute();
  await site.opened.db.deleteFrom('pin').execute();
  await site.opened.db.deleteFrom('remote_session').execute();
  watched = new WatchedSockets();
});
afterEach(async () => {
  await heal();
  heal = () => undefined;
  Object.assign(site.hosts, honest());
  watched[Symbol.dispose]();
});

const recipient = () => createCheckRecipient({ db: site.opened.db, identity: site.identity });

/** Runs a message to its very end, all its retries included. */
async function sent(): Promise<string> {
  const [id] = await site.submit(bob.address);
  const stages = new Set<string>();
  for (let day = 0; day <= 6; day++) {
    await site.run(id as number);
    const delivery = await findDelivery(site.opened.db, id as number);
    stages.add(`${delivery?.stage}`);
    if (delivery?.finished_at != null) break;
    clock.advance(GIVE_UP_MS / 5);
  }
  return [...stages].at(-1) ?? '';
}

function nothingLeft(): void {
  expect(corp.messages).toEqual([]);
  for (const bytes of overheard) {
    // Only a ClientHello may have been said, and it names no more than the host.
    expect(bytes.toString('latin1')).not.toMatch(PLAIN);
    expect(bytes[0]).toBe(0x16);
  }
  const allowed = new Set(Object.values(site.hosts).map((target) => Number(target.split(':')[1])));
  const strange = watched.ports().filter((port) => !allowed.has(port));
  expect(strange).toEqual([]);
}

describe('14 downgrade', () => {
  it.each(Object.keys(failures))('%s: to a stranger nothing goes in any way', async (name) => {
    const { fail, unpinned } = failures[name] as (typeof failures)[string];
    heal = await fail();
    const { accountId } = site.alice;
    const reason = await recipient()({ accountId, recipient: bob.address, timeoutMs: 5_000 });
    expect(reason === null ? 'waits' : 'refused').toBe(unpinned);
    expect(await sent()).toBe('failed');
    nothingLeft();
  });

  it.each(Object.keys(failures))(
    '%s: to a contact who is pinned it waits, and never goes in another way',
    async (name) => {
      const { fail } = failures[name] as (typeof failures)[string];
      const { accountId } = site.alice;
      expect((await site.identity.resolve({ accountId, contact: bob.address })).state).toBe('NEW');
      clock.advance(FOUND_FRESH_MS + HISTORY_FRESH_MS);
      heal = await fail();
      expect(await recipient()({ accountId, recipient: bob.address, timeoutMs: 5_000 })).toBeNull();
      const [id] = await site.submit(bob.address);
      await site.run(id as number);
      const delivery = await findDelivery(site.opened.db, id as number);
      // What is known over a connection that was verified before may carry it to the next stage; there it waits.
      expect(`${delivery?.stage} ${delivery?.error_code}`).toMatch(/^(?:route unavailable|seal (?:tls|connect))$/);
      expect(await sent()).toBe('failed');
      nothingLeft();
      expect((await site.told()).filter((line) => line.startsWith('failed'))).not.toEqual([]);
    },
  );

  it('a failure in the middle, after the key was had, sends nothing of the message elsewhere', async () => {
    const [id] = await site.submit(bob.address);
    corp.behave(
      'send_message',
      (_q, response) => void response.writeHead(307, { location: `http://127.0.0.1:${portOf(eavesdropper)}/` }).end(),
    );
    heal = () => corp.behave('send_message', null);
    await site.run(id as number);
    expect((await findDelivery(site.opened.db, id as number))?.stage).toBe('deliver');
    nothingLeft();
  });
});
