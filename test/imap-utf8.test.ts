/** UTF8=ACCEPT (RFC 6855): names, strings and mail in UTF-8, said line by line to the real server. */
import { describe, expect, it } from 'vitest';
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
    expect(await client.ok('enable utf8=accept')).toEqual(['ENABLED UTF8=ACCEPT']);
    return [client, old];
  },
  { withoutFolders: true },
);

/** As it goes over the wire: one character for each byte. */
const wire = (text: string): string => Buffer.from(text, 'utf8').toString('latin1');

describe('ENABLE UTF8=ACCEPT', () => {
  it('is announced, and turned on once', async () => {
    expect((await old.ok('capability'))[0]).toContain(' UTF8=ACCEPT');
    expect(await client.ok('enable utf8=accept')).toEqual(['ENABLED']);
    using stranger = await ImapClient.open({ port: site.ports.imaps, ca: site.ca });
    await stranger.bad('enable utf8=accept');
  });

  it('ends with the login', async () => {
    await client.ok(`create "${wire('Prüfung')}"`);
    await client.ok('unauthenticate');
    await client.ok(`login bob@corp.test "${PASSWORD}"`);
    expect(await client.ok('list "" Pr*')).toEqual(['LIST (\\HasNoChildren) "/" Pr&APw-fung']);
  });
});

describe('mailbox names', () => {
  const name = wire('Prüfung & 日本/"mehr"');

  it.each([
    ['a quoted string', `"${name.replaceAll('"', '\\"')}"`],
    ['a literal', `{${name.length}+}\r\n${name}`],
  ])('come as %s, and are told as they are', async (_form, said) => {
    await client.ok(`create ${said}`);
    const quoted = `"${wire('Prüfung & 日本/\\"mehr\\"')}"`;
    expect(await client.ok('list "" "*/*"')).toEqual([`LIST (\\HasNoChildren) "/" ${quoted}`]);
    await client.ok(`subscribe ${said}`);
    expect(await client.ok('lsub "" "*/*"')).toEqual([`LSUB () "/" ${quoted}`]);
    expect(await client.ok(`status ${said} (messages)`)).toEqual([`STATUS ${quoted} (MESSAGES 0)`]);
    expect((await client.ok(`getquotaroot ${said}`))[0]).toBe(`QUOTAROOT ${quoted} ""`);
    await client.ok(`select ${said}`);
    await client.ok(`rename ${said} plain`);
    await client.ok('delete plain');
  });

  it('are the same mailbox for who did not turn it on', async () => {
    await client.ok(`create "${wire('A & B ü')}"`);
    expect(await old.ok('list "" A*b*')).toEqual([]);
    expect(await old.ok('list "" "A &- B*"')).toEqual(['LIST (\\HasNoChildren) "/" "A &- B &APw-"']);
    await old.ok('create "C &AOQ-"');
    expect(await client.ok('list "" C*')).toEqual([`LIST (\\HasNoChildren) "/" "${wire('C ä')}"`]);
  });

  it('hold an ampersand as it is', async () => {
    await client.ok('create "R&D &APw-"');
    expect(await client.ok('list "" R*')).toEqual(['LIST (\\HasNoChildren) "/" "R&D &APw-"']);
    expect(await old.ok('list "" R*')).toEqual(['LIST (\\HasNoChildren) "/" "R&-D &-APw-"']);
  });

  it('are one, whether their letters are composed or not', async () => {
    await client.ok(`create "${wire('Übung'.normalize('NFD'))}"`);
    expect(await client.ok('list "" *bung')).toEqual([`LIST (\\HasNoChildren) "/" "${wire('Übung')}"`]);
    expect(await client.no(`create "${wire('Übung')}"`)).toContain('[ALREADYEXISTS]');
    await client.ok(`append "${wire('Übung'.normalize('NFD'))}" `, plainMail({ Subject: 'x' }, 'x'));
    expect((await client.ok(`select "${wire('Übung'.normalize('NFD'))}"`)).join()).toContain('1 EXISTS');
    await client.ok(`delete "${wire('Übung'.normalize('NFD'))}"`);
  });

  it('that are none are refused', async () => {
    for (const control of ['\u0085', '\u2028', '\u2029', '\u007f', '\u0001'])
      expect(await client.no(`create "${wire(`a${control}b`)}"`)).toContain('[CANNOT]');
    expect(await client.no('create {2+}\r\n\xc3\x28')).toContain('[CANNOT]');
  });
});

describe('strings', () => {
  it('that are not UTF-8 are BAD where they are quoted', async () => {
    await client.bad('create "\xfc"');
    await client.bad('search subject "\xc3"');
    await client.ok('select inbox');
    expect(await client.search(`subject "${wire('Ü')}"`)).toEqual([]);
  });

  it('find in UTF-8 without a charset, and with one nothing', async () => {
    await client.ok('append inbox ', plainMail({ Subject: '=?utf-8?q?Sch=C3=B6ne_Gr=C3=BC=C3=9Fe?=' }, 'x'));
    await client.ok('select inbox');
    expect(await client.search(`subject "${wire('schöne grüße')}"`)).toEqual([1]);
    expect(await client.bad(`search charset utf-8 subject "${wire('schöne')}"`)).toContain('UTF-8');
    await client.bad('uid search return (count) charset us-ascii all');
    await old.ok('select inbox');
    expect(await old.search(`charset utf-8 subject "${wire('schöne')}"`)).toEqual([1]);
  });

  it('of an internationalised header are quoted, and literals for who did not turn it on', async () => {
    const mail = plainMail({ Subject: 'Grüße', From: 'Jörg <jörg@corp.test>' }, 'x');
    await client.ok('append inbox UTF8 (~', mail, ')');
    for (const one of [client, old]) await one.ok('select inbox');
    const [told = ''] = await client.ok('fetch 1 envelope');
    expect(told).toContain(`"${wire('Grüße')}" ((`);
    expect(told).not.toContain('{');
    const [toldOld = ''] = await old.ok('fetch 1 envelope');
    expect(toldOld).toContain(`{7}\r\n${wire('Grüße')} ((`);
  });

  it('log in, quoted, as literals and by AUTHENTICATE', async () => {
    const password = 'geheim ä 日本';
    await site.keystore.setPassword(site.bobId, password);
    try {
      const quoted = `"${wire(password)}"`;
      const literal = `{${wire(password).length}+}\r\n${wire(password)}`;
      const token = Buffer.from(`\0bob@corp.test\0${password}`).toString('base64');
      for (const login of [
        `login bob@corp.test ${quoted}`,
        `login bob@corp.test ${literal}`,
        `authenticate plain ${token}`,
      ]) {
        using stranger = await ImapClient.open({ port: site.ports.imaps, ca: site.ca });
        await stranger.ok(login);
      }
    } finally {
      await site.keystore.setPassword(site.bobId, PASSWORD);
    }
  });

  it('that name nobody log nobody in', async () => {
    using stranger = await ImapClient.open({ port: site.ports.imaps, ca: site.ca });
    expect(await stranger.no(`login "${wire('jörg@corp.test')}" "${wire('geheim ä')}"`)).toContain(
      '[AUTHENTICATIONFAILED]',
    );
  });
});

describe('APPEND UTF8', () => {
  const mail = Buffer.from(`Subject: Grüße\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nGrüße\r\n`, 'utf8');

  it.each([
    ['synchronising', ['append inbox (\\Seen) UTF8 (~', mail, ')']],
    ['without waiting', [`append inbox UTF8 (~{${mail.length}+}\r\n${mail.toString('latin1')})`]],
    ['with a date', ['append inbox " 1-Feb-2020 10:00:00 +0000" UTF8 (~', mail, ')']],
  ])('%s', async (_form, parts) => {
    expect(await client.okText(...parts)).toContain('[APPENDUID ');
    await client.ok('select inbox');
    expect((await client.ok('fetch 1 body.peek[header.fields (subject)]')).join()).toContain(wire('Subject: Grüße'));
  });

  it('takes what imaplib of Python sends', async () => {
    const wrapped = Buffer.concat([Buffer.from('UTF8 ('), mail, Buffer.from(')')]);
    await client.ok('append inbox ', wrapped);
    await old.ok('append inbox ', wrapped);
    await client.ok('select inbox');
    const [unwrapped = '', asIs = ''] = await client.ok('fetch 1:2 body.peek[]');
    expect(unwrapped).toContain(wire('Subject: Grüße'));
    expect(unwrapped).not.toContain('UTF8 (');
    expect(asIs).toContain('UTF8 (');
  });

  it('takes several, and a message in place of another', async () => {
    await client.ok('append inbox UTF8 (~', mail, ') (\\Flagged) UTF8 (~', mail, ')');
    await client.ok('select inbox');
    await client.ok('replace 1 inbox UTF8 (~', mail, ')');
    expect(await client.search('all')).toEqual([1, 2]);
    for (const wrong of ['UTF8 {1+}\r\nx', 'UTF8 (~{1+}\r\nx', 'UTF7 (~{1+}\r\nx)', 'UTF8 ()'])
      await client.bad(`append inbox ${wrong}`);
  });
});
