/** Sessions and mailboxes, said line by line to the real server (RFC 3501 §6.1–§6.3 and the extensions around them). */
import { describe, expect, it } from 'vitest';
import { forEachTest } from './support/each-session.ts';
import { ImapClient } from './support/imap-client.ts';
import { type MailSite, PASSWORD, plainMail } from './support/mail-site.ts';

const MAILBOX = 'bob@corp.test';

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

const secure = (): Promise<ImapClient> => ImapClient.open({ port: site.ports.imaps, ca: site.ca });
const plain = (): Promise<ImapClient> => ImapClient.open({ port: site.ports.imap, ca: site.ca, implicitTls: false });
const token = (...parts: string[]): string => Buffer.from(parts.join('\0')).toString('base64');
const listed = (lines: string[]): string[] => lines.map((line) => line.replace(/^(?:LIST|LSUB) /, ''));

describe('before the login', () => {
  it('greets with its capabilities and offers no login without TLS', async () => {
    using open = await plain();
    expect(open.greeting).toMatch(/^\* OK \[CAPABILITY IMAP4rev1 .*STARTTLS LOGINDISABLED\]/);
    expect(open.greeting).not.toMatch(/AUTH=/);
    expect(await open.no(`login ${MAILBOX} "${PASSWORD}"`)).toContain('[PRIVACYREQUIRED]');
    expect(await open.no(`authenticate plain ${token('', MAILBOX, PASSWORD)}`)).toContain('[PRIVACYREQUIRED]');
    await open.bad('select inbox');
  });

  it('logs in after STARTTLS, and forgets what was sent behind it', async () => {
    using open = await plain();
    open.send('s1 starttls\r\ns2 login smuggled in\r\n');
    expect(await open.line()).toMatch(/^s1 OK/);
    await open.upgrade();
    expect((await open.ok('capability'))[0]).toMatch(/AUTH=PLAIN/);
    await open.bad('starttls');
    await open.ok(`login ${MAILBOX} "${PASSWORD}"`);
    await open.ok('select inbox');
  });

  it.each([
    ['LOGIN with quoted strings', (c: ImapClient) => c.ok(`login "${MAILBOX}" "${PASSWORD}"`)],
    ['LOGIN with literals', (c: ImapClient) => c.ok('login ', Buffer.from(MAILBOX), ' ', Buffer.from(PASSWORD))],
    ['LOGIN with small literals at once', (c: ImapClient) => c.ok(`login {13+}\r\n${MAILBOX} {13+}\r\n${PASSWORD}`)],
    ['the SMIMP spelling', (c: ImapClient) => c.ok(`login bob#corp.test "${PASSWORD}"`)],
    ['capital letters', (c: ImapClient) => c.ok(`login Bob@Corp.Test "${PASSWORD}"`)],
    [
      'AUTHENTICATE PLAIN with the response at once',
      (c: ImapClient) => c.ok(`authenticate PLAIN ${token('', MAILBOX, PASSWORD)}`),
    ],
    [
      'AUTHENTICATE PLAIN for oneself',
      (c: ImapClient) => c.ok(`authenticate plain ${token(MAILBOX, MAILBOX, PASSWORD)}`),
    ],
  ])('takes %s', async (_name, login) => {
    using stranger = await secure();
    await login(stranger);
    expect((await stranger.ok('capability'))[0]).toContain('LITERAL+');
  });

  it('asks for the response of AUTHENTICATE, which can be cancelled', async () => {
    using stranger = await secure();
    stranger.send('a1 authenticate plain\r\n');
    expect(await stranger.line()).toBe('+ ');
    stranger.send('*\r\n');
    expect(await stranger.line()).toMatch(/^a1 BAD/);
    stranger.send('a2 authenticate plain\r\n');
    await stranger.line();
    stranger.send('?!\r\n');
    expect(await stranger.line()).toMatch(/^a2 BAD/);
    stranger.send('a3 authenticate plain\r\n');
    await stranger.line();
    stranger.send(`${token('', MAILBOX, PASSWORD)}\r\n`);
    expect(await stranger.line()).toMatch(/^a3 OK/);
  });

  it('refuses what is no login', async () => {
    using stranger = await secure();
    await stranger.no('authenticate cram-md5');
    await stranger.bad(`authenticate plain ${token('only', 'two')}${'A'.repeat(4)}`).catch(() => undefined);
    expect(await stranger.no(`authenticate plain ${token('carol@corp.test', MAILBOX, PASSWORD)}`)).toContain(
      '[AUTHORIZATIONFAILED]',
    );
    for (const command of [
      'list "" *',
      'namespace',
      'enable condstore',
      'idle',
      'fetch 1 flags',
      'append inbox {1+}\r\nx',
    ])
      await stranger.command(command).then(({ status }) => expect(status).not.toBe('OK'));
  });

  it('answers a wrong password and an unknown user alike, and hangs up after five', async () => {
    using stranger = await secure();
    const wrong = await stranger.no(`login ${MAILBOX} nonsense`);
    expect(await stranger.no('login nobody@corp.test nonsense')).toBe(wrong);
    expect(await stranger.no('login "not an address" nonsense')).toBe(wrong);
    expect(wrong).toContain('[AUTHENTICATIONFAILED]');
    await stranger.no('login nobody2@corp.test nonsense');
    stranger.send('x login nobody3@corp.test nonsense\r\n');
    expect(await stranger.line()).toMatch(/^\* BYE/);
    expect(await stranger.line()).toMatch(/^x NO/);
    expect(await stranger.line()).toBe('<closed>');
  });

  it('logs no address and no password', () => {
    expect(site.log.join('\n')).toContain('login_failed');
    expect(site.log.join('\n')).not.toMatch(/bob|nobody|nonsense|correct horse/);
  });
});

describe('a session', () => {
  it('has the ordinary commands', async () => {
    await client.ok('noop');
    await client.bad('check');
    expect(await client.ok('namespace')).toEqual(['NAMESPACE (("" "/")) NIL NIL']);
    expect((await client.ok('id ("name" "test" "version" NIL)'))[0]).toContain('"smimp-bridge"');
    await client.ok('id nil');
    expect(await client.ok('enable x-nothing')).toEqual(['ENABLED']);
    await client.bad(`login ${MAILBOX} "${PASSWORD}"`);
    expect((await client.ok('capability'))[0]?.split(' ')).toEqual(
      expect.arrayContaining([
        'IDLE',
        'UIDPLUS',
        'MOVE',
        'UNSELECT',
        'CHILDREN',
        'SPECIAL-USE',
        'LITERAL+',
        'SASL-IR',
        'ENABLE',
        'ID',
        'NAMESPACE',
        'CONDSTORE',
      ]),
    );
  });

  it('ends with LOGOUT', async () => {
    client.send('l logout\r\n');
    expect(await client.line()).toMatch(/^\* BYE/);
    expect(await client.line()).toMatch(/^l OK/);
    expect(await client.line()).toBe('<closed>');
  });

  it('says BAD to what is no command, echoes none of it, and takes the next one', async () => {
    expect(await client.bad('frobnicate <script>')).not.toContain('script');
    await client.bad('fetch');
    await client.bad('select');
    client.send('\r\n');
    await client.ok('noop');
    client.send(' broken\r\n');
    expect(await client.line()).toMatch(/^\* BAD/);
    await client.ok('noop');
  });

  it('answers pipelined commands in order', async () => {
    client.send('p1 noop\r\np2 list "" ""\r\np3 select inbox\r\np4 close\r\n');
    const tags: string[] = [];
    while (tags.length < 4) {
      const line = await client.line();
      if (line.startsWith('p')) tags.push(line.slice(0, 5));
    }
    expect(tags).toEqual(['p1 OK', 'p2 OK', 'p3 OK', 'p4 OK']);
  });
});

describe('mailboxes', () => {
  it('has the special ones from the first login', async () => {
    expect(listed(await client.ok('list "" *'))).toEqual([
      '(\\HasNoChildren) "/" INBOX',
      '(\\HasNoChildren \\Archive) "/" Archive',
      '(\\HasNoChildren \\Drafts) "/" Drafts',
      '(\\HasNoChildren \\Junk) "/" Junk',
      '(\\HasNoChildren \\Sent) "/" Sent',
      '(\\HasNoChildren \\Trash) "/" Trash',
    ]);
    expect(listed(await client.ok('list (special-use) "" *'))).toHaveLength(5);
    expect(listed(await client.ok('list "" %  return (special-use)'))).toHaveLength(6);
    expect(listed(await client.ok('list "" ""'))).toEqual(['(\\Noselect) "/" ""']);
  });

  it('makes, renames and deletes them at any depth', async () => {
    await client.ok('create Work/2026/Letters');
    expect(await client.no('create Work')).toContain('[ALREADYEXISTS]');
    await client.ok('create "Work/Open Ends/"');
    expect(listed(await client.ok('list "" Work*'))).toEqual([
      '(\\HasChildren) "/" Work',
      '(\\HasChildren) "/" Work/2026',
      '(\\HasNoChildren) "/" Work/2026/Letters',
      '(\\HasNoChildren) "/" "Work/Open Ends"',
    ]);
    expect(listed(await client.ok('list "" Work/%'))).toHaveLength(2);
    expect(listed(await client.ok('list Work/ %'))).toHaveLength(2);
    expect(listed(await client.ok('list "" (Work %/%/%)'))).toHaveLength(2);
    await client.ok('rename Work/2026 Past/Work');
    expect(listed(await client.ok('list "" Past*'))).toEqual([
      '(\\HasChildren) "/" Past',
      '(\\HasChildren) "/" Past/Work',
      '(\\HasNoChildren) "/" Past/Work/Letters',
    ]);
    expect(await client.no('rename Past Past/Work/Inside')).toContain('[CANNOT]');
    expect(await client.no('rename Past Work')).toContain('[ALREADYEXISTS]');
    expect(await client.no('rename Nowhere Else')).toContain('[NONEXISTENT]');
    expect(await client.no('delete Past/Work')).toContain('below it');
    await client.ok('delete Past/Work/Letters');
    await client.ok('delete Past/Work');
    expect(await client.no('delete Past/Work')).toContain('[NONEXISTENT]');
    expect(await client.no('delete inbox')).toContain('[CANNOT]');
    expect(await client.no('create INBOX')).toMatch(/\[(CANNOT|ALREADYEXISTS)\]/);
  });

  it('writes names in modified UTF-7 and gives each a name for other clients', async () => {
    await client.ok('create "Entw&APw-rfe/&U,BTFw-"');
    expect(listed(await client.ok('list "" Entw*'))).toEqual([
      '(\\HasChildren) "/" Entw&APw-rfe',
      '(\\HasNoChildren) "/" Entw&APw-rfe/&U,BTFw-',
    ]);
    await client.ok('create "A&-B"');
    await client.ok('create "entwurfe"');
    await client.no('create "bad&name"');
    const names = await site.opened.db
      .selectFrom('folder')
      .select('folder_name')
      .where('folder_name', 'is not', null)
      .execute();
    for (const { folder_name } of names) expect(folder_name).toMatch(/^[a-z0-9-]{1,64}$/);
    expect(new Set(names.map(({ folder_name }) => folder_name)).size).toBe(names.length);
  });

  it('bounds depth and length of names', async () => {
    const deep = (levels: number): string => Array.from({ length: levels }, (_, n) => `l${n}`).join('/');
    await client.ok(`create ${deep(16)}`);
    expect(await client.no(`create ${deep(17)}`)).toContain('[LIMIT]');
    await client.ok(`create ${'n'.repeat(255)}`);
    expect(await client.no(`create ${'m'.repeat(256)}`)).toContain('[CANNOT]');
    expect(await client.no('create a//b')).toContain('[CANNOT]');
    expect(await client.no('rename Drafts l0/l1/l2/l3/l4/l5/l6/l7/l8/l9/l10/l11/l12/l13/l14/l15/x')).toContain(
      '[LIMIT]',
    );
  });

  it('gives one mailbox each special use', async () => {
    expect(await client.no('create Mine (use (\\Sent))')).toContain('[USEATTR]');
    expect(await client.no('create Mine (use (\\Flagged))')).toContain('[USEATTR]');
    await client.ok('delete Sent');
    await client.ok('create Mine (use (\\Sent))');
    expect(listed(await client.ok('list "" Mine'))).toEqual(['(\\HasNoChildren \\Sent) "/" Mine']);
  });

  it('keeps subscriptions, and shows what lies below what % reaches', async () => {
    await client.ok('create a/b/c');
    await client.ok('subscribe a/b/c');
    expect(listed(await client.ok('lsub "" %')).filter((line) => line.endsWith(' a'))).toEqual(['(\\Noselect) "/" a']);
    expect(listed(await client.ok('lsub "" *')).filter((line) => / a/.test(line))).toEqual(['() "/" a/b/c']);
    expect(listed(await client.ok('lsub "a/" %'))).toEqual(['(\\Noselect) "/" a/b']);
    expect(listed(await client.ok('list (subscribed) "" a*'))).toEqual(['(\\HasNoChildren \\Subscribed) "/" a/b/c']);
    await client.ok('subscribe a');
    expect(listed(await client.ok('lsub "" %')).filter((line) => line.endsWith(' a'))).toEqual(['() "/" a']);
    expect(await client.no('subscribe nowhere')).toContain('[NONEXISTENT]');
  });

  it('keeps UIDVALIDITY while a mailbox lives, and gives another to the next of its name', async () => {
    await client.ok('create Box');
    const validity = async (name: string): Promise<string> =>
      /UIDVALIDITY (\d+)/.exec((await client.ok(`status ${name} (uidvalidity)`))[0] ?? '')?.[1] ?? '';
    const first = await validity('Box');
    await client.ok('rename Box Crate');
    expect(await validity('Crate')).toBe(first);
    await client.ok('delete Crate');
    await client.ok('create Crate');
    expect(Number(await validity('Crate'))).toBeGreaterThan(Number(first));
  });

  it('moves the messages when INBOX is renamed, and keeps INBOX', async () => {
    await client.ok('append inbox ', plainMail({ Subject: 'One' }, 'text'));
    await client.ok('create inbox/Below');
    await client.ok('rename inbox Old');
    expect((await client.ok('status inbox (messages)'))[0]).toContain('MESSAGES 0');
    expect((await client.ok('status Old (messages unseen recent uidnext)'))[0]).toMatch(
      /STATUS Old \(MESSAGES 1 UNSEEN 1 RECENT 1 UIDNEXT \d+\)/,
    );
    expect(listed(await client.ok('list "" INBOX*'))).toHaveLength(2);
  });

  it('selects, examines, closes and leaves', async () => {
    const selected = await client.command('select INBOX');
    expect(selected.text).toContain('[READ-WRITE]');
    expect(selected.lines).toEqual([
      'FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft $Forwarded $MDNSent $Junk $NotJunk $Phishing $SmimpVerified $SmimpUnverified $SmimpKeyChanged $SmimpRetiredKey $ViaLegacy)',
      expect.stringMatching(
        /^OK \[PERMANENTFLAGS \(\\Answered \\Flagged \\Deleted \\Seen \\Draft .*\$Phishing \\\*\)\]/,
      ),
      '0 EXISTS',
      '0 RECENT',
      expect.stringMatching(/^OK \[UIDVALIDITY \d+\]/),
      expect.stringMatching(/^OK \[UIDNEXT \d+\]/),
      expect.stringMatching(/^OK \[HIGHESTMODSEQ [1-9]\d*\]/),
      expect.stringMatching(/^OK \[MAILBOXID \(F\d+\)\]/),
    ]);
    const examined = await client.command('examine inbox');
    expect(examined.text).toContain('[READ-ONLY]');
    expect(examined.lines.join()).toContain('[PERMANENTFLAGS ()]');
    await client.ok('close');
    await client.bad('close');
    await client.ok('select Drafts');
    await client.ok('unselect');
    await client.bad('fetch 1 flags');
    await client.ok('select Drafts');
    expect(await client.no('select nowhere')).toContain('[NONEXISTENT]');
    await client.bad('unselect');
    await client.no('status nowhere (messages)');
    await client.bad('status inbox ()');
  });

  it('deletes a mailbox with its messages and their ciphertext', async () => {
    await client.ok('create Box');
    await client.ok('append Box ', plainMail({}, 'text'));
    await client.ok('select Box');
    await client.ok('delete Box');
    await client.bad('fetch 1 flags');
    expect(await site.opened.db.selectFrom('message').select('seq').execute()).toEqual([]);
  });
});
