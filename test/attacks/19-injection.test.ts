/**
 * Attack 19. A sender writes what becomes something else in a mail program: header fields, IMAP answers, HTML that runs, names of
 * files and folders that deceive, marks that the bridge itself would set (SMIMP 0.1 §4.1).
 */
import { simpleParser } from 'mailparser';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { parseBase64, toHex } from '../../src/smimp/encoding.ts';
import { sealStorage } from '../../src/smimp/storage.ts';
import { digestOf } from '../../src/smimp/transcript.ts';
import { unsafeHtml } from '../fuzz/targets/safe-html.ts';
import type { ServedUser } from '../support/hostile-server.ts';
import { BOB, type Letter, type MailSite, mailSite } from '../support/mail-site.ts';

let site: MailSite;
let people = 0;
beforeAll(async () => {
  site = await mailSite();
});
afterAll(() => site[Symbol.asyncDispose]());
afterEach(async () => {
  await site.opened.db.deleteFrom('message').execute();
});

type Spoilt = Omit<typeof BODY, 'signature_text'> & { signature_text: string | null };
const BODY = {
  ...{
    to: [BOB],
    cc: [],
    subject: 'Hello',
    thread_id: 'ab'.repeat(32),
    reply_to_message_id: null,
    date_sent: '2026-01-15 12:00:00',
  },
  ...{ body: 'Dear Bob', signature_text: null, attachments: [] as object[], extensions_data: null as object | null },
  ...{ reply_to: null, auto_reply_address: null },
};
const PDF = { file_name: 'a.pdf', content: 'QUJD', content_type: 'application/pdf', content_id: null };

/** A letter with these members of its body, as a mail program fetches it; and everything else the server said. */
async function shown(members: Partial<Spoilt>, letter: Partial<Letter> = {}) {
  const alice: ServedUser = site.server.addUser(`alice${++people}`, site.clock.seconds());
  await site.receive({ from: alice, body: Buffer.from(JSON.stringify({ ...BODY, ...members })), ...letter });
  await site.open();
  using client = await site.client();
  await client.ok('examine inbox');
  const [listing = ''] = await client.ok('fetch 1 (envelope bodystructure flags internaldate)');
  const [fetched = ''] = await client.ok('fetch 1 body.peek[]');
  const raw = Buffer.from(fetched.slice(fetched.indexOf('}\r\n') + 3, fetched.lastIndexOf(')')), 'latin1');
  await client.ok('noop');
  const head = raw.toString('latin1', 0, raw.indexOf('\r\n\r\n'));
  const fields = head.split(/\r\n(?![ \t])/).map((line) => line.slice(0, line.indexOf(':')).toLowerCase());
  return { alice, listing, raw, head, fields, mail: await simpleParser(raw) };
}

const PART_FIELDS = ['content-type', 'content-transfer-encoding', 'content-disposition', 'content-id'];
/** Names of the fields of every part within. */
function partFields(raw: Buffer): string[] {
  const heads = [...raw.toString('latin1').matchAll(/^--=_[0-9a-f]{32}\r\n([\s\S]*?)\r\n\r\n/gm)].map(
    ([, head = '']) => head,
  );
  return heads.flatMap((head) =>
    head.split(/\r\n(?![ \t])/).map((line) => line.slice(0, line.indexOf(':')).toLowerCase()),
  );
}

/** Fields that a letter without oddities has. */
const USUAL = ['date', 'from', 'to', 'subject', 'message-id', 'mime-version', 'content-type'];
/** What the bridge says on top of received mail, once. Nobody verified the sender of these letters. */
const TRACE = [
  'authentication-results',
  ...['from', 'fingerprint', 'verified', 'key', 'via', 'received', 'message-id'].map((name) => `x-smimp-${name}`),
];
const CRLF = 'x\r\nBcc: eve@evil.test\r\nX-SMIMP-Verified: yes\r\n\r\n<script>alert(1)</script>';

describe('19 injection into what IMAP shows', () => {
  describe('line ends', () => {
    const spoilt: Record<string, Partial<Spoilt>> = {
      'in the subject': { subject: CRLF },
      'in the subject, as bare LF': { subject: CRLF.replaceAll('\r', '') },
      'in the subject, as bare CR': { subject: CRLF.replaceAll('\n', '') },
      'in the subject, by Unicode': { subject: 'x\u2028Bcc: eve@evil.test\u0085Bcc: eve@evil.test\u000bBcc: e\u000c' },
      'in the subject, by encoded words': { subject: '=?utf-8?q?x=0D=0ABcc:_eve@evil.test?=' },
      'in the name of a file': { attachments: [{ ...PDF, file_name: CRLF }] },
      'in the type of a file': { attachments: [{ ...PDF, content_type: `text/html\r\n\r\n<script>` }] },
      'in a parameter of the type': {
        attachments: [{ ...PDF, content_type: 'text/plain; charset="x\r\nX-SMIMP-Verified: yes"' }],
      },
      'in the id of a content': { attachments: [{ ...PDF, content_id: CRLF }], body: `![](cid:${CRLF})` },
      'in the names of people': { extensions_data: { smimp_bridge: { v: 1, names: { [BOB]: CRLF } } } },
      'in a kept field': { extensions_data: { smimp_bridge: { v: 1, fields: [{ name: 'importance', value: CRLF }] } } },
      'in the name of a kept field': {
        extensions_data: { smimp_bridge: { v: 1, fields: [{ name: 'x-smimp-verified', value: 'yes' }] } },
      },
      'in ids of messages': {
        extensions_data: {
          smimp_bridge: {
            v: 1,
            message_id: `<a@b>\r\nBcc: x`,
            references: [`<c@d>\r\nBcc: x`],
            in_reply_to: '<e@f>\r\nBcc: x',
          },
        },
      },
      'in legacy recipients': {
        extensions_data: { smimp_bridge: { v: 1, legacy_to: [{ name: CRLF, address: 'a@b.test\r\nBcc: x' }] } },
      },
      'in reply-to': {
        extensions_data: { smimp_bridge: { v: 1, reply_to: [{ name: '', address: `a@b.test>\r\nBcc: <x` }] } },
      },
      'in the signature': { signature_text: CRLF },
    };

    it.each(Object.keys(spoilt))('%s begin no field, no part and no answer', async (where) => {
      const { fields, head, raw, listing } = await shown(spoilt[where] as Partial<Spoilt>);
      const strange = fields.filter((name) => !USUAL.includes(name) && !TRACE.includes(name));
      expect(head).not.toMatch(/^x-smimp-verified: *yes/im);
      expect(strange.filter((name) => !['importance', 'references', 'in-reply-to', 'reply-to'].includes(name))).toEqual(
        [],
      );
      expect(new Set(fields).size).toBe(fields.length);
      expect(head).toMatch(/^[\x20-\x7e\r\n\t]*$/);
      expect(partFields(raw).filter((name) => !PART_FIELDS.includes(name))).toEqual([]);
      // One answer to one FETCH; a literal in it may hold line ends, and does not here.
      expect(listing).toMatch(/^1 FETCH \([^\r\n]*\)$/);
    });
  });

  describe('what runs', () => {
    it.each([
      '<script>alert(1)</script>',
      '<img src=x onerror=alert(1)>',
      '[click](javascript:alert(1))',
      '[click](JaVaScRiPt&colon;alert(1))',
      '[click](java\tscript:alert(1))',
      '[click](&#106;avascript:alert(1))',
      '[click](data:text/html,<script>alert(1)</script>)',
      '[click](vbscript:x)',
      '[click](file:///etc/passwd)',
      '<javascript:alert(1)>',
      '![x](javascript:alert(1))',
      '![track](https://evil.test/pixel.png)',
      '![x](cid:a" onerror="alert(1))',
      '[a](https://x.test "title" onclick=alert(1))',
      '<a href="https://x.test" onclick="alert(1)">x</a>',
      '[ref]\n\n[ref]: javascript:alert(1) "x"',
      '<style>@import url(https://evil.test)</style>',
      '<iframe src="https://evil.test"></iframe>',
      '<form action="https://evil.test"><input></form>',
      '<meta http-equiv="refresh" content="0;url=https://evil.test">',
      '<base href="https://evil.test">',
      '<svg><script>alert(1)</script></svg>',
      '<!--><script>alert(1)</script>-->',
      '<![CDATA[<script>alert(1)</script>]]>',
      '`<script>`</code><script>alert(1)</script>',
      '```html"><script>alert(1)</script>\nx\n```',
      '<scr<script>ipt>alert(1)</scr</script>ipt>',
      '</body></html><script>alert(1)</script>',
      '| a |\n|---|\n| <script>alert(1)</script> |',
      '[x](//evil.test/)',
    ])('%j is text, or a link that is safe', async (body) => {
      const { mail } = await shown({ body, signature_text: body });
      const html = String(mail.html || '');
      expect(unsafeHtml(html)).toBeNull();
      // Nothing is loaded from elsewhere when the letter is opened.
      expect(html).not.toMatch(/<(?:img|link|iframe|object|embed|video|audio|source)[^>]*(?:https?:)?\/\//i);
      expect(mail.text ?? '').not.toBe('');
    });
  });

  describe('names of files', () => {
    it.each([
      ['invoice\u202efdp.exe', 'invoicefdp.exe'],
      ['a\u2066b\u2069.txt', 'ab.txt'],
      ['../../etc/passwd', '.._.._etc_passwd'],
      ['..\\..\\boot.ini', '.._.._boot.ini'],
      ['a\0.exe', 'a .exe'],
      ['', 'attachment'],
      ['"; filename="evil.exe', '"; filename="evil.exe'],
      ['=?utf-8?q?evil.exe?=', undefined],
    ])('%j is given as %j', async (file_name, expected) => {
      const { mail, raw } = await shown({ attachments: [{ ...PDF, file_name }] });
      const [attachment] = mail.attachments;
      expect(mail.attachments).toHaveLength(1);
      expect(attachment?.content.toString()).toBe('ABC');
      if (expected !== undefined) expect(attachment?.filename).toBe(expected);
      expect(raw.toString('latin1')).not.toMatch(/[\u202a-\u202e\u2066-\u2069]/);
      expect(attachment?.filename ?? '').not.toMatch(/[\u202a-\u202e\u2066-\u2069/\\\0\r\n]/);
    });

    it.each([
      'multipart/mixed; boundary=x',
      'message/delivery-status',
      'message/partial',
      'text/html; boundary="--"',
      'a/b/c',
      '',
      '\0/\0',
    ])('a file of type %j changes nothing around it', async (content_type) => {
      const content = Buffer.from('--x\r\nContent-Type: text/html\r\n\r\n<script>\r\n--x--\r\n').toString('base64');
      const { mail } = await shown({ attachments: [{ ...PDF, content, content_type }] });
      expect(mail.attachments).toHaveLength(1);
      expect(String(mail.html)).not.toContain('<script');
    });
  });

  describe('who it is from', () => {
    it.each([
      'bob@corp.test',
      '"Bob" <bob@corp.test>',
      'Your own server <postmaster@corp.test>',
      'x\u202etset.proc@bob',
      'mailer-daemon@corp.test',
      'a\r\nFrom: bob@corp.test',
      'x>, <bob@corp.test',
    ])('a sender who calls herself %j is still named by her own address, and by no other', async (name) => {
      const alice = site.server.addUser(`alice${++people}`, site.clock.seconds());
      people -= 1;
      site.server.removeUser(alice);
      const {
        head,
        listing,
        mail,
        alice: sender,
      } = await shown({
        extensions_data: { smimp_bridge: { v: 1, names: { [`alice${people + 1}#acme.test`]: name } } },
      });
      const own = sender.address.replace('#', '@');
      expect(mail.from?.value.map(({ address }) => address)).toEqual([own]);
      expect(head.match(/^From:/gim)).toHaveLength(1);
      expect(listing).toContain(`"${own.split('@')[0]}" "acme.test"`);
    });

    it('a message that claims the id of another does not take its place in a thread', async () => {
      const stolen = `<${'cd'.repeat(32)}@smimp.invalid>`;
      const { mail } = await shown({ extensions_data: { smimp_bridge: { v: 1, message_id: stolen } } });
      expect(mail.messageId).not.toBe(stolen);
    });
  });

  describe('in answers of the IMAP server', () => {
    it('flags from elsewhere that hold spaces, brackets or line ends are no flags', async () => {
      const keys = await site.keystore.open(site.bobId);
      const storageKey = await keys.storageKey();
      const flags = ['\\Flagged', 'a b', 'x)', '(', '"', 'c\r\n* 9 EXISTS', '{5}', '\\*', '\\Seen', 'ok-1', 'é', ''];
      const { listing } = await shown(
        {},
        {
          tamper(row) {
            const objectId = digestOf(toHex(row.message_hash));
            row.extensions_data = parseBase64(
              sealStorage({
                key: storageKey,
                object: { owner: BOB, purpose: 'extensions', objectId },
                version: 1,
                value: { flags },
              }),
            );
          },
        },
      );
      const found = /FLAGS \(([^)]*)\)/.exec(listing)?.[1]?.split(' ');
      expect(found).toEqual(['\\Flagged', 'ok-1', '$SmimpUnverified']);
    });

    it('folder names of other clients come out as one astring each, whatever they hold', async () => {
      const names = [
        'a"b',
        'c\\d',
        'e{5}',
        'f (g)',
        'é',
        '%',
        '*',
        'h&i',
        'INBOXx',
        '\u202efdp',
        '~',
        ']',
        ' lead',
        'trail ',
      ];
      const { db } = site.opened;
      const rows = names.map((display_name, i) => ({
        ...{
          account_id: site.bobId,
          message_type: 'email',
          folder_name: `odd-${i}`,
          display_name,
          parent_id: null,
          special_use: null,
        },
      }));
      await db.insertInto('folder').values(rows).execute();
      using client = await site.client();
      const lines = await client.ok('list "" "*"');
      for (const line of lines)
        expect(line).toMatch(
          /^LIST \([^()]*\) "\/" (?:"(?:[^"\\\r\n]|\\["\\])*"|[^\x00-\x20(){"\\\x7f-\xff]+|\{\d+\}\r\n[\s\S]*)$/,
        );
      expect(lines.length).toBeGreaterThanOrEqual(names.length);
      expect(await client.ok('select "a\\"b"')).toContain('0 EXISTS');
      await db.deleteFrom('folder').where('folder_name', 'like', 'odd-%').execute();
    });
  });
});
