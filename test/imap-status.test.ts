/**
 * What is told about mailboxes: LIST-EXTENDED (RFC 5258), LIST-STATUS (5819), STATUS=SIZE (8438), APPENDLIMIT (7889),
 * OBJECTID (8474) and QUOTA (2087), said line by line to the real server.
 */
import { beforeEach, describe, expect, it } from 'vitest';
import { setQuota } from '../src/store/quota.ts';
import { forEachTest } from './support/each-session.ts';
import type { ImapClient } from './support/imap-client.ts';
import { LIMITS, type MailSite, plainMail } from './support/mail-site.ts';

let site: MailSite;
let client: ImapClient;
forEachTest(
  async (given) => {
    site = given;
    client = await site.client();
    return [client];
  },
  { withoutFolders: true },
);

const letter = (subject: string): Buffer => plainMail({ Subject: subject }, 'text');
const idIn = (text: string, name: string): string => new RegExp(`${name} \\(([A-Za-z0-9_-]+)\\)`).exec(text)?.[1] ?? '';

describe('LIST-EXTENDED', () => {
  const list = async (arguments_: string): Promise<string[]> =>
    (await client.ok(`list ${arguments_}`)).map((line) => line.replace(/^LIST /, ''));
  beforeEach(async () => {
    await client.ok('create a/b/c');
    await client.ok('create d');
    await client.ok('subscribe a/b/c');
  });

  it.each<[arguments_: string, answers: string[]]>([
    ['(subscribed) "" (a* d)', ['(\\HasNoChildren \\Subscribed) "/" a/b/c']],
    ['() "" (d d "d")', ['(\\HasNoChildren) "/" d']],
    ['"" (d a/b/%)', ['(\\HasNoChildren) "/" a/b/c', '(\\HasNoChildren) "/" d']],
    [
      '"" "a*" return (subscribed)',
      ['(\\HasChildren) "/" a', '(\\HasChildren) "/" a/b', '(\\HasNoChildren \\Subscribed) "/" a/b/c'],
    ],
    ['"" "d" return (children)', ['(\\HasNoChildren) "/" d']],
    ['"" "d" return ()', ['(\\HasNoChildren) "/" d']],
    ['(remote) "" d', ['(\\HasNoChildren) "/" d']],
    ['(subscribed recursivematch) "" (a d)', ['(\\HasChildren) "/" a ("CHILDINFO" ("SUBSCRIBED"))']],
    [
      '(recursivematch subscribed) "" a*',
      // Nobody needs to stand for what is listed itself.
      ['(\\HasNoChildren \\Subscribed) "/" a/b/c'],
    ],
    [
      '(special-use) "" %',
      [
        '(\\HasNoChildren \\Archive) "/" Archive',
        '(\\HasNoChildren \\Drafts) "/" Drafts',
        '(\\HasNoChildren \\Junk) "/" Junk',
        '(\\HasNoChildren \\Sent) "/" Sent',
        '(\\HasNoChildren \\Trash) "/" Trash',
      ],
    ],
    ['(special-use subscribed recursivematch) "" a', []],
    ['() "" ""', []],
  ])('%s', async (arguments_, answers) => {
    expect(await list(arguments_)).toEqual(answers);
  });

  it('says BAD to what is no option', async () => {
    for (const wrong of [
      '(recursivematch) "" *',
      '(recursivematch remote) "" *',
      '(nothing) "" *',
      '"" * return (nothing)',
      '"" ()',
      '"" * return',
      '"" * ()',
      '(subscribed "" *',
    ])
      await client.bad(`list ${wrong}`);
  });
});

describe('LIST-STATUS', () => {
  it('tells the status behind the mailbox', async () => {
    await client.ok('append Drafts (\\Seen) ', letter('One'));
    await client.ok('append Drafts ', letter('Two'));
    const lines = await client.ok('list "" (Drafts Sent) return (status (messages unseen uidnext) subscribed)');
    expect(lines).toEqual([
      'LIST (\\HasNoChildren \\Drafts \\Subscribed) "/" Drafts',
      'LIST (\\HasNoChildren \\Sent \\Subscribed) "/" Sent',
      expect.stringMatching(/^STATUS Drafts \(MESSAGES 2 UNSEEN 1 UIDNEXT \d+\)$/),
      expect.stringMatching(/^STATUS Sent \(MESSAGES 0 UNSEEN 0 UIDNEXT \d+\)$/),
    ]);
  });

  it('tells nothing of a mailbox that is listed only for those below it', async () => {
    await client.ok('create a/b');
    await client.ok('subscribe a/b');
    expect(await client.ok('list (subscribed recursivematch) "" % return (status (messages))')).not.toContain(
      'STATUS a (MESSAGES 0)',
    );
    expect(await client.ok('list (subscribed) "" a* return (status (messages))')).toContain('STATUS a/b (MESSAGES 0)');
  });

  it('turns mod-sequences on when it asks for the highest', async () => {
    await client.ok('list "" inbox return (status (highestmodseq))');
    expect(await client.ok('enable condstore')).toEqual(['ENABLED']);
  });

  it('says BAD to what is no item', async () => {
    for (const wrong of ['status', 'status ()', 'status (nothing)', 'status messages'])
      await client.bad(`list "" * return (${wrong})`);
  });
});

describe('STATUS', () => {
  it('tells the size as mail programs see it, and how many are marked as deleted', async () => {
    for (const subject of ['One', 'Two', 'Three']) await client.ok('append inbox ', letter(subject));
    await client.ok('select inbox');
    await client.ok('store 2 +flags (\\Deleted x)');
    await client.ok('store 3 +flags (x)');
    const sizes = (await client.ok('fetch 1:* rfc822.size')).map((line) => Number(/SIZE (\d+)/.exec(line)?.[1]));
    const sum = sizes.reduce((a, b) => a + b, 0);
    expect(await client.ok('status inbox (size deleted messages)')).toEqual([
      `STATUS INBOX (SIZE ${sum} DELETED 1 MESSAGES 3)`,
    ]);
    expect(await client.ok('status Drafts (size deleted)')).toEqual(['STATUS Drafts (SIZE 0 DELETED 0)']);
  });

  it('tells how large a message may be, which is announced too', async () => {
    expect(await client.ok('status inbox (appendlimit)')).toEqual([
      `STATUS INBOX (APPENDLIMIT ${LIMITS.messageBytes})`,
    ]);
    expect((await client.ok('capability'))[0]).toContain(` APPENDLIMIT=${LIMITS.messageBytes}`);
  });
});

describe('OBJECTID', () => {
  it('a mailbox keeps its id under another name; the next of its name has another', async () => {
    const id = idIn(await client.okText('create Box'), 'MAILBOXID');
    expect(id).not.toBe('');
    expect(idIn((await client.ok('select Box')).join(), 'MAILBOXID')).toBe(id);
    expect(await client.ok('status Box (mailboxid)')).toEqual([`STATUS Box (MAILBOXID (${id}))`]);
    await client.ok('rename Box Crate');
    expect(await client.ok('status Crate (mailboxid)')).toEqual([`STATUS Crate (MAILBOXID (${id}))`]);
    expect(idIn(await client.okText('create Box/Inner'), 'MAILBOXID')).not.toBe(id);
    expect(idIn((await client.ok('status Box (mailboxid)')).join(), 'MAILBOXID')).not.toBe(id);
  });

  it('a message keeps its id when it is marked, moved and copied; another one of the same bytes has its own', async () => {
    await client.ok('append inbox ', letter('One'));
    await client.ok('append inbox ', letter('One'));
    await client.ok('select inbox');
    const lines = await client.ok('fetch 1:* (emailid threadid)');
    const [one = '', two = ''] = lines.map((line) => idIn(line, 'EMAILID'));
    expect(one).toMatch(/^[A-Za-z0-9_-]{1,255}$/);
    expect(two).not.toBe(one);
    expect(lines[0]).toMatch(new RegExp(`^1 FETCH \\(EMAILID \\(${one}\\) THREADID \\(T[0-9a-f]{32}\\)\\)$`));
    expect(await client.search(`emailid ${two}`)).toEqual([2]);
    expect(await client.search('emailid M1')).toEqual([]);
    expect(await client.search('threadid T1')).toEqual([]);
    await client.ok('store 1 +flags (x)');
    await client.ok('copy 1 Drafts');
    await client.ok('move 1 Archive');
    for (const name of ['Drafts', 'Archive']) {
      await client.ok(`select ${name}`);
      expect(idIn((await client.ok('fetch 1 emailid')).join(), 'EMAILID')).toBe(one);
    }
    for (const wrong of ['emailid', 'emailid a.b', 'threadid']) await client.bad(`search ${wrong}`);
  });
});

describe('QUOTA', () => {
  it('tells what is used and allowed', async () => {
    expect(await client.ok('getquotaroot inbox')).toEqual(['QUOTAROOT INBOX ""', 'QUOTA "" ()']);
    await setQuota(site.opened.db, site.bobId, 10 * 1024 + 500);
    await site.opened.db.updateTable('account').set({ size_bytes: 2_049 }).where('id', '=', site.bobId).execute();
    try {
      expect(await client.ok('getquota ""')).toEqual(['QUOTA "" (STORAGE 3 10)']);
      expect(await client.ok('getquotaroot Drafts')).toEqual(['QUOTAROOT Drafts ""', 'QUOTA "" (STORAGE 3 10)']);
      await setQuota(site.opened.db, site.bobId, 1_000);
      expect(await client.no('append inbox ', letter('Too much'))).toContain('[OVERQUOTA]');
    } finally {
      await setQuota(site.opened.db, site.bobId, null);
    }
  });

  it('is set by the operator only, and has one root', async () => {
    expect(await client.no('setquota "" (storage 1)')).toContain('[NOPERM]');
    expect(await client.no('getquota other')).toContain('[NONEXISTENT]');
    expect(await client.no('setquota other ()')).toContain('[NONEXISTENT]');
    expect(await client.no('getquotaroot Nowhere')).toContain('[NONEXISTENT]');
    for (const wrong of ['getquota', 'getquotaroot', 'setquota ""', 'setquota "" (storage)', 'getquota "" x'])
      await client.bad(wrong);
  });
});
