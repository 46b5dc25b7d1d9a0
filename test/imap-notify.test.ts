/** NOTIFY (RFC 5465), said line by line to the real server: by whom, of what, and when somebody is told. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { MAX_NOTIFICATIONS, MAX_NOTIFY_GROUPS, MAX_NOTIFY_NAMES } from '../src/imap/limits.ts';
import type { ImapClient } from './support/imap-client.ts';
import { type MailSite, mailSite, plainMail } from './support/mail-site.ts';

let site: MailSite;
/** Who is told. */
let client: ImapClient;
/** Who does something. */
let other: ImapClient;
beforeAll(async () => {
  site = await mailSite();
});
afterAll(() => site[Symbol.asyncDispose]());
beforeEach(async () => {
  await site.opened.db.deleteFrom('message').execute();
  await site.opened.db.deleteFrom('folder').where('folder_name', 'is not', null).execute();
  client = await site.client();
  other = await site.client();
});
afterEach(() => {
  client[Symbol.dispose]();
  other[Symbol.dispose]();
});

const letter = (subject: string): Buffer => plainMail({ Subject: subject }, 'text');
const ALL = '(MessageNew MessageExpunge FlagChange)';
const append = (box: string): Promise<string[]> => other.ok(`append ${box} `, letter('News'));
/** Which session is the first to see a message plays no part here. */
const withoutRecent = (lines: readonly string[]): string[] =>
  lines.filter((line) => !line.endsWith(' RECENT')).map((line) => line.replace(/ ?\\Recent/, ''));
/** What the client is told before it has asked for anything. */
const told = async (count: number): Promise<string[]> => {
  const lines: string[] = [];
  while (lines.length < count) lines.push(...withoutRecent([(await client.line()).replace(/^\* /, '')]));
  return lines;
};
/** What was told of until now, and nothing else: the answer of a command comes behind it. */
const toldUntilNow = async (command = 'capability'): Promise<string[]> =>
  withoutRecent(await client.ok(command)).filter((line) => !line.startsWith('CAPABILITY'));

describe('the selected mailbox', () => {
  beforeEach(async () => {
    await append('inbox');
    await append('inbox');
    await client.ok('select inbox');
    await other.ok('select inbox');
  });

  it('selected: everything is told at once, with no command under way', async () => {
    expect(await client.ok(`notify set (selected ${ALL})`)).toEqual([]);
    await append('inbox');
    expect(await told(1)).toEqual(['3 EXISTS']);
    await other.ok('store 1 +flags (\\Flagged)');
    expect(await told(1)).toEqual([expect.stringMatching(/^1 FETCH \(UID \d+ FLAGS \(\\Flagged\)\)$/)]);
    await other.ok('store 2 +flags.silent (\\Deleted)');
    await told(1);
    await other.ok('expunge');
    expect(await told(1)).toEqual(['2 EXPUNGE']);
  });

  it('selected: new messages come with what was asked of them', async () => {
    await client.ok('notify set (selected (MessageNew (uid body.peek[header.fields (subject)]) MessageExpunge))');
    await append('inbox');
    expect(await told(2)).toEqual([
      '3 EXISTS',
      expect.stringMatching(/^3 FETCH \(UID \d+ BODY\[HEADER.FIELDS \(subject\)\] \{17\}\r\nSubject: News\r\n\r\n\)$/),
    ]);
    await client.ok('notify set (selected-delayed (MessageNew (flags body[text]) MessageExpunge))');
    await append('inbox');
    expect((await told(2))[1]).toMatch(/^4 FETCH \(UID \d+ FLAGS \(\) BODY\[TEXT\] \{\d+\}/);
    expect(await client.search('unseen')).toHaveLength(4);
    // Also when a command had them told.
    await client.ok('notify set (selected (MessageNew (uid) MessageExpunge))');
    await append('inbox');
    expect((await told(2))[1]).toMatch(/^5 FETCH \(UID \d+\)$/);
  });

  it('without FlagChange flags are not told', async () => {
    await client.ok('notify set (selected (MessageNew MessageExpunge))');
    await other.ok('store 1 +flags (\\Flagged)');
    await append('inbox');
    expect(await told(1)).toEqual(['3 EXISTS']);
    expect(await toldUntilNow('noop')).toEqual([]);
    expect((await client.ok('fetch 1 flags'))[0]).toContain('\\Flagged');
  });

  it('selected-delayed: removals wait for a command that may tell them, or for IDLE', async () => {
    await client.ok(`notify set (selected-delayed ${ALL})`);
    await other.ok('store 1 +flags (\\Deleted)');
    await told(1);
    await other.ok('expunge');
    await append('inbox');
    expect(await told(1)).toEqual(['3 EXISTS']);
    expect(withoutRecent(await client.ok('fetch 2 uid'))).toHaveLength(1);
    expect(await client.ok('noop')).toEqual(['1 EXPUNGE']);
    await other.ok('store 1 +flags (\\Deleted)');
    await told(1);
    await other.ok('expunge');
    client.send('i1 idle\r\n');
    expect(await told(2)).toEqual(['+ idling', '1 EXPUNGE']);
    client.send('done\r\n');
    await client.line();
  });

  it('keeps numbers during a command that uses them, and tells of removals right behind it', async () => {
    await client.ok(`notify set (selected ${ALL})`);
    // Half a command: nobody is told anything in the middle of it.
    client.send('f1 fetch 1:2 ');
    await other.ok('store 1 +flags.silent (\\Deleted)');
    await other.ok('expunge');
    client.send('uid\r\n');
    const lines = await told(4);
    expect(lines.filter((line) => /FETCH \(UID \d+\)$/.test(line))).toHaveLength(2);
    expect(lines.indexOf('1 EXPUNGE')).toBe(3);
  });

  it('is told of in IDLE as it is without', async () => {
    await client.ok('notify set (selected (MessageNew (uid) MessageExpunge))');
    client.send('i1 idle\r\n');
    await told(1);
    await other.ok('store 1 +flags (\\Flagged)');
    await append('inbox');
    expect(await told(2)).toEqual(['3 EXISTS', expect.stringMatching(/^3 FETCH \(UID \d+\)$/)]);
    client.send('done\r\n');
    expect(await client.line()).toBe('i1 OK IDLE ended');
  });

  it('NONE, and what leaves it out: nothing is told, by no command and not in IDLE', async () => {
    for (const none of ['none', 'set (selected none)', 'set (personal (MailboxName))']) {
      await client.ok('select inbox');
      await client.ok(`notify ${none}`);
      await append('inbox');
      expect(await toldUntilNow('noop')).toEqual([]);
      client.send('i1 idle\r\ndone\r\n');
      expect(await told(2)).toEqual(['+ idling', 'i1 OK IDLE ended']);
    }
  });

  it('NOTIFY SET tells first what was not told yet', async () => {
    await append('inbox');
    expect(withoutRecent(await client.ok('notify set (selected none)'))).toEqual(['3 EXISTS']);
  });

  it('is whichever is selected; messages of others are not told by it', async () => {
    await client.ok(`notify set (selected ${ALL})`);
    await client.ok('select Drafts');
    await append('inbox');
    await append('Drafts');
    expect(await told(1)).toEqual(['1 EXISTS']);
    await client.ok('unselect');
    await append('Drafts');
    expect(await toldUntilNow()).toEqual([]);
  });

  it('with QRESYNC removals are UIDs, and mod-sequences are told', async () => {
    await client.ok('enable qresync');
    await client.ok(`notify set (selected ${ALL})`);
    await other.ok('store 1 +flags (\\Deleted)');
    expect((await told(1))[0]).toMatch(/^1 FETCH \(UID \d+ FLAGS \(\\Deleted\) MODSEQ \(\d+\)\)$/);
    await other.ok('expunge');
    expect((await told(1))[0]).toMatch(/^VANISHED \d+$/);
  });
});

describe('other mailboxes', () => {
  it.each([
    'personal',
    'subtree Archive',
    'mailboxes Archive',
    'mailboxes (inbox Archive)',
    'subtree (Archive Nowhere)',
  ])('%s: their counts are told', async (filter) => {
    await client.ok(`notify set (${filter} (MessageNew MessageExpunge))`);
    await append('Archive');
    expect((await told(1))[0]).toMatch(/^STATUS Archive \(UIDNEXT \d+ MESSAGES 1\)$/);
    await other.ok('select Archive');
    await other.ok('store 1 +flags.silent (\\Deleted)');
    await other.ok('expunge');
    expect((await told(1))[0]).toMatch(/^STATUS Archive \(UIDNEXT \d+ MESSAGES 0\)$/);
    expect(await toldUntilNow()).toEqual([]);
  });

  it('inboxes, subscribed: those only, as they are at the time', async () => {
    await client.ok('notify set (inboxes (MessageNew MessageExpunge)) (subscribed (MessageNew MessageExpunge))');
    await other.ok('unsubscribe Junk');
    await append('Junk');
    await append('inbox');
    expect((await told(1))[0]).toMatch(/^STATUS INBOX /);
    await other.ok('subscribe Junk');
    await append('Junk');
    expect((await told(1))[0]).toMatch(/^STATUS Junk \(UIDNEXT \d+ MESSAGES 2\)$/);
  });

  it('mailboxes names no wildcards, subtree what lies below', async () => {
    await other.ok('create A/B');
    await other.ok('create AB');
    await client.ok('notify set (mailboxes "*" (MessageNew MessageExpunge)) (subtree A (MessageNew MessageExpunge))');
    await append('AB');
    await append('A/B');
    expect((await told(1))[0]).toMatch(/^STATUS A\/B /);
    expect(await toldUntilNow()).toEqual([]);
  });

  it('FlagChange: with mod-sequence and UIDVALIDITY', async () => {
    await append('Archive');
    await other.ok('select Archive');
    await client.ok(`notify set (personal ${ALL})`);
    await other.ok('store 1 +flags.silent (\\Seen)');
    expect((await told(1))[0]).toMatch(
      /^STATUS Archive \(UIDNEXT \d+ MESSAGES 1 UNSEEN 0 UIDVALIDITY \d+ HIGHESTMODSEQ \d+\)$/,
    );
    await client.ok('notify set (personal (MessageNew MessageExpunge))');
    await other.ok('store 1 +flags.silent (\\Flagged)');
    await client.ok('enable condstore');
    await append('Archive');
    expect((await told(1))[0]).toMatch(/^STATUS Archive \(UIDNEXT \d+ MESSAGES 2 HIGHESTMODSEQ \d+\)$/);
  });

  it('STATUS: how they are, before the answer; but the selected one', async () => {
    await append('Archive');
    await client.ok('select inbox');
    const plain = await client.ok('notify set status (mailboxes (inbox Archive) (MessageNew MessageExpunge))');
    expect(plain).toEqual([expect.stringMatching(/^STATUS Archive \(MESSAGES 1 UIDNEXT \d+ UIDVALIDITY \d+\)$/)]);
    const flags = await client.ok(
      `notify set status (selected ${ALL}) (mailboxes Archive ${ALL}) (personal (MailboxName))`,
    );
    expect(flags).toEqual([
      expect.stringMatching(/^STATUS Archive \(MESSAGES 1 UIDNEXT \d+ UIDVALIDITY \d+ HIGHESTMODSEQ \d+\)$/),
    ]);
    expect(await client.ok('notify set status (personal none)')).toEqual([]);
  });

  it('the first group that a mailbox belongs to decides', async () => {
    await client.ok('notify set (mailboxes Archive none) (personal (MessageNew MessageExpunge))');
    await append('Archive');
    await append('Junk');
    expect((await told(1))[0]).toMatch(/^STATUS Junk /);
    expect(await toldUntilNow()).toEqual([]);
  });

  it('the selected one is told of by messages only', async () => {
    await client.ok('select inbox');
    await client.ok(`notify set (selected (MessageNew MessageExpunge)) (personal ${ALL})`);
    await append('inbox');
    expect(await told(1)).toEqual(['1 EXISTS']);
    expect(await toldUntilNow('noop')).toEqual([]);
  });
});

describe('names and subscriptions', () => {
  it('MailboxName: made, renamed with all below, removed', async () => {
    await client.ok('notify set (personal (MailboxName))');
    await other.ok('create A/B');
    expect((await told(2)).sort()).toEqual(['LIST (\\HasChildren) "/" A', 'LIST (\\HasNoChildren) "/" A/B']);
    await other.ok('rename A C');
    expect((await told(2)).sort()).toEqual([
      'LIST (\\HasChildren) "/" C ("OLDNAME" (A))',
      'LIST (\\HasNoChildren) "/" C/B ("OLDNAME" (A/B))',
    ]);
    await other.ok('delete C/B');
    expect(await told(1)).toEqual(['LIST (\\NonExistent) "/" C/B']);
    await append('C');
    await client.ok('notify set (personal (MailboxName SubscriptionChange))');
    await other.ok('subscribe C');
    expect(await told(1)).toEqual(['LIST (\\HasNoChildren \\Subscribed) "/" C']);
    await other.ok('delete C');
    expect(await told(1)).toEqual(['LIST (\\NonExistent \\Subscribed) "/" C']);
    await other.ok('create D');
    expect(await told(1)).toEqual(['LIST (\\HasNoChildren) "/" D']);
  });

  it('SubscriptionChange: on and off', async () => {
    await client.ok('notify set (subtree Junk (SubscriptionChange))');
    await other.ok('unsubscribe Junk');
    expect(await told(1)).toEqual(['LIST (\\HasNoChildren \\Junk) "/" Junk']);
    await other.ok('unsubscribe Drafts');
    await other.ok('subscribe Junk');
    expect(await told(1)).toEqual(['LIST (\\HasNoChildren \\Junk \\Subscribed) "/" Junk']);
    await other.ok('rename Junk Spam');
    expect(await toldUntilNow()).toEqual([]);
  });

  it('a mailbox that is renamed into or out of what was asked for', async () => {
    await other.ok('create Elsewhere');
    await client.ok('notify set (mailboxes Here (MailboxName))');
    await other.ok('rename Elsewhere Here');
    expect(await told(1)).toEqual(['LIST (\\HasNoChildren) "/" Here ("OLDNAME" (Elsewhere))']);
    await other.ok('rename Here Gone');
    expect(await told(1)).toEqual(['LIST (\\HasNoChildren) "/" Gone ("OLDNAME" (Here))']);
  });

  it('names are written as the client reads them', async () => {
    await client.ok('notify set (personal (MailboxName))');
    await other.ok('create Entw&APw-rfe');
    expect((await told(1))[0]).toContain('Entw&APw-rfe');
    await client.ok('enable utf8=accept');
    await other.ok('delete Entw&APw-rfe');
    expect(Buffer.from((await told(1))[0] ?? '', 'latin1').toString()).toContain('"Entwürfe"');
  });
});

describe('what is refused', () => {
  it('grammar, and events that do not go together', async () => {
    for (const wrong of [
      '',
      'all',
      'set',
      'set status',
      'set ()',
      'set (selected)',
      'set (selected ())',
      'set (nothing (MailboxName))',
      'set (selected (MessageNew))',
      'set (selected (MessageExpunge))',
      'set (selected (FlagChange))',
      'set (personal (AnnotationChange MessageNew))',
      `set (selected ${ALL}) (selected-delayed none)`,
      'set (selected (MailboxName))',
      'set (selected-delayed (ServerMetadataChange))',
      'set (personal (MessageNew (uid) MessageExpunge))',
      'set (selected (MessageNew () MessageExpunge))',
      'set (selected (MessageNew (nonsense) MessageExpunge))',
      'set (mailboxes () (MailboxName))',
      'set (subtree (MailboxName))',
      'none (personal none)',
    ]) {
      await client.bad(`notify ${wrong}`);
      await client.ok('noop');
    }
  });

  it('events that nobody here knows, with those that are known', async () => {
    for (const unknown of [
      '(selected (MessageNew MessageExpunge AnnotationChange))',
      '(personal (MailboxMetadataChange))',
      '(personal (MailboxName ServerMetadataChange))',
      '(personal (TeaTime))',
    ])
      expect(await client.no(`notify set ${unknown}`)).toContain(
        '[BADEVENT (MessageNew MessageExpunge FlagChange MailboxName SubscriptionChange)]',
      );
  });

  it('too many groups or names', async () => {
    const names = (count: number): string => Array.from({ length: count }, (_one, n) => `n${n}`).join(' ');
    const groups = (count: number): string => Array.from({ length: count }, () => '(personal none)').join(' ');
    await client.ok(`notify set (mailboxes (${names(MAX_NOTIFY_NAMES)}) (MailboxName))`);
    await client.ok(`notify set ${groups(MAX_NOTIFY_GROUPS)}`);
    for (const large of [groups(MAX_NOTIFY_GROUPS + 1), `(mailboxes (${names(MAX_NOTIFY_NAMES + 1)}) (MailboxName))`])
      expect(await client.no(`notify set ${large}`)).toMatch(/^\[NOTIFICATIONOVERFLOW\]/);
  });

  it('before the login', async () => {
    await client.ok('unauthenticate');
    await client.bad('notify none');
    await append('inbox');
    expect(await toldUntilNow()).toEqual([]);
  });
});

describe('too much at once', () => {
  it('ends all telling; as many as are allowed do not', async () => {
    await other.ok('create Tree');
    for (let n = 1; n < MAX_NOTIFICATIONS; n += 1) await other.ok(`create Tree/n${n}`);
    await client.ok('notify set (personal (MailboxName))');
    await other.ok('rename Tree Wood');
    expect(await told(MAX_NOTIFICATIONS)).toHaveLength(MAX_NOTIFICATIONS);
    await other.ok('create Wood/more');
    expect((await told(1))[0]).toContain('Wood/more');
    await other.ok('rename Wood Tree');
    expect((await told(1))[0]).toMatch(/^OK \[NOTIFICATIONOVERFLOW\]/);
    await other.ok('create Silent');
    expect(await toldUntilNow()).toEqual([]);
  });
});

describe('NOTIFY', () => {
  it('is told of changes that another process made', async () => {
    await using second = await site.serve();
    using far = await site.client(second.port);
    await client.ok('notify set (personal (MessageNew MessageExpunge))');
    await far.ok('append Archive ', letter('From afar'));
    expect((await told(1))[0]).toMatch(/^STATUS Archive /);
  });

  it('replaces what was asked for before', async () => {
    await client.ok('notify set (personal (MailboxName))');
    await client.ok('notify set (personal (SubscriptionChange))');
    await other.ok('rename Junk Spam');
    await other.ok('unsubscribe Spam');
    expect(await told(1)).toEqual(['LIST (\\HasNoChildren \\Junk) "/" Spam']);
  });
});
