/**
 * Attack 17. More than anybody should send: envelopes, histories, headers, lengths that lie, bombs that unfold (SMIMP 0.1 §3, §5).
 * Every bound holds while the bytes come in, and whoever passes it loses only his own request.
 */
import { once } from 'node:events';
import { connect } from 'node:tls';
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { HISTORY_FRESH_MS } from '../../src/identity/histories.ts';
import { MAX_MESSAGE_REQUEST_BYTES, MAX_REQUEST_BYTES } from '../../src/smimp/api.ts';
import { MAX_HISTORY_RECORDS, MAX_RECORD_DATA_BYTES, rotateRecord } from '../../src/smimp/record.ts';
import { findDelivery } from '../../src/store/outbound.ts';
import { findPin } from '../../src/store/pins.ts';
import {
  ALICE,
  type ApiSite,
  BOB,
  codeOf,
  type Login,
  prepare,
  rawExchange,
  sendPath,
  startApi,
  stranger,
} from '../support/api-site.ts';
import { type HostileServer, type ServedUser, startHostileServer } from '../support/hostile-server.ts';
import { type MailSite, mailSite } from '../support/mail-site.ts';
import { type OutboundSite, outboundSite, TestClock } from '../support/outbound-site.ts';
import { answerJson } from '../support/tls-server.ts';

const MIB = 1024 * 1024;

describe('17 oversize', () => {
  describe('towards the server', () => {
    let site: ApiSite;
    let login: Login;
    beforeAll(async () => {
      site = await startApi();
      await site.account(BOB, { ephemeral: 20 });
      login = await site.logIn(stranger(site, ALICE));
    });
    afterAll(() => site[Symbol.asyncDispose]());
    const head = (path: string, ...more: string[]): string =>
      [
        `POST ${path} HTTP/1.1`,
        'Host: x',
        `SMIMP-Authentication: ${login.token}`,
        'Content-Type: application/json',
        ...more,
        '',
        '',
      ].join('\r\n');
    const stored = async () => (await site.opened.db.selectFrom('message').select('message_id').execute()).length;
    const END = /\r\n\r\n[\s\S]*\}/;

    it('an envelope one byte too long is refused before it comes, and one that does not say how long while it comes', async () => {
      const announced = head(sendPath(BOB), `Content-Length: ${MAX_MESSAGE_REQUEST_BYTES + 1}`);
      expect(await rawExchange(site, announced, END)).toContain('"code":"too_large"');
      const socket = connect({ host: '127.0.0.1', port: site.port, ca: site.ca, servername: 'smimp.corp.test' });
      await once(socket, 'secureConnect');
      let got = '';
      let written = 0;
      socket.on('data', (bytes: Buffer) => (got += String(bytes)));
      socket.on('error', () => undefined);
      socket.write(head(sendPath(BOB), 'Transfer-Encoding: chunked'));
      const piece = `100000\r\n${' '.repeat(MIB)}\r\n`;
      while (!socket.destroyed && got === '' && written < MAX_MESSAGE_REQUEST_BYTES + 8 * MIB) {
        written += MIB;
        if (!socket.write(piece)) await new Promise((resolve) => setImmediate(resolve));
      }
      await expect.poll(() => got, { timeout: 10_000 }).toContain('"code":"too_large"');
      expect(written).toBeLessThanOrEqual(MAX_MESSAGE_REQUEST_BYTES + 8 * MIB);
      socket.destroy();
    });

    it('no memory is taken for what is announced beyond the limit, also without a session', async () => {
      const open = (length: number): string =>
        `POST /0.1/create_session/bob%23corp.test HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${length}\r\n\r\n`;
      for (const length of [MAX_REQUEST_BYTES + 1, Number.MAX_SAFE_INTEGER]) {
        expect(await rawExchange(site, open(length), END)).toContain('"code":"too_large"');
      }
      const whole = `${open(MAX_REQUEST_BYTES)}${' '.repeat(MAX_REQUEST_BYTES)}`;
      expect(await rawExchange(site, whole, END)).toContain('"code":"bad_request"');
    });

    it('lengths that lie: shorter, longer, negative, two of them, hexadecimal, beside chunks', async () => {
      const body = '{"address":"bob#corp.test"}';
      const path = '/0.1/get_message_key';
      const before = await stored();
      const lies: [string[], RegExp][] = [
        [[`Content-Length: ${body.length - 1}`], /"code":"bad_request"/],
        [['Content-Length: -1'], /^HTTP\/1\.1 400/],
        [['Content-Length: 0x1b'], /^HTTP\/1\.1 400/],
        [['Content-Length: 27, 27'], /^HTTP\/1\.1 400/],
        [[`Content-Length: ${body.length}`, 'Content-Length: 3'], /^HTTP\/1\.1 400/],
        [[`Content-Length: ${body.length}`, 'Transfer-Encoding: chunked'], /^HTTP\/1\.1 400/],
        [['Transfer-Encoding: gzip, chunked'], /^HTTP\/1\.1 4\d\d/],
        [[`Content-Length: ${'9'.repeat(30)}`], /^HTTP\/1\.1 4(?:00|13)/],
        [[`Content-Length: ${MAX_REQUEST_BYTES + 1}`], /"code":"too_large"/],
        [['Content-Length: 4294967296'], /"code":"too_large"/],
        [['Content-Length: 9007199254740991'], /"code":"too_large"/],
      ];
      for (const [headers, expected] of lies)
        expect(await rawExchange(site, head(path, ...headers) + body, END)).toMatch(expected);
      expect(await stored()).toBe(before);
    });

    it('a second request hidden behind the first is not answered as another user’s', async () => {
      const hidden = 'GET /0.1/folder/email HTTP/1.1\r\nHost: x\r\n\r\n';
      const smuggled = head('/0.1/get_message_key', `Content-Length: ${hidden.length}`) + hidden;
      const got = await rawExchange(site, smuggled, END);
      expect(got.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 400']);
    });

    it.each([
      ['gzip', gzipSync(Buffer.alloc(50 * MIB, ' '))],
      ['deflate', deflateSync(Buffer.alloc(50 * MIB, ' '))],
      ['br', brotliCompressSync(Buffer.alloc(50 * MIB, ' '))],
    ])('a bomb in %s is not unfolded', async (encoding, body) => {
      const before = process.memoryUsage().rss;
      const headers = { 'content-type': 'application/json', 'content-encoding': encoding };
      const reply = await site.send({
        method: 'POST',
        path: '/0.1/get_message_key',
        body,
        headers,
        token: login.token,
      });
      expect(codeOf(reply)).toBe('unsupported_media_type');
      expect(process.memoryUsage().rss - before).toBeLessThan(40 * MIB);
    });

    it('a message of 64 message types, lists, members, characters too many is a bad request, not an error', async () => {
      const alice = stranger(site, ALICE);
      login = await site.logIn(alice);
      const { envelope } = await prepare(site, { sender: alice, login, recipient: BOB });
      const changes = [
        { message_type: 'a'.repeat(65) },
        { message_type: 'a b' },
        { nonce: 'ab'.repeat(1_000) },
        { message_hash: 'ab'.repeat(50_000) },
        { proof_of_work: 'ab'.repeat(100_000) },
        { message: '=' },
        { message: 'A'.repeat(1_000_001) },
        { algorithm: 'x'.repeat(10_000) },
        Object.fromEntries(Array.from({ length: 5_000 }, (_, i) => [`m${i}`, i])),
      ];
      for (const change of changes)
        expect(codeOf(await site.post(sendPath(BOB), { ...envelope, ...change }, login.token))).toMatch(
          /^(?:bad_request|bad_signature|bad_pow)$/,
        );
      const keys = Array.from({ length: 501 }, () => ({}));
      const bob = { keys, mode: 'replace' };
      expect(codeOf(await site.post('/0.1/ephemeral_keys', bob, login.token))).toBe('forbidden');
    });
  });

  describe('towards the client', () => {
    const clock = new TestClock();
    let corp: HostileServer;
    let site: OutboundSite;
    let bob: ServedUser;
    let people = 0;
    beforeAll(async () => {
      corp = await startHostileServer('corp.test', { zeroBits: 0, now: clock.seconds });
      site = await outboundSite([corp], clock);
    });
    afterAll(async () => {
      await site[Symbol.asyncDispose]();
      await corp[Symbol.asyncDispose]();
    });
    afterEach(() => corp.behave('get_history', null));
    const newBob = (): void => {
      bob = corp.addUser(`bob${++people}`, clock.seconds());
      clock.advance(HISTORY_FRESH_MS);
    };
    const sent = async (): Promise<string> => {
      const [id] = await site.submit(bob.address);
      await site.run(id as number);
      const delivery = await findDelivery(site.opened.db, id as number);
      expect(await findPin(site.opened.db, site.alice.accountId, bob.address)).toBeUndefined();
      return `${delivery?.stage} ${delivery?.error_code}`;
    };

    it('a history of 1001 records is none', async () => {
      newBob();
      for (let i = 0; i < MAX_HISTORY_RECORDS; i++)
        bob.records.push(rotateRecord({ previous: bob.lastRecord, signer: bob.master, now: clock.seconds() }));
      expect(await sent()).toBe('held identity-invalid');
    });

    it('a record a byte over 16 KiB is none, whoever signed it', async () => {
      newBob();
      const empty = rotateRecord({
        previous: bob.lastRecord,
        signer: bob.master,
        now: clock.seconds(),
        profile: { additional_data: { x: '' } },
      });
      const room = MAX_RECORD_DATA_BYTES - Buffer.byteLength(empty.data);
      const { signRecord } = await import('../../src/smimp/record.ts');
      const data = empty.data.replace('"x":""', `"x":"${'y'.repeat(room + 1)}"`);
      bob.records = [...bob.records, signRecord(data, bob.master, null)];
      expect(await sent()).toBe('held identity-invalid');
      bob.records = [bob.records[0] as never, signRecord(data.replace('yy', 'y'), bob.master, null)];
      const [id] = await site.submit(bob.address);
      clock.advance(HISTORY_FRESH_MS);
      await site.run(id as number);
      expect((await findDelivery(site.opened.db, id as number))?.stage).toBe('done');
    });

    it('a million records, endless records and endless headers end at the bound', async () => {
      newBob();
      corp.behave('get_history', (_q, response) =>
        answerJson(response, { address: bob.address, records: Array(1_000_000).fill(0), head: 'ab'.repeat(32) }),
      );
      expect(await sent()).toBe('held identity-invalid');
      newBob();
      corp.behave('get_history', (_q, response) => {
        response.writeHead(200);
        response.write('{"address":"x","records":[');
        const more = (): void => {
          while (!response.destroyed && response.write('0,'.repeat(100_000)));
          response.once('drain', more);
        };
        more();
      });
      expect(await sent()).toBe('route unavailable');
      newBob();
      corp.behave('get_history', (_q, response) => void response.writeHead(200, { 'x-a': 'y'.repeat(100_000) }).end());
      expect(await sent()).toBe('route unavailable');
      newBob();
      corp.behave('get_history', (_q, response) => {
        response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync(Buffer.alloc(50 * MIB, ' ')));
      });
      expect(await sent()).toBe('route unavailable');
    });
  });

  describe('towards the mailbox', () => {
    let site: MailSite;
    beforeAll(async () => {
      site = await mailSite();
    });
    afterAll(() => site[Symbol.asyncDispose]());

    it('an APPEND larger than allowed is refused before it comes, one that lies ends only its own connection', async () => {
      using client = await site.client();
      client.send('a append inbox {1000001}\r\n');
      expect(await client.line()).toMatch(/^a NO \[TOOBIG\]/);
      client.send('b append inbox {4294967296}\r\n');
      expect(await client.line()).toMatch(/^b (?:BAD|NO)/);
      client.send(`c append inbox {${'9'.repeat(400)}}\r\n`);
      expect(await client.line()).toMatch(/^(?:c|\*) (?:BAD|NO|BYE)/);
      using other = await site.client();
      await other.ok('noop');
    });

    it('a letter whose parts unfold a thousandfold is shown, and others with it', async () => {
      const alice = site.server.addUser('alice', site.clock.seconds());
      const bombs = [
        '*'.repeat(60_000),
        '['.repeat(60_000),
        '> '.repeat(30_000),
        '`'.repeat(60_000),
        '|a'.repeat(30_000),
        '&amp;'.repeat(12_000),
      ];
      for (const text of bombs) await site.receive({ from: alice, text, subject: 'bomb' });
      await site.receive({ from: alice, subject: 'after' });
      await site.open();
      using client = await site.client();
      await client.ok('select inbox');
      expect(await client.search('subject after')).toEqual([7]);
      expect((await client.ok('fetch 1:7 (rfc822.size bodystructure)')).length).toBe(7);
    });
  });
});
