/** IMAP4rev2 (RFC 9051) once it is turned on, said line by line to the real server. */
import { beforeEach, describe, expect, it } from 'vitest';
import { forEachTest } from './support/each-session.ts';
import { ImapClient } from './support/imap-client.ts';
import { type MailSite, PASSWORD, plainMail } from './support/mail-site.ts';

let site: MailSite;
let client: ImapClient;
let old: ImapClient;
forEachTest(
  async (given) => {
    site = given;
    old = await site.client();
    client = await site.client();
    expect(await client.ok('enable imap4rev2')).toEqual(['ENABLED IMAP4rev2']);
    return [client, old];
  },
  { withoutFolders: true },
);

/** As it goes over the wire: one character for each byte. */
const wire = (text: string): string => Buffer.from(text, 'utf8').toString('latin1');
const letter = (subject: string, text = 'text'): Buffer => plainMail({ Subject: subject }, text);
const append = (...subjects: string[]): Promise<unknown> =>
  subjects.reduce<Promise<unknown>>(
    (before, subject) => before.then(() => client.ok('append inbox ', letter(subject))),
    Promise.resolve(),
  );
const esearch = async (command: string): Promise<string> => {
  const lines = await client.ok(command);
  expect(lines.filter((line) => line.startsWith('SEARCH'))).toEqual([]);
  return (lines.find((line) => line.startsWith('ESEARCH')) ?? '').replace(/^ESEARCH \(TAG "t\d+"\) ?/, '');
};

describe('ENABLE IMAP4rev2', () => {
  it('is announced beside IMAP4rev1 from the greeting on', async () => {
    using plain = await ImapClient.open({ port: site.ports.imap, ca: site.ca, implicitTls: false });
    using secure = await ImapClient.open({ port: site.ports.imaps, ca: site.ca });
    for (const { greeting } of [plain, secure]) expect(greeting).toContain('[CAPABILITY IMAP4rev1 IMAP4rev2 ');
    expect((await client.ok('capability'))[0]).toContain(' IMAP4rev1 IMAP4rev2 ');
  });

  it('announces all that is part of it for those who do not turn it on', async () => {
    const [line = ''] = await client.ok('capability');
    const announced = new Set(line.split(' '));
    const folded = ['NAMESPACE', 'UNSELECT', 'UIDPLUS', 'ESEARCH', 'SEARCHRES', 'ENABLE', 'IDLE', 'SASL-IR'];
    const more = [
      'LIST-EXTENDED',
      'LIST-STATUS',
      'MOVE',
      'LITERAL+',
      'BINARY',
      'SPECIAL-USE',
      'STATUS=SIZE',
      'CHILDREN',
    ];
    expect([...folded, ...more].filter((name) => !announced.has(name))).toEqual([]);
  });

  it('is named once, ignores what is not known, and changes no capability', async () => {
    const before = await client.ok('capability');
    expect(await client.ok('enable imap4rev2 x-good-idea condstore')).toEqual(['ENABLED CONDSTORE']);
    expect(await client.ok('enable idle')).toEqual(['ENABLED']);
    expect(await client.ok('capability')).toEqual(before);
    await client.bad('enable');
  });

  it('takes effect for what is sent behind it at once', async () => {
    old.send(`a enable imap4rev2\r\nb create "${wire('ü')}"\r\nc list "" "${wire('ü')}"\r\n`);
    expect(await old.line()).toBe('* ENABLED IMAP4rev2');
    expect(await old.line()).toMatch(/^a OK/);
    expect(await old.line()).toMatch(/^b OK/);
    expect(await old.line()).toBe(`* LIST (\\HasNoChildren) "/" "${wire('ü')}"`);
  });

  it('needs a login, and ends with it', async () => {
    using stranger = await ImapClient.open({ port: site.ports.imaps, ca: site.ca });
    await stranger.bad('enable imap4rev2');
    await client.ok('unauthenticate');
    await client.ok(`login bob@corp.test "${PASSWORD}"`);
    await client.ok('select inbox');
    expect(await client.search('all')).toEqual([]);
    expect((await client.ok('search all'))[0]).toBe('SEARCH');
  });
});

describe('SELECT and EXAMINE', () => {
  it.each(['select', 'examine'])('%s tells of the mailbox, and of nothing recent', async (command) => {
    await append('One');
    const { lines, text } = await client.command(`${command} INBOX`);
    const kinds = lines.map((line) => /^(?:OK \[(\w+)|(?:\d+ )?(\w+))/.exec(line)?.slice(1).join(''));
    expect(new Set(kinds)).toEqual(
      new Set(['FLAGS', 'EXISTS', 'LIST', 'PERMANENTFLAGS', 'UIDVALIDITY', 'UIDNEXT', 'HIGHESTMODSEQ', 'MAILBOXID']),
    );
    expect(lines).toContain('LIST (\\HasNoChildren \\Subscribed) "/" INBOX');
    expect(text).toMatch(command === 'select' ? /^\[READ-WRITE\]/ : /^\[READ-ONLY\]/);
    expect(lines.join()).not.toMatch(/RECENT|UNSEEN|Recent/);
  });

  it('tells what a mailbox is for, and whether others lie in it', async () => {
    await client.ok('create Trash/Old');
    expect((await client.ok('select Trash')).join('|')).toMatch(/LIST \(\\HasChildren \\Trash[^)]*\) "\/" Trash/);
  });

  it('names the keywords that programs know', async () => {
    const lines = await client.ok('select inbox');
    const known = '\\$Forwarded \\$MDNSent \\$Junk \\$NotJunk \\$Phishing';
    expect(lines.find((line) => line.startsWith('FLAGS'))).toMatch(new RegExp(known));
    expect(lines.find((line) => line.includes('PERMANENTFLAGS'))).toMatch(new RegExp(`${known} \\\\\\*`));
    await append('One');
    await client.ok('store 1 +flags ($Junk $Forwarded)');
    expect(await esearch('search keyword $junk')).toBe('ALL 1');
    await client.ok('move 1 Archive');
    await client.ok('select Archive');
    expect(await client.ok('fetch 1 flags')).toEqual(['1 FETCH (FLAGS ($Junk $Forwarded))']);
  });

  it('closes the one before with CLOSED, also when the next cannot be opened', async () => {
    expect((await client.ok('select inbox')).join()).not.toContain('CLOSED');
    expect((await client.ok('select Drafts'))[0]).toMatch(/^OK \[CLOSED\]/);
    const { status, text, lines } = await client.command('select Nowhere');
    expect(`${status} ${text}`).toMatch(/^NO \[NONEXISTENT\]/);
    expect(lines[0]).toMatch(/^OK \[CLOSED\]/);
    await client.bad('fetch 1 flags');
    await client.ok('select inbox');
    await client.ok('unselect');
    expect((await client.ok('select inbox')).join()).not.toContain('CLOSED');
  });
});

describe('names', () => {
  it('stand in UTF-8, an ampersand as itself', async () => {
    await client.ok(`create "${wire('Müll & Co')}"`);
    expect(await client.ok(`list "" "${wire('Mü')}*"`)).toEqual([`LIST (\\HasNoChildren) "/" "${wire('Müll & Co')}"`]);
    expect(await old.ok('list "" M*')).toEqual(['LIST (\\HasNoChildren) "/" "M&APw-ll &- Co"']);
    expect(await client.no('create {1+}\r\n\xff')).toContain('[CANNOT]');
    await client.bad('create "\xff"');
  });

  it('that are not normalized are told by OLDNAME', async () => {
    const [composed, decomposed] = [wire('Übung'), wire('Übung'.normalize('NFD'))];
    const told = (lines: string[]): string => lines.find((line) => line.startsWith('LIST')) ?? '';
    expect(told(await client.ok(`create "${decomposed}"`))).toBe(
      `LIST (\\HasNoChildren) "/" "${composed}" ("OLDNAME" ("${decomposed}"))`,
    );
    expect(told(await client.ok(`select "${decomposed}"`))).toContain(`"${composed}" ("OLDNAME" ("${decomposed}"))`);
    expect(told(await client.ok(`select "${composed}"`))).not.toContain('OLDNAME');
    expect(told(await client.ok(`append "${decomposed}" `, letter('x')))).toContain('OLDNAME');
    expect(told(await client.ok(`delete "${decomposed}"`))).toBe(
      `LIST (\\NonExistent) "/" "${composed}" ("OLDNAME" ("${decomposed}"))`,
    );
    expect(await client.ok('create plain')).toEqual([]);
    expect(await client.ok('delete plain')).toEqual([]);
  });

  it('that are new ones are told with the old one', async () => {
    await client.ok('create old/inner');
    expect(await client.ok(`rename old "${wire('neü')}"`)).toEqual([
      `LIST (\\HasChildren) "/" "${wire('neü')}" ("OLDNAME" (old))`,
    ]);
    expect(await old.ok('rename "ne&APw-" again')).toEqual([]);
    await append('One');
    expect(await client.ok('rename inbox moved')).toEqual([]);
    expect(await client.ok('status moved (messages)')).toEqual(['STATUS moved (MESSAGES 1)']);
    await client.ok('unsubscribe never-there');
  });

  it('NIL is a name like others', async () => {
    await client.ok('create NIL');
    expect(await client.ok('list "" NIL')).toEqual(['LIST (\\HasNoChildren) "/" "NIL"']);
  });
});

describe('LIST', () => {
  it('takes its options and several patterns', async () => {
    await client.ok('create a/b');
    await client.ok('subscribe a/b');
    expect(await client.ok('list (subscribed recursivematch) "" a return (children)')).toEqual([
      'LIST (\\HasChildren) "/" a ("CHILDINFO" ("SUBSCRIBED"))',
    ]);
    expect(await client.ok('list "" (a "a/%") return (status (messages size deleted))')).toEqual([
      'LIST (\\HasChildren) "/" a',
      'LIST (\\HasNoChildren) "/" a/b',
      'STATUS a (MESSAGES 0 SIZE 0 DELETED 0)',
      'STATUS a/b (MESSAGES 0 SIZE 0 DELETED 0)',
    ]);
    expect(await client.ok('list "" ""')).toEqual(['LIST (\\Noselect) "/" ""']);
    expect(await client.ok('namespace')).toEqual(['NAMESPACE (("" "/")) NIL NIL']);
  });
});

describe('STATUS', () => {
  it('tells SIZE and DELETED, of the selected mailbox too', async () => {
    await append('One', 'Two');
    await client.ok('select inbox');
    await client.ok('store 1 +flags (\\Deleted)');
    const sizes = (await client.ok('fetch 1:* rfc822.size')).map((line) => Number(/SIZE (\d+)/.exec(line)?.[1]));
    expect(await client.ok('status inbox (messages size deleted unseen)')).toEqual([
      `STATUS INBOX (MESSAGES 2 SIZE ${sizes.reduce((a, b) => a + b)} DELETED 1 UNSEEN 2)`,
    ]);
  });
});

describe('SEARCH', () => {
  beforeEach(async () => {
    await append('One', 'Two', 'Three');
    await client.ok('select inbox');
  });

  it.each([
    ['search all', 'ALL 1:3'],
    ['search flagged', ''],
    ['search return () 2:3', 'ALL 2:3'],
    ['search return (count) flagged', 'COUNT 0'],
    ['search return (min max count) all', 'MIN 1 MAX 3 COUNT 3'],
    ['search charset utf-8 subject two', 'ALL 2'],
    ['search not answered not deleted larger 1', 'ALL 1:3'],
    ['search smaller 9000000000', 'ALL 1:3'],
    ['search larger 9000000000', ''],
  ])('%s is answered by ESEARCH', async (command, expected) => {
    expect(await esearch(command)).toBe(expected);
  });

  it('by UID says so', async () => {
    expect(await esearch('uid search subject two')).toMatch(/^UID ALL \d+$/);
    expect(await esearch('uid search flagged')).toBe('UID');
  });

  it('keeps its result, and forgets it when it fails', async () => {
    expect(await client.ok('search return (save) 2:3')).toEqual([]);
    expect(await esearch('search return () $')).toBe('ALL 2:3');
    expect(await client.no('search return (save) charset x-none all')).toContain('[BADCHARSET');
    expect(await client.ok('fetch $ uid').then((lines) => lines.length)).toBe(2);
  });

  it('is answered by SEARCH where it was not turned on', async () => {
    await old.ok('select inbox');
    expect(await old.ok('search all')).toEqual(['SEARCH 1 2 3']);
  });
});

describe('messages', () => {
  beforeEach(async () => {
    await append('One', 'Two');
    await client.ok('select inbox');
  });

  it('are never recent', async () => {
    expect(await client.ok('fetch 1:* flags')).toEqual(['1 FETCH (FLAGS ())', '2 FETCH (FLAGS ())']);
    await client.ok('append inbox ', letter('Three'));
    expect((await client.ok('noop')).join()).not.toContain('RECENT');
    await old.ok('append inbox ', letter('Four'));
    expect(await client.ok('noop')).toEqual(['4 EXISTS']);
    expect(await esearch('search recent')).toBe('');
  });

  it('that change are told with their UIDs', async () => {
    await old.ok('select inbox');
    await old.ok('store 2 +flags (\\Flagged)');
    expect((await client.ok('noop'))[0]).toMatch(/^2 FETCH \(UID \d+ FLAGS \(\\Flagged\)\)$/);
  });

  it('are moved and copied with COPYUID, to mailboxes that are there', async () => {
    expect(await client.okText('copy 1 Archive')).toMatch(/^\[COPYUID \d+ \d+ \d+\]/);
    const { lines, text } = await client.command('move 1 Archive');
    expect(lines[0]).toMatch(/^OK \[COPYUID \d+ \d+ \d+\]/);
    expect(lines[1]).toBe('1 EXPUNGE');
    expect(text).toBe('MOVE completed');
    for (const command of ['copy 1 Nowhere', 'move 1 Nowhere', 'uid move 1:* Nowhere'])
      expect(await client.no(command)).toContain('[TRYCREATE]');
    expect(await client.no('append Nowhere ', letter('x'))).toContain('[TRYCREATE]');
    expect(await client.ok('uid move 4294967295 Archive')).toEqual([]);
  });

  it('are expunged by UID, and only those that are marked', async () => {
    const uids = (await client.ok('fetch 1:* uid')).map((line) => /UID (\d+)/.exec(line)?.[1]);
    await client.ok('store 1:2 +flags.silent (\\Deleted)');
    expect(await client.ok(`uid expunge ${uids[1]}`)).toEqual(['2 EXPUNGE']);
    expect(await client.ok('close')).toEqual([]);
    expect(await client.ok('status inbox (messages)')).toEqual(['STATUS INBOX (MESSAGES 0)']);
  });

  it('give their parts decoded', async () => {
    const [line = ''] = await client.ok('fetch 1 (binary.peek[1] binary.size[1] body.peek[1]<0.2>)');
    expect(line).toMatch(/BINARY\[1\] \{\d+\}\r\ntext/);
    expect(line).toContain('BODY[1]<0> {2}\r\nte');
    expect(await client.ok('fetch 1 fast')).toHaveLength(1);
    for (const macro of ['(fast)', '(all uid)', 'fast uid']) await client.bad(`fetch 1 ${macro}`);
  });

  it('tell what is not there by NIL, and what is empty by nothing', async () => {
    await client.ok('append inbox ', Buffer.from('Subject:\r\nTo:\r\nFrom: bob@corp.test\r\n\r\n'));
    const [line = ''] = await client.ok('fetch 3 (envelope body.peek[7])');
    expect(line).toMatch(/ENVELOPE \(NIL "" \(\(NIL NIL "bob" "corp.test"\)\) .* NIL NIL NIL NIL NIL\)/);
    expect(line).toContain('BODY[7] NIL');
  });

  it('show parameters whole that were sent in pieces', async () => {
    const type = ['Content-Type: text/plain; a*0="one "; a*1=two;', " b*0*=utf-8''%C3%BC; b*1=%; c*1=lonely"].join(
      '\r\n',
    );
    await client.ok('append inbox ', Buffer.from(`Subject: x\r\nMIME-Version: 1.0\r\n${type}\r\n\r\ntext\r\n`));
    const [line = ''] = await client.ok('fetch 3 bodystructure');
    expect(line).toContain(`"a" "one two" "b*" "utf-8''%C3%BC%25" "c*1" "lonely"`);
  });
});

describe('response codes', () => {
  it.each<[command: string, code: string]>([
    ['create Drafts', 'ALREADYEXISTS'],
    ['create inbox', 'CANNOT'],
    ['create a//b', 'CANNOT'],
    ['delete Nowhere', 'NONEXISTENT'],
    ['delete parent', 'HASCHILDREN'],
    ['rename Nowhere x', 'NONEXISTENT'],
    ['rename Drafts Sent', 'ALREADYEXISTS'],
    ['status Nowhere (messages)', 'NONEXISTENT'],
    ['create x (use (\\Trash))', 'USEATTR'],
    ['search charset x-none all', 'BADCHARSET'],
  ])('%s says %s', async (command, code) => {
    await client.ok('create parent/child');
    await client.ok('select inbox');
    expect(await client.no(command)).toContain(`[${code}`);
  });

  it('of a login that fails, and of one without TLS', async () => {
    using secure = await ImapClient.open({ port: site.ports.imaps, ca: site.ca });
    using plain = await ImapClient.open({ port: site.ports.imap, ca: site.ca, implicitTls: false });
    expect(await secure.no('login bob@corp.test wrong')).toContain('[AUTHENTICATIONFAILED]');
    const other = Buffer.from(`carol\0bob@corp.test\0${PASSWORD}`).toString('base64');
    expect(await secure.no(`authenticate plain ${other}`)).toContain('[AUTHORIZATIONFAILED]');
    expect(await plain.no('login bob@corp.test x')).toContain('[PRIVACYREQUIRED]');
    const own = Buffer.from(`\0bob@corp.test\0${PASSWORD}`).toString('base64');
    expect(await secure.okText(`authenticate plain ${own}`)).toMatch(/^\[CAPABILITY IMAP4rev1 IMAP4rev2 /);
  });
});

describe('IDLE', () => {
  it('tells of new mail without a word of what is recent', async () => {
    await client.ok('select inbox');
    client.send('i idle\r\n');
    expect(await client.line()).toMatch(/^\+ /);
    await old.ok('append inbox ', letter('One'));
    expect(await client.line()).toBe('* 1 EXISTS');
    client.send('done\r\n');
    expect(await client.line()).toMatch(/^i OK/);
  });
});
