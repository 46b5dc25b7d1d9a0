/** The limits of one connection (`imap.limits`), each at its edge, said line by line to the real server. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { parseConfig } from '../src/config.ts';
import {
  DEFAULT_SESSION_LIMITS,
  IDLE_TIMEOUT_MS,
  type SessionLimits,
  UNAUTHENTICATED_TIMEOUT_MS,
} from '../src/imap/limits.ts';
import { sessionLimits, sessionTimeouts } from '../src/imap-settings.ts';
import { createThrottle } from '../src/keystore/throttle.ts';
import { ImapClient } from './support/imap-client.ts';
import { type MailSite, mailSite, PASSWORD, plainMail } from './support/mail-site.ts';

let site: MailSite;
beforeAll(async () => {
  site = await mailSite();
});
afterAll(() => site[Symbol.asyncDispose]());
beforeEach(async () => {
  await site.opened.db.deleteFrom('message').execute();
  await site.opened.db.deleteFrom('login_failure').execute();
});

const letter = (text = 'text'): Buffer => plainMail({ Subject: 'A letter' }, text);

/** A server with these limits, and a client that has logged in to it. */
async function limited(
  limits: Partial<SessionLimits>,
  work: (client: ImapClient, server: { port: number }) => Promise<void>,
): Promise<void> {
  await using server = await site.serve({ sessionLimits: limits });
  using client = await site.client(server.port);
  await work(client, server);
}

describe('a connection', () => {
  it('may give so many commands in a minute, and LOGOUT always', () =>
    limited({ commandsPerMinute: 4 }, async (client) => {
      // LOGIN was the first.
      for (let n = 2; n <= 4; n += 1) await client.ok('noop');
      expect(await client.no('noop')).toMatch(/^\[LIMIT\]/);
      site.clock.advance(59_999);
      expect(await client.no('noop')).toMatch(/^\[LIMIT\]/);
      site.clock.advance(1);
      for (let n = 1; n <= 4; n += 1) await client.ok('noop');
      await client.no('noop');
      await client.ok('logout');
    }));

  it('may have so many literals in a command', () =>
    limited({ literals: 3 }, async (client) => {
      const small = (count: number): string => 'append inbox'.concat(' {3+}\r\nabc'.repeat(count));
      await client.ok(small(3));
      expect(await client.bad(small(4))).toContain('too many literals');
      await client.ok('noop');
    }));

  it('may have literals of so many bytes, messages apart', () =>
    limited({ literalBytes: 100 }, async (client) => {
      await client.ok('append inbox ', letter('x'.repeat(500)));
      await client.ok('select inbox');
      await client.ok('search subject ', Buffer.alloc(100, 'x'));
      expect(await client.no('search subject ', Buffer.alloc(101, 'x'))).toContain('[TOOBIG]');
      expect(await client.no(`search subject {101+}\r\n${'x'.repeat(101)}`)).toContain('[TOOBIG]');
    }));

  it('may fail to log in so many times', async () => {
    await using server = await site.serve({ sessionLimits: { loginFailures: 2 } });
    using stranger = await ImapClient.open({ port: server.port, ca: site.ca });
    await stranger.no('login bob@corp.test wrong');
    stranger.send('x login bob@corp.test wrong\r\n');
    expect(await stranger.line()).toMatch(/^\* BYE/);
    expect(await stranger.line()).toMatch(/^x NO \[AUTHENTICATIONFAILED\]/);
    expect(await stranger.line()).toBe('<closed>');
  });

  it('may make so many mistakes in a row', () =>
    limited({ badCommands: 3 }, async (client) => {
      for (let n = 1; n <= 2; n += 1) await client.bad('nonsense');
      await client.ok('noop');
      for (let n = 1; n <= 3; n += 1) await client.bad('nonsense');
      expect(await client.line()).toBe('<closed>');
    }));

  it('may compress so much and no more', () =>
    limited({ unfoldRatio: 10, unfoldFreeBytes: 20_000 }, async (client) => {
      await client.ok('compress deflate');
      client.compress();
      await client.ok('append inbox ', letter('\0'.repeat(10_000)));
      client.send(`x append inbox {100000+}\r\n${'\0'.repeat(100_000)}\r\n`);
      expect(await client.line()).toBe('<closed>');
    }));
});

describe('a search', () => {
  const fill = async (client: ImapClient): Promise<void> => {
    for (let n = 1; n <= 3; n += 1) await client.ok('append inbox ', letter());
    await client.ok('select inbox');
  };

  it.each([
    ['subject a to bob', 6],
    ['or subject a to bob', 9],
    ['not subject a', 6],
    ['1:2,3 seen', 9],
  ])('%s has keys times messages', async (keys, steps) => {
    await limited({ searchSteps: steps }, async (client) => {
      await fill(client);
      await client.search(keys);
    });
    await site.opened.db.deleteFrom('message').execute();
    await limited({ searchSteps: steps - 1 }, async (client) => {
      await fill(client);
      expect(await client.no(`search ${keys}`)).toMatch(/^\[LIMIT\]/);
      expect(await client.search('all')).toEqual([1, 2, 3]);
    });
  });

  it('opens so many bytes of mail', async () => {
    await limited({}, fill);
    let sizeBytes = 0;
    await limited({}, async (client) => {
      await client.ok('select inbox');
      sizeBytes = Number(/SIZE (\d+)/.exec((await client.ok('fetch 1 rfc822.size'))[0] ?? '')?.[1]);
    });
    await limited({ searchBytes: 2 * sizeBytes + 1 }, async (client) => {
      await client.ok('select inbox');
      expect(await client.search('body text')).toEqual([1, 2, 3]);
    });
    await limited({ searchBytes: 2 * sizeBytes }, async (client) => {
      await client.ok('select inbox');
      for (const command of ['search body text', 'uid search return (count) text text', 'sort (date) utf-8 body text'])
        expect(await client.no(command)).toMatch(/^\[LIMIT\]/);
      expect(await client.search('subject letter')).toEqual([1, 2, 3]);
      expect(await client.search('1:2 body text')).toEqual([1, 2]);
    });
  });
});

describe('wrong passwords', () => {
  it('are free so many times for an account and for an address', async () => {
    const { db } = site.opened;
    const throttle = createThrottle({ db, serverKey: Buffer.alloc(32, 9), freeTries: { account: 2, source: 3 } });
    const now = site.clock.read();
    const tryOn = (address: string) => throttle.begin({ address, source: '192.0.2.7' }, now);
    expect(await tryOn('a#b.test')).toMatchObject({ admitted: true, delayMs: 0 });
    expect(await tryOn('a#b.test')).toMatchObject({ admitted: true, delayMs: 1_000 });
    expect(await tryOn('a#b.test')).toMatchObject({ admitted: false });
    expect(await tryOn('c#b.test')).toMatchObject({ admitted: true, delayMs: 1_000 });
    expect(await tryOn('d#b.test')).toMatchObject({ admitted: false });
  });
});

describe('the configuration', () => {
  it('has the defaults of the server', () => {
    const { limits } = parseConfig('', 'x').imap;
    expect(sessionLimits(limits)).toEqual(DEFAULT_SESSION_LIMITS);
    expect(sessionTimeouts(limits)).toEqual({ unauthenticatedMs: UNAUTHENTICATED_TIMEOUT_MS, idleMs: IDLE_TIMEOUT_MS });
  });

  it('sets each, and refuses what cannot be', () => {
    const { limits } = parseConfig(
      'imap: { limits: { literal: 8KiB, search_opened: 1GiB, idle_time: 30m } }',
      'x',
    ).imap;
    expect(sessionLimits(limits)).toMatchObject({ literalBytes: 8192, searchBytes: 1024 ** 3 });
    expect(sessionTimeouts(limits).idleMs).toBe(1_800_000);
    for (const wrong of ['idle_time: 29m', 'literal: 2MiB', 'literals: 1', 'login_failures: 0', 'nothing: 1'])
      expect(() => parseConfig(`imap: { limits: { ${wrong} } }`, 'x')).toThrow();
  });

  it('lets a connection live at the default', () =>
    limited({}, async (client) => {
      await client.ok(`unauthenticate`);
      await client.ok(`login bob@corp.test "${PASSWORD}"`);
    }));
});
