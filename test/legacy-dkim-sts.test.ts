/** What a gateway signs with, and what domains of the old internet demand of whoever sends to them. */
import { generateKeyPairSync } from 'node:crypto';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { dkimVerify } from 'mailauth/lib/dkim/verify.js';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { temporaryDirectory } from '../src/admin/demo/temporary-directory.ts';
import { type DkimKeys, readDkimKeys, signed } from '../src/legacy/dkim.ts';
import { CHECK_AFTER_MS, createStsPolicies, matchesPolicy } from '../src/legacy/mta-sts.ts';
import type { ResolveDns } from '../src/legacy/mx.ts';
import { createHttps } from '../src/remote/https.ts';
import { testDatabase } from './support/database.ts';
import { TestClock } from './support/outbound-site.ts';
import { answerText, startTlsServer, testAuthority } from './support/tls-server.ts';

const MESSAGE = Buffer.from(
  'Received: from acme.test\r\n by gw.test; Thu, 15 Jan 2026 12:00:00 +0000\r\nDate: Thu, 15 Jan 2026 12:00:00 +0000\r\n' +
    'From: Alice <alice@acme.test>\r\nTo: bob@old.test\r\nSubject: Hello\r\nMessage-ID: <a@acme.test>\r\n\r\nDear Bob\r\n',
);
const NOW = new Date('2026-01-15T12:00:00Z');

let owned: AsyncDisposableStack;
beforeEach(() => {
  owned = new AsyncDisposableStack();
});
afterEach(() => owned.disposeAsync());

const failed = (code: string): Error => Object.assign(new Error(code), { code });

type Pair = ReturnType<typeof keyPair>;

function keyPair(type: 'rsa' | 'ed25519', bits = 2048) {
  const pair = type === 'rsa' ? generateKeyPairSync('rsa', { modulusLength: bits }) : generateKeyPairSync('ed25519');
  const spki = pair.publicKey.export({ type: 'spki', format: 'der' });
  const published = type === 'rsa' ? spki : spki.subarray(-32);
  return {
    pem: pair.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    record: `v=DKIM1; k=${type}; p=${published.toString('base64')}`,
  };
}

async function keysOf(pair: Pick<Pair, 'pem'>): Promise<DkimKeys> {
  const directory = await temporaryDirectory('dkim');
  owned.defer(() => rm(directory, { recursive: true, force: true }));
  const file = join(directory, 'key.pem');
  await writeFile(file, pair.pem);
  return readDkimKeys({ 'acme.test': { selector: 'gw1', key_file: file } });
}

async function verdictOf(message: Buffer, { record }: Pair): Promise<string | undefined> {
  const resolver = async (name: string): Promise<string[][]> => {
    if (name !== 'gw1._domainkey.acme.test') throw failed('ENOTFOUND');
    return [[record]];
  };
  const { results } = await dkimVerify(message, { resolver: resolver as never });
  return results[0]?.status.result;
}

describe('a DKIM signature', () => {
  for (const type of ['rsa', 'ed25519'] as const) {
    it(`by a key of ${type} verifies, and no longer when a word is changed`, async () => {
      const pair = keyPair(type);
      const keys = await keysOf(pair);
      const message = await signed(keys, MESSAGE, { domain: 'acme.test', now: NOW });
      expect(message.toString()).toMatch(/^DKIM-Signature: .*a=(rsa|ed25519)-sha256.*/s);
      expect(message.subarray(-MESSAGE.length)).toEqual(MESSAGE);
      expect(await verdictOf(message, pair)).toBe('pass');
      expect(await verdictOf(Buffer.from(message.toString().replace('Dear', 'Poor')), pair)).not.toBe('pass');
      expect(await verdictOf(Buffer.from(message.toString().replace('Hello', 'Hi')), pair)).not.toBe('pass');
    });
  }

  it('is made for the domains that there is a key of, and exactly those', async () => {
    const keys = await keysOf(keyPair('ed25519'));
    for (const domain of ['corp.test', 'sub.acme.test', 'test']) {
      expect(await signed(keys, MESSAGE, { domain, now: NOW })).toBe(MESSAGE);
    }
  });

  it('is not made with a key that is none, or weak: that is found at the start', async () => {
    const problem = { name: 'DkimKeyError', domain: 'acme.test' };
    await expect(keysOf({ pem: 'no key' })).rejects.toMatchObject(problem);
    await expect(keysOf(keyPair('rsa', 512))).rejects.toMatchObject(problem);
    const file = '/no/such/file.pem';
    await expect(readDkimKeys({ 'acme.test': { selector: 'a', key_file: file } })).rejects.toMatchObject(problem);
  });
});

describe('an MTA-STS policy', () => {
  const text = (lines: readonly string[]): string => `version: STSv1\n${lines.join('\n')}\n`;
  const ENFORCE = text(['mode: enforce', 'mx: *.old.test', 'max_age: 86400']);

  /** `served`: what the policy host answers; `records`: what stands in DNS. Both may change. */
  async function policySite() {
    const { db, ...opened } = owned.use(await testDatabase());
    void opened;
    const clock = new TestClock();
    const served = { body: ENFORCE, status: 200 };
    const records: { txt: string[][] | null } = { txt: [['v=STSv1; id=1;']] };
    const names = ['mta-sts.old.test'];
    const server = owned.use(
      await startTlsServer({
        names,
        handler: (_request, response) => answerText(response, served.body, served.status),
      }),
    );
    const ca = [(await testAuthority()).certificate];
    const https = owned.use(createHttps({ hosts: { 'mta-sts.old.test': server.target }, allow: [], ca }));
    const resolve: ResolveDns = async () => {
      if (records.txt === null) throw failed('ENOTFOUND');
      return records.txt;
    };
    return { find: createStsPolicies({ db, https, clock: clock.read, resolve }), served, records, clock, server };
  }

  it('is fetched where DNS says there is one', async () => {
    const site = await policySite();
    expect(await site.find('old.test')).toEqual({ mode: 'enforce', mx: ['*.old.test'] });
    const { find, records, server } = await policySite();
    records.txt = null;
    expect(await find('old.test')).toEqual({ mode: 'none', mx: [] });
    expect(server.requests).toEqual([]);
  });

  it('holds as long as it said, although its record and its page are gone', async () => {
    const { find, served, records, clock } = await policySite();
    await find('old.test');
    records.txt = null;
    served.status = 404;
    clock.advance(86_400_000 - 1);
    expect(await find('old.test')).toMatchObject({ mode: 'enforce' });
    clock.advance(CHECK_AFTER_MS);
    expect(await find('old.test')).toMatchObject({ mode: 'none' });
  });

  it('gives way to another one under another id, not to a broken one', async () => {
    const { find, served, records, clock, server } = await policySite();
    await find('old.test');
    served.body = 'version: STSv1\nmode: nothing\n';
    records.txt = [['v=STSv1; id=2;']];
    clock.advance(CHECK_AFTER_MS);
    expect(await find('old.test')).toMatchObject({ mode: 'enforce' });
    served.body = text(['mode: testing', 'mx: mx.old.test', 'max_age: 86400']);
    expect(await find('old.test')).toEqual({ mode: 'testing', mx: ['mx.old.test'] });
    clock.advance(CHECK_AFTER_MS);
    const before = server.requests.length;
    expect(await find('old.test')).toMatchObject({ mode: 'testing' });
    expect(server.requests.length).toBe(before);
  });

  it('that leads elsewhere is not followed', async () => {
    const { find, served } = await policySite();
    served.status = 302;
    expect(await find('old.test')).toEqual({ mode: 'none', mx: [] });
  });

  it('names servers, one label for a star', () => {
    const policy = { mode: 'enforce', mx: ['*.old.test', 'mx.else.test'] } as const;
    const names = ['mx.old.test', 'MX.Old.Test.', 'a.b.old.test', 'old.test', 'mx.else.test', 'mx.evil.test'];
    expect(names.filter((name) => matchesPolicy(name, policy))).toEqual([
      'mx.old.test',
      'MX.Old.Test.',
      'mx.else.test',
    ]);
  });
});
