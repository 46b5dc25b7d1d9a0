/** MULTIAPPEND (RFC 3502), REPLACE (8508) and UNAUTHENTICATE (8437), said line by line to the real server. */
import { beforeEach, describe, expect, it } from 'vitest';
import { setQuota } from '../src/store/quota.ts';
import { forEachTest } from './support/each-session.ts';
import { ImapClient } from './support/imap-client.ts';
import { LIMITS, type MailSite, PASSWORD, plainMail } from './support/mail-site.ts';

let site: MailSite;
let client: ImapClient;
forEachTest(async (given) => {
  site = given;
  client = await site.client();
  return [client];
});

const letter = (subject: string): Buffer => plainMail({ Subject: subject }, 'text');
const messagesIn = async (name: string): Promise<string | undefined> =>
  /MESSAGES (\d+)/.exec((await client.ok(`status ${name} (messages)`)).join())?.[1];

describe('APPEND', () => {
  it('of a stranger is refused, and nothing is left that ends the server', async () => {
    using stranger = await ImapClient.open({ port: site.ports.imaps, ca: site.ca });
    const unheard: unknown[] = [];
    const hear = (error: unknown): number => unheard.push(error);
    process.on('unhandledRejection', hear);
    try {
      stranger.send('a append inbox {0+}\r\n\r\n');
      expect(await stranger.line()).toBe('a BAD Log in first');
      await client.ok('noop');
      expect(unheard).toEqual([]);
    } finally {
      process.off('unhandledRejection', hear);
    }
  });
});

describe('MULTIAPPEND', () => {
  it('puts several messages in, each with its flags and date, and says their UIDs in order', async () => {
    const text = await client.okText(
      ...['append Drafts (\\Draft) ', letter('One')],
      ...[' (\\Seen x) "14-Jan-2026 08:30:00 +0530" ', letter('Two'), ' UTF8 ('],
      ...[letter('Three'), ')'],
    );
    const [, first, last] = /\[APPENDUID \d+ (\d+):(\d+)\]/.exec(text) ?? [];
    expect(Number(last) - Number(first)).toBe(2);
    await client.ok('select Drafts');
    const lines = await client.ok('fetch 1:* (uid flags internaldate envelope)');
    expect(
      lines.map((line) => /ENVELOPE \("[^"]*" "(\w+)"|ENVELOPE \(NIL "(\w+)"/.exec(line)?.slice(1).join('')),
    ).toEqual(['One', 'Two', 'Three']);
    expect(lines[0]).toContain(`UID ${first} FLAGS (\\Draft)`);
    expect(lines[1]).toContain('INTERNALDATE "14-Jan-2026 08:30:00 +0530"');
    expect(lines[2]).toContain(`UID ${last} FLAGS ()`);
  });

  it('puts in all or none', async () => {
    const keywords = Array.from({ length: 101 }, (_, n) => `k${n}`).join(' ');
    expect(await client.no('append Drafts ', letter('One'), ` (${keywords}) `, letter('Two'))).toContain('[LIMIT]');
    expect(await messagesIn('Drafts')).toBe('0');
    const { size_bytes: used } = await site.opened.db
      .selectFrom('account')
      .select('size_bytes')
      .where('id', '=', site.bobId)
      .executeTakeFirstOrThrow();
    await client.ok('append Drafts ', letter('One'));
    const { size_bytes: after } = await site.opened.db
      .selectFrom('account')
      .select('size_bytes')
      .where('id', '=', site.bobId)
      .executeTakeFirstOrThrow();
    await setQuota(site.opened.db, site.bobId, after + (after - used));
    try {
      expect(await client.no('append Drafts ', letter('Two'), ' ', letter('Three'))).toContain('[OVERQUOTA]');
      expect(await messagesIn('Drafts')).toBe('1');
      await client.ok('append Drafts ', letter('Two'));
    } finally {
      await setQuota(site.opened.db, site.bobId, null);
    }
  });

  it('is taken back with an empty message', async () => {
    await client.no('append Drafts ', letter('One'), ' ', Buffer.alloc(0));
    expect(await messagesIn('Drafts')).toBe('0');
  });

  it('puts in no message of no bytes, which no program could fetch, and replaces none by it', async () => {
    expect(await client.no('append Drafts ', Buffer.alloc(0))).toContain('no bytes');
    await client.ok('append Drafts ', letter('One'));
    await client.ok('select Drafts');
    await client.no('replace 1 Drafts ', Buffer.alloc(0));
    expect(await client.search('subject one')).toEqual([1]);
  });

  it('bounds all messages together as one', async () => {
    const half = Buffer.concat([letter('Half'), Buffer.alloc(LIMITS.messageBytes / 2, 'x')]);
    expect(await client.no('append Drafts ', half, ' ', half)).toContain('[TOOBIG]');
    expect(await messagesIn('Drafts')).toBe('0');
    expect(await client.no('append Nowhere ', letter('One'), ' ', letter('Two'))).toContain('[TRYCREATE]');
  });

  it('says BAD to what is no message', async () => {
    await client.bad('append Drafts ', letter('One'), ' (x)');
    await client.bad('append Drafts ', letter('One'), '(x) ', letter('Two'));
    expect(await messagesIn('Drafts')).toBe('0');
  });
});

describe('REPLACE', () => {
  beforeEach(async () => {
    for (const subject of ['One', 'Two', 'Three']) await client.ok('append Drafts (\\Draft) ', letter(subject));
    await client.ok('select Drafts');
  });

  it('puts one message in the place of another', async () => {
    const answer = await client.command('replace 2 Drafts (\\Draft \\Seen) ', letter('New'));
    expect(answer.lines).toEqual([
      expect.stringMatching(/^OK \[APPENDUID \d+ \d+\]/),
      '2 EXPUNGE',
      '3 EXISTS',
      '3 RECENT',
    ]);
    expect(answer.text).toBe('REPLACE completed');
    expect(await client.search('subject new draft seen')).toEqual([3]);
    expect(await client.search('subject two')).toEqual([]);
  });

  it('by UID, and into another mailbox', async () => {
    const uid = /UID (\d+)/.exec((await client.ok('fetch 1 uid')).join())?.[1];
    const { lines } = await client.command(`uid replace ${uid} Archive `, letter('New'));
    expect(lines).toContain('1 EXPUNGE');
    expect(await messagesIn('Archive')).toBe('1');
    await client.ok('replace * Drafts ', letter('Last'));
    expect(await client.search('subject three')).toEqual([]);
  });

  it('leaves everything as it was when it cannot be done', async () => {
    expect(await client.no('replace 1 Nowhere ', letter('New'))).toContain('[TRYCREATE]');
    expect(await client.no('uid replace 4000000 Drafts ', letter('New'))).toContain('[NONEXISTENT]');
    await client.bad('replace 9 Drafts ', letter('New'));
    for (const wrong of ['replace 1:2 Drafts ', 'replace 1,2 Drafts ', 'replace $ Drafts ', 'replace x Drafts '])
      await client.bad(wrong, letter('New'));
    await client.bad('replace 1 Drafts ', letter('New'), ' ', letter('Newer'));
    using other = await site.client();
    await other.ok('select Drafts');
    await other.ok('store 1 +flags.silent (\\Deleted)');
    await other.ok('expunge');
    expect(await client.no('replace 1 Drafts ', letter('New'))).toContain('[EXPUNGEISSUED]');
    expect(await messagesIn('Drafts')).toBe('2');
    await client.ok('examine Drafts');
    expect(await client.no('replace 1 Drafts ', letter('New'))).toContain('[NOPERM]');
    await client.ok('unselect');
    await client.bad('replace 1 Drafts ', letter('New'));
  });

  it('tells VANISHED to a client that asked for it', async () => {
    await client.ok('enable qresync');
    const { lines } = await client.command('replace 1 Drafts ', letter('New'));
    expect(lines.some((line) => /^VANISHED \d+$/.test(line))).toBe(true);
  });
});

describe('UNAUTHENTICATE', () => {
  it('takes the connection back to before the login', async () => {
    await client.ok('enable qresync');
    await client.ok('select inbox');
    const text = await client.okText('unauthenticate');
    expect(text).toMatch(/^\[CAPABILITY IMAP4rev1 .*AUTH=PLAIN.*\]/);
    expect(text).not.toContain('LITERAL+');
    await client.bad('unauthenticate');
    await client.bad('select inbox');
    await client.bad('fetch 1 flags');
    expect(await client.no('append inbox ', letter('Too big for a stranger'))).toContain('[TOOBIG]');
    await client.ok(`login bob@corp.test "${PASSWORD}"`);
    await client.bad('fetch 1 flags');
    await client.bad('select inbox (qresync (1 1))');
    await client.ok('append inbox ', letter('One'));
    await client.bad('unauthenticate now');
  });

  it('gives the place among the connections back', async () => {
    await using server = await site.serve({ limits: { ...LIMITS, connectionsPerAccount: 1 } });
    using one = await site.client(server.port);
    await one.ok('unauthenticate');
    using two = await site.client(server.port);
    await two.ok('noop');
    expect(await one.no(`login bob@corp.test "${PASSWORD}"`)).toContain('[LIMIT]');
  });
});

describe('the end of a literal', () => {
  it('is asked for when it does not come at once, so that no system holds it back', async () => {
    client.send('a append Drafts {4}\r\n');
    expect(await client.line()).toBe('+ Ready');
    client.send('A: b');
    expect(await client.line()).toBe('* OK Literal taken');
    client.send('\r\n');
    expect(await client.line()).toMatch(/^a OK \[APPENDUID /);
  });

  it('is not asked for while a literal is on its way, or when its end came with it', async () => {
    client.send('a append Drafts {4}\r\n');
    expect(await client.line()).toBe('+ Ready');
    client.send('A');
    // Whoever hears this has waited longer than the server does.
    await site.client().then((other) => other.ok('noop').finally(() => other[Symbol.dispose]()));
    client.send(': b\r\n');
    expect(await client.line()).toMatch(/^a OK \[APPENDUID /);
  });

  it('is asked for from nobody who has not logged in', async () => {
    using stranger = await ImapClient.open({ port: site.ports.imaps, ca: site.ca });
    stranger.send('a login {3}\r\n');
    expect(await stranger.line()).toBe('+ Ready');
    stranger.send('bob');
    // Whoever hears this has waited longer than the server does.
    await site.client().then((other) => other.ok('noop').finally(() => other[Symbol.dispose]()));
    stranger.send(' "wrong"\r\n');
    expect(await stranger.line()).toMatch(/^a NO /);
  });
});
