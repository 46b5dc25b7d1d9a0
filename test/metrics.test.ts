/** What an operator can watch: counted from events, gauges from the database, and a door that gives that and nothing else. */
import { once } from 'node:events';
import { request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openBridge } from '../src/bridge.ts';
import { loadConfig } from '../src/config.ts';
import { createEvents } from '../src/events.ts';
import { createLogger } from '../src/log.ts';
import { COUNTS_FRESH_MS } from '../src/metrics/gauges.ts';
import { MAX_CONNECTIONS, MAX_HEADER_BYTES, type MetricsServer } from '../src/metrics/listener.ts';
import { createMeters } from '../src/metrics/meters.ts';
import { createMetrics } from '../src/metrics/metrics.ts';
import { messageKeyPair } from '../src/smimp/crypto.ts';
import { raiseAlarm } from '../src/store/alarms.ts';
import { configFile } from './support/config-file.ts';
import { type MailSite, mailSite } from './support/mail-site.ts';

const { registry, meter } = createMeters();
let site: MailSite;
let server: MetricsServer;
let port: number;
beforeAll(async () => {
  site = await mailSite({ meter });
  server = createMetrics({ registry, db: site.opened.db, events: site.events, clock: site.clock.read });
  ({ port } = await server.listen({ host: '127.0.0.1', port: 0 }));
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
  await site[Symbol.asyncDispose]();
});

type Asked = { method?: string; path?: string; headers?: Record<string, string>; body?: string; port?: number };
async function ask(asked: Asked = {}): Promise<{ status: number; text: string; headers: Record<string, unknown> }> {
  const { method = 'GET', path = '/metrics', headers = {}, body } = asked;
  const request = httpRequest({ host: '127.0.0.1', port: asked.port ?? port, method, path, headers, agent: false });
  request.end(body);
  const [response] = await once(request, 'response');
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  return { status: response.statusCode, headers: response.headers, text: Buffer.concat(chunks).toString('utf8') };
}
/** The value of a line; null when it is not there. */
async function value(line: string): Promise<number | null> {
  const { text } = await ask();
  const found = text.split('\n').find((one) => one.startsWith(`${line} `));
  return found === undefined ? null : Number(found.slice(line.length + 1));
}

describe('the counters', () => {
  const counted = createMeters();
  const events = createEvents(createLogger({ level: 'silent' }), counted.meter);

  it.each<[string, () => void, string]>([
    [
      'mail from outside',
      () => events.legacyMailAccepted({ submissionId: 1, dmarc: 'pass', authenticated: true }),
      'smimp_mail_from_outside_total{authenticated="true",dmarc="pass"} 1',
    ],
    [
      'mail from outside that is refused',
      () => events.legacyMailRefused({ code: 'dmarc' }),
      'smimp_mail_from_outside_refused_total{code="dmarc"} 1',
    ],
    [
      'a login',
      () => events.loginSucceeded({ protocol: 'imap', accountId: 1 }),
      'smimp_logins_total{protocol="imap",outcome="succeeded"} 1',
    ],
    [
      'a wrong password',
      () => events.loginFailed({ protocol: 'smtp', failures: 3 }),
      'smimp_logins_total{protocol="smtp",outcome="failed"} 1',
    ],
    [
      'a request',
      () => events.requestServed({ call: 'version', status: 200, durationMs: 20 }),
      'smimp_api_requests_total{call="version",status="200"} 1',
    ],
    ['its time', () => undefined, 'smimp_api_request_seconds_bucket{le="0.05",call="version"} 1'],
    [
      'a stage',
      () => events.stageDone({ deliveryId: 7, stage: 'mint', next: 'deliver', durationMs: 400, zeroBits: 20 }),
      'smimp_delivery_stages_total{stage="mint"} 1',
    ],
    ['its proof of work', () => undefined, 'smimp_proof_of_work_bits_bucket{le="20"} 1'],
    ['and no easier one', () => undefined, 'smimp_proof_of_work_bits_bucket{le="18"} 0'],
    [
      'a failure',
      () => events.stageFailed({ deliveryId: 7, stage: 'seal', code: 'tls', disposition: 'retry', attempts: 1 }),
      'smimp_delivery_failures_total{stage="seal",code="tls",disposition="retry"} 1',
    ],
    [
      'an end',
      () => events.deliveryEnded({ deliveryId: 7, outcome: 'done' }),
      'smimp_deliveries_ended_total{outcome="done"} 1',
    ],
    [
      'a message',
      () => events.messageReceived({ accountId: 1, sizeBytes: 9, messageType: 'email' }),
      'smimp_messages_received_total{type="email"} 1',
    ],
    [
      'one of a type somebody made up',
      () => events.messageReceived({ accountId: 1, sizeBytes: 9, messageType: 'x-custom-alice' }),
      'smimp_messages_received_total{type="other"} 1',
    ],
    ['an error', () => events.unexpected('here', new Error('alice@acme.test')), 'smimp_unexpected_errors_total 1'],
  ])('count %s', async (_name, happen, line) => {
    happen();
    expect((await counted.registry.metrics()).split('\n')).toContain(line);
  });

  it('know the process, and name nobody', async () => {
    const text = await counted.registry.metrics();
    expect(text).toContain('smimp_process_resident_memory_bytes ');
    expect(text).not.toMatch(/alice|acme|deliveryId|accountId/);
  });
});

describe('what waits', () => {
  it('is counted when somebody asks, at most every few seconds', async () => {
    const alice = site.server.addUser('alice', site.clock.seconds());
    expect(await value('smimp_mailbox_messages{state="quarantined"}')).toBeNull();
    const key = Buffer.from(messageKeyPair().publicKey);
    await site.receive({ from: alice, key });
    await site.open();
    const now = site.clock.read();
    const about = { accountId: site.bobId, contact: alice.address, kind: 'pin-forked' as const, cause: '' };
    await site.opened.db
      .transaction()
      .execute((tx) => raiseAlarm(tx, { ...about, now, tellAt: now, lasts: true, toldAgainBefore: null }));
    site.clock.advance(COUNTS_FRESH_MS - 1);
    expect(await value('smimp_mailbox_messages{state="quarantined"}')).toBeNull();
    site.clock.advance(1);
    expect(await value('smimp_mailbox_messages{state="quarantined"}')).toBe(1);
    expect(await value('smimp_alarms_lasting{kind="pin-forked"}')).toBe(1);
    expect(await value('smimp_messages_quarantined_total{reason="unknown-message-key"}')).toBe(1);
    expect(await value('smimp_database_up')).toBe(1);
  });

  it('includes deliveries, and how late the oldest is', async () => {
    const { db } = site.opened;
    const now = site.clock.read();
    const submission = {
      account_id: site.bobId,
      digest: Buffer.alloc(32),
      uid: Buffer.alloc(32),
      message_type: 'email',
    };
    const { id: submission_id } = await db
      .insertInto('submission')
      .values({ ...submission, sealed: null, size_bytes: 1, submitted_at: now })
      .returning('id')
      .executeTakeFirstOrThrow();
    const delivery = { submission_id, account_id: site.bobId, deadline_at: now, next_attempt_at: now };
    await db
      .insertInto('delivery')
      .values({ ...delivery, recipient: 'a#b.test', stage: 'held' })
      .execute();
    await db
      .insertInto('delivery')
      .values({ ...delivery, recipient: 'c#b.test', stage: 'done' })
      .execute();
    site.clock.advance(90_000);
    expect(await value('smimp_queue_deliveries{stage="held"}')).toBe(1);
    expect(await value('smimp_queue_deliveries{stage="done"}')).toBeNull();
    expect(await value('smimp_queue_overdue_seconds')).toBe(90);
  });

  it('counts connections as they come and go', async () => {
    const client = await site.client();
    expect(await value('smimp_connections{protocol="imap"}')).toBe(1);
    await client.ok('logout');
    expect(await client.line()).toBe('<closed>');
    await expect.poll(() => value('smimp_connections{protocol="imap"}')).toBe(0);
  });

  it('names nobody, whoever wrote or was written to', async () => {
    const { text } = await ask();
    expect(text).not.toMatch(/corp\.test|acme\.test|b\.test|[@#][a-z0-9.-]+\.[a-z]+"/);
  });

  it('says so when the database does not answer, and counts go on', async () => {
    const { registry: other, meter: count } = createMeters();
    const events = createEvents(createLogger({ level: 'silent' }), count);
    const gone = site.opened.db.withSchema('nowhere');
    await using broken = createMetrics({
      registry: other,
      db: gone as typeof site.opened.db,
      events,
      clock: site.clock.read,
    });
    const at = await broken.listen({ host: '127.0.0.1', port: 0 });
    const { status, text } = await ask({ port: at.port });
    expect(status).toBe(200);
    expect(text).toContain('smimp_database_up 0\n');
    expect(text).toContain('smimp_unexpected_errors_total 1\n');
  });
});

describe('the door', () => {
  it('gives the metrics, to HEAD without them', async () => {
    const { status, headers, text } = await ask({ path: '/metrics?x=1' });
    expect({ status, type: headers['content-type'], cache: headers['cache-control'] }).toEqual({
      status: 200,
      type: 'text/plain; version=0.0.4; charset=utf-8',
      cache: 'no-store',
    });
    expect(text).toContain('# TYPE smimp_alarms_total counter');
    expect(await ask({ method: 'HEAD' })).toMatchObject({ status: 200, text: '' });
  });

  it.each<[number, Asked]>([
    [404, { path: '/' }],
    [404, { path: '/metrics/' }],
    [404, { path: '/0.1/server_information' }],
    [404, { path: '//metrics' }],
    [405, { method: 'POST' }],
    [405, { method: 'DELETE' }],
    [413, { method: 'POST', body: 'x', headers: { 'content-length': '1' } }],
    [413, { body: '1\r\n', headers: { 'transfer-encoding': 'chunked' } }],
    [431, { headers: { 'x-long': 'x'.repeat(MAX_HEADER_BYTES) } }],
  ])('answers %d to %j', async (status, asked) => {
    expect(await ask(asked)).toMatchObject({ status, text: '' });
  });

  it('takes only so many connections at once', async () => {
    const open = async () => {
      const socket = connect(port, '127.0.0.1');
      socket.on('error', () => undefined);
      await once(socket, 'connect');
      return socket;
    };
    const sockets = await Promise.all(Array.from({ length: MAX_CONNECTIONS }, open));
    const [first] = sockets;
    first?.write('GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n');
    if (first !== undefined) await once(first, 'data');
    const refused = await open();
    await once(refused, 'close');
    const closed = sockets.map((socket) => once(socket, 'close'));
    for (const socket of sockets) socket.destroy();
    await Promise.all(closed);
    await expect
      .poll(() =>
        ask().then(
          ({ status }) => status,
          () => 0,
        ),
      )
      .toBe(200);
  });

  it('is shut unless the configuration opens it', async () => {
    const { connection } = site.opened;
    const shut = ['api', 'submission', 'submissions', 'imap'].map((door) => `  ${door}: null`);
    const lines = ['listen:', ...shut, '  imaps: 127.0.0.1:0'];
    await using without = await configFile(connection, lines);
    await using closed = await openBridge({ config: await loadConfig({ path: without.path }), roles: ['imap'] });
    await closed.listen();
    expect(closed.listening().metrics).toBeNull();
    await using file = await configFile(connection, [...lines, '  metrics: 127.0.0.1:0']);
    await using bridge = await openBridge({ config: await loadConfig({ path: file.path }), roles: ['imap'] });
    await bridge.listen();
    const { status, text } = await ask({ port: bridge.listening().metrics ?? 0 });
    expect(status).toBe(200);
    expect(text).toContain('smimp_database_up 1\n');
  });
});
