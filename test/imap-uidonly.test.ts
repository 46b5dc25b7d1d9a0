/** UIDONLY (RFC 9586): no message numbers, said line by line to the real server. */
import { describe, expect, it } from 'vitest';
import { forEachTest } from './support/each-session.ts';
import type { ImapClient } from './support/imap-client.ts';
import { type MailSite, plainMail } from './support/mail-site.ts';

let site: MailSite;
let client: ImapClient;
let other: ImapClient;
let uids: number[];
forEachTest(async (given) => {
  site = given;
  other = await site.client();
  for (const subject of ['One', 'Two', 'Three'])
    await other.ok('append inbox ', plainMail({ Subject: subject }, 'text'));
  await other.ok('select inbox');
  uids = (await other.ok('fetch 1:* uid')).map((line) => Number(/UID (\d+)/.exec(line)?.[1]));
  client = await site.client();
  expect(await client.ok('enable uidonly')).toEqual(['ENABLED UIDONLY']);
  await client.ok('select inbox');
  return [client, other];
});

describe('ENABLE UIDONLY', () => {
  it('is announced', async () => {
    expect((await other.ok('capability'))[0]).toContain(' UIDONLY');
  });

  it('changes nothing for others', async () => {
    expect(await other.ok('fetch 1 flags')).toEqual(['1 FETCH (FLAGS ())']);
  });
});

describe('commands with message numbers', () => {
  it.each([
    'fetch 1 flags',
    'fetch $ flags',
    'store 1 +flags (x)',
    'copy 1 Archive',
    'move 1 Archive',
    'search all',
    'search return (count) uid 1',
    'sort (date) utf-8 all',
    'thread references utf-8 all',
    'uid search 1:2',
    'uid search not 1',
    'uid search or all 1',
    'uid search (seen 1)',
    'uid search return (save) *',
    'uid sort (date) utf-8 1',
    'uid thread references utf-8 1',
    'replace 1 inbox {1+}\r\nx',
  ])('%s is BAD', async (command) => {
    expect(await client.bad(command)).toMatch(/^\[UIDREQUIRED\]/);
  });

  it('QRESYNC with numbers is BAD, without it is not', async () => {
    await client.ok('enable qresync');
    expect(await client.bad('select inbox (qresync (1 1 1:9 (1 2)))')).toContain('[UIDREQUIRED]');
    await client.ok('select inbox (qresync (1 1 1:9))');
  });
});

describe('answers', () => {
  it('to UID FETCH are UIDFETCH, with the UID once unless it is asked for', async () => {
    expect(await client.ok('uid fetch 1:* (flags)')).toEqual(uids.map((uid) => `${uid} UIDFETCH (FLAGS ())`));
    expect(await client.ok(`uid fetch ${uids[1]} (uid flags)`)).toEqual([
      `${uids[1]} UIDFETCH (UID ${uids[1]} FLAGS ())`,
    ]);
    expect((await client.ok(`uid fetch ${uids[1]} (body.peek[text])`))[0]).toContain(
      `${uids[1]} UIDFETCH (BODY[TEXT] {`,
    );
    expect(await client.ok(`uid fetch ${uids[1]} uid`)).toEqual([`${uids[1]} UIDFETCH (UID ${uids[1]})`]);
    expect((await client.ok(`uid fetch ${uids[0]} body[text]`))[0]).toMatch(
      /UIDFETCH \(BODY\[TEXT\] .*FLAGS \(\\Seen\)\)$/s,
    );
  });

  it('to UID STORE are UIDFETCH', async () => {
    expect(await client.ok(`uid store ${uids[0]} +flags (\\Flagged)`)).toEqual([
      `${uids[0]} UIDFETCH (FLAGS (\\Flagged))`,
    ]);
    expect(await client.ok(`uid store ${uids[0]} +flags.silent (\\Deleted)`)).toEqual([]);
    expect(await client.okText(`uid store ${uids[0]} (unchangedsince 1) +flags (x)`)).toContain(
      `[MODIFIED ${uids[0]}]`,
    );
  });

  it('to UID SEARCH, SORT and THREAD are UIDs', async () => {
    expect(await client.ok(`uid search uid ${uids[1]}:*`)).toEqual([`SEARCH ${uids[1]} ${uids[2]}`]);
    expect(await client.ok('uid search return (save) all')).toEqual([]);
    expect(await client.ok('uid fetch $ (flags)')).toHaveLength(3);
    expect(await client.ok('uid search $')).toEqual([`SEARCH ${uids.join(' ')}`]);
    expect((await client.ok('uid sort (reverse arrival) utf-8 all'))[0]).toMatch(/^SORT /);
    expect((await client.ok('uid thread orderedsubject utf-8 all'))[0]).toMatch(/^THREAD /);
  });

  it('tell what leaves by VANISHED', async () => {
    expect(await client.ok(`uid move ${uids[0]} Archive`)).toEqual([
      expect.stringMatching(/^OK \[COPYUID /),
      `VANISHED ${uids[0]}`,
    ]);
    await client.ok(`uid store ${uids[1]} +flags.silent (\\Deleted)`);
    expect(await client.ok('expunge')).toEqual([`VANISHED ${uids[1]}`]);
    await client.ok(`uid store ${uids[2]} +flags.silent (\\Deleted)`);
    expect(await client.ok(`uid expunge ${uids[2]}`)).toEqual([`VANISHED ${uids[2]}`]);
  });

  it('tell what others change by UIDs', async () => {
    await other.ok('store 2 +flags (\\Flagged)');
    expect(await client.ok('noop')).toEqual([`${uids[1]} UIDFETCH (FLAGS (\\Flagged))`]);
    await other.ok('store 1 +flags.silent (\\Deleted)');
    await other.ok('expunge');
    expect(await client.ok('noop')).toEqual([`VANISHED ${uids[0]}`]);
    await other.ok('append inbox ', plainMail({ Subject: 'Four' }, 'text'));
    expect((await client.ok('noop'))[0]).toBe('3 EXISTS');
  });

  it('to SELECT name no number', async () => {
    const lines = await client.ok('select inbox');
    expect(lines.join()).not.toContain('UNSEEN');
    expect(lines).toContain('3 EXISTS');
    expect((await other.ok('select inbox')).join()).toContain('[UNSEEN 1]');
  });

  it('in IDLE are by UIDs, too', async () => {
    client.send('i idle\r\n');
    expect(await client.line()).toMatch(/^\+ /);
    await other.ok('store 3 +flags (\\Flagged)');
    expect(await client.line()).toBe(`* ${uids[2]} UIDFETCH (FLAGS (\\Flagged))`);
    client.send('done\r\n');
    expect(await client.line()).toMatch(/^i OK/);
  });
});
