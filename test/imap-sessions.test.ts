/** Several sessions at one mailbox, in one process and in several; and what a connection may cost. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  DEFAULT_SESSION_LIMITS,
  UNAUTHENTICATED_LINE_BYTES,
  UNAUTHENTICATED_LITERAL_BYTES,
} from '../src/imap/limits.ts';
import type { ImapServer } from '../src/imap/listener.ts';
import { ImapClient } from './support/imap-client.ts';
import { LIMITS, type MailSite, mailSite, PASSWORD, plainMail } from './support/mail-site.ts';

const LOGIN = `login bob@corp.test "${PASSWORD}"`;

let site: MailSite;
let client: ImapClient;
let other: ImapClient;
beforeAll(async () => {
  site = await mailSite();
});
afterAll(() => site[Symbol.asyncDispose]());
beforeEach(async () => {
  await site.opened.db.deleteFrom('message').execute();
  client = await site.client();
  other = await site.client();
});
afterEach(() => {
  client[Symbol.dispose]();
  other[Symbol.dispose]();
});

const letter = (subject: string): Buffer => plainMail({ Subject: subject }, 'text');
async function both(...subjects: string[]): Promise<void> {
  for (const subject of subjects) await client.ok('append inbox ', letter(subject));
  await client.ok('select inbox');
  await other.ok('select inbox');
}

describe('two sessions', () => {
  it('see new mail, flags and deletions of each other at the next command', async () => {
    await both('One', 'Two');
    await other.ok('append inbox ', letter('Three'));
    await other.ok('store 1 +flags (\\Flagged)');
    const lines = await client.ok('noop');
    expect(lines).toContain('3 EXISTS');
    expect(lines.join()).toMatch(/1 FETCH \(UID \d+ FLAGS \(\\Flagged\)\)/);
    await other.ok('store 2 +flags.silent (\\Deleted)');
    await other.ok('expunge');
    expect(await client.ok('check')).toContain('2 EXPUNGE');
    expect(await client.search('all')).toEqual([1, 2]);
  });

  it('are told of a flag by the number that the message has at that moment', async () => {
    await both('One', 'Two');
    const [found] = await client.ok('fetch 2 uid');
    const uid = /UID (\d+)/.exec(found ?? '')?.[1];
    await other.ok('store 1 +flags.silent (\\Deleted)');
    await other.ok('store 2 +flags.silent (\\Flagged)');
    await other.ok('expunge');
    expect(await client.ok('noop')).toEqual([`2 FETCH (UID ${uid} FLAGS (\\Flagged))`, '1 EXPUNGE']);
  });

  it('keep their numbers during FETCH, STORE and SEARCH', async () => {
    await both('One', 'Two', 'Three');
    await other.ok('store 1 +flags.silent (\\Deleted)');
    await other.ok('expunge');
    for (const command of ['fetch 1:3 flags', 'search all', 'store 3 +flags (\\Seen)'])
      expect((await client.ok(command)).filter((line) => line.endsWith('EXPUNGE'))).toEqual([]);
    expect((await client.ok('fetch 3 envelope'))[0]).toContain('Three');
    expect(await client.ok('uid search all')).toContain('1 EXPUNGE');
    expect((await client.ok('fetch 2 envelope'))[0]).toContain('Three');
  });

  it('hear of a keyword that is new in the mailbox before a message shows it', async () => {
    await both('One', 'Two');
    const [flags, permanent, answer] = await other.ok('store 1 +flags ($New)');
    expect([flags, permanent]).toEqual([
      expect.stringMatching(/^FLAGS \(\\Answered .* \$New\)$/),
      expect.stringMatching(/^OK \[PERMANENTFLAGS \(.* \$New \\\*\)\]/),
    ]);
    expect(answer).toMatch(/^1 FETCH \(FLAGS \(\$New\)\)$/);
    expect((await client.ok('noop')).map((line) => line.split(' ')[0])).toEqual(['FLAGS', 'OK', '1']);
    expect(await other.ok('store 2 +flags ($new)')).toEqual(['2 FETCH (FLAGS ($new))']);
    await client.ok('examine inbox');
    await other.ok('store 1 +flags (x)');
    expect((await client.ok('noop'))[1]).toBe('OK [PERMANENTFLAGS ()] Flags that are kept');
  });

  it('hear nothing of the mailbox while they log out', async () => {
    await both('One');
    await other.ok('store 1 +flags (\\Flagged)');
    expect(await client.ok('logout')).toEqual(['BYE Goodbye']);
  });

  it('add up the flags they set', async () => {
    await both('One');
    await Promise.all([client.ok('store 1 +flags.silent (a)'), other.ok('store 1 +flags.silent (b)')]);
    await client.ok('noop');
    const [line] = await client.ok('fetch 1 flags');
    expect(
      /\(FLAGS \((.*)\)\)/
        .exec(line ?? '')?.[1]
        ?.split(' ')
        .sort(),
    ).toEqual(['a', 'b']);
  });

  it('are told by STORE.SILENT what another one set meanwhile', async () => {
    await both('One', 'Two');
    await other.ok('store 1 +flags.silent (\\Flagged)');
    const lines = await client.ok('store 1:2 +flags.silent (\\Seen)');
    expect(lines.map((line) => line.replace(/ ?\\Recent/, ''))).toEqual(['1 FETCH (FLAGS (\\Flagged \\Seen))']);
    expect(await client.ok('noop')).toEqual([]);
  });

  it('are told nothing of what they did themselves', async () => {
    await both('One');
    expect(await client.ok('store 1 +flags.silent (\\Seen)')).toEqual([]);
    expect(await client.ok('noop')).toEqual([]);
  });

  it('survive that one of them deletes the mailbox of the other', async () => {
    await client.ok('create Box');
    await client.ok('append Box ', letter('One'));
    await client.ok('select Box');
    await other.ok('delete Box');
    expect(await client.ok('noop')).toContain('1 EXPUNGE');
    expect(await client.no('append Box ', letter('Two'))).toContain('[TRYCREATE]');
  });
});

describe('IDLE', () => {
  it('tells changes of another process at once, and ends with DONE', async () => {
    await both('One');
    await using elsewhere = await site.serve();
    using far = await site.client(elsewhere.port);
    client.send('i idle\r\n');
    expect(await client.line()).toMatch(/^\+ /);
    await far.ok('append inbox ', letter('Two'));
    expect(await client.line()).toBe('* 2 EXISTS');
    expect(await client.line()).toBe('* 2 RECENT');
    await far.ok('select inbox');
    await far.ok('store 1 +flags (\\Deleted)');
    expect(await client.line()).toMatch(/^\* 1 FETCH \(UID \d+ FLAGS \(\\Deleted\)\)/);
    await far.ok('expunge');
    expect(await client.line()).toBe('* 1 EXPUNGE');
    client.send('DONE\r\n');
    expect(await client.line()).toMatch(/^i OK/);
    await client.ok('noop');
  });

  it('works without a mailbox, and anything but DONE is an error', async () => {
    client.send('i idle\r\n');
    await client.line();
    client.send('j noop\r\n');
    expect(await client.line()).toMatch(/^i BAD/);
    await client.ok('noop');
  });
});

describe('UIDs', () => {
  it('mean the same after a restart, and are never used again', async () => {
    await both('One', 'Two', 'Three');
    const before = await client.ok('fetch 1:* (uid envelope)');
    const [status] = await client.ok('status Archive (uidvalidity)');
    await client.ok('store 3 +flags.silent (\\Deleted)');
    await client.ok('expunge');
    const uidNext = Number(/UIDNEXT (\d+)/.exec((await client.ok('status inbox (uidnext)'))[0] ?? '')?.[1]);
    await using restarted = await site.serve();
    using again = await site.client(restarted.port);
    await again.ok('select inbox');
    expect(await again.ok('fetch 1:* (uid envelope)')).toEqual(before.slice(0, 2));
    expect((await again.ok('status Archive (uidvalidity)'))[0]).toBe(status);
    const text = await again.okText('append inbox ', letter('Four'));
    expect(Number(/APPENDUID \d+ (\d+)/.exec(text)?.[1])).toBeGreaterThanOrEqual(uidNext);
  });
});

describe('the limits of a connection', () => {
  const open = (server: ImapServer & { port: number }): Promise<ImapClient> =>
    ImapClient.open({ port: server.port, ca: site.ca });

  it('hangs up on a line without end', async () => {
    using stranger = await ImapClient.open({ port: site.ports.imaps, ca: site.ca });
    stranger.send('a'.repeat(UNAUTHENTICATED_LINE_BYTES + 1));
    expect(await stranger.line()).toMatch(/^\* BYE/);
    expect(await stranger.line()).toBe('<closed>');
    client.send(`x noop ${'a'.repeat(64 * 1024)}`);
    expect(await client.line()).toMatch(/^\* BYE/);
  });

  it('takes only small literals of strangers', async () => {
    using stranger = await ImapClient.open({ port: site.ports.imaps, ca: site.ca });
    stranger.send(`a login {${UNAUTHENTICATED_LITERAL_BYTES}}\r\n`);
    expect(await stranger.line()).toMatch(/^\+ /);
    stranger.send(`${'u'.repeat(UNAUTHENTICATED_LITERAL_BYTES)} pass\r\n`);
    expect(await stranger.line()).toMatch(/^a NO/);
    stranger.send(`b login {${UNAUTHENTICATED_LITERAL_BYTES + 1}}\r\n`);
    expect(await stranger.line()).toMatch(/^b NO \[TOOBIG\]/);
    stranger.send('c append inbox {10}\r\n');
    expect(await stranger.line()).toMatch(/^c NO \[TOOBIG\]/);
    stranger.send('d login {999999999999+}\r\n');
    expect(await stranger.line()).toMatch(/^\* BYE/);
    expect(await stranger.line()).toBe('<closed>');
  });

  it('hangs up after so many mistakes, and forgives those before a right command', async () => {
    for (let n = 1; n < DEFAULT_SESSION_LIMITS.badCommands; n += 1) await client.bad('nonsense');
    await client.ok('noop');
    for (let n = 1; n < DEFAULT_SESSION_LIMITS.badCommands; n += 1) await client.bad('nonsense');
    await client.bad('nonsense');
    expect(await client.line()).toBe('<closed>');
  });

  it('bounds connections in all, from one address and for one account', async () => {
    const refused = /^\* BYE Too many connections/;
    await using few = await site.serve({ limits: { ...LIMITS, connections: 2 } });
    const [first, second] = [await open(few), await open(few)];
    expect((await open(few)).greeting).toMatch(refused);
    first[Symbol.dispose]();
    second[Symbol.dispose]();
    await using near = await site.serve({ limits: { ...LIMITS, connectionsPerAddress: 1 } });
    using _one = await open(near);
    expect((await open(near)).greeting).toMatch(refused);
    await using own = await site.serve({ limits: { ...LIMITS, connectionsPerAccount: 1 } });
    using mine = await open(own);
    await mine.ok(LOGIN);
    using more = await open(own);
    expect(await more.no(LOGIN)).toContain('[LIMIT]');
    await mine.ok('logout');
    expect(await mine.line()).toBe('<closed>');
    await more.ok(LOGIN);
  });

  it('says BYE when nothing comes, sooner before the login', async () => {
    await using server = await site.serve({ timeouts: { unauthenticatedMs: 40, idleMs: 80 } });
    using silent = await open(server);
    expect(await silent.line()).toMatch(/^\* BYE/);
    expect(await silent.line()).toBe('<closed>');
    await using patient = await site.serve({ timeouts: { idleMs: 60 } });
    using idle = await site.client(patient.port);
    expect(await idle.line()).toMatch(/^\* BYE/);
  });

  it('gives a connection up that never ends its STARTTLS handshake', async () => {
    await using server = await site.serve({ timeouts: { unauthenticatedMs: 60 } });
    using stranger = await ImapClient.open({ port: server.plainPort, ca: site.ca, implicitTls: false });
    await stranger.ok('starttls');
    expect(await stranger.line()).toBe('<closed>');
  });

  it('says BYE to everybody when the server ends', async () => {
    const server = await site.serve();
    using one = await site.client(server.port);
    await one.ok('select inbox');
    using two = await site.client(server.port);
    two.send('i idle\r\n');
    await two.line();
    await server[Symbol.asyncDispose]();
    for (const left of [one, two]) expect(await left.line()).toMatch(/^\* BYE/);
  });
});
