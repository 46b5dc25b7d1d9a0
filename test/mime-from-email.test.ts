import { Buffer } from 'node:buffer';
import fc from 'fast-check';
import { type ParsedMail, simpleParser } from 'mailparser';
import { describe, expect, test } from 'vitest';
import { isShown } from '../src/mime/from-email.ts';
import { readHeaderBlock } from '../src/mime/header-block.ts';
import { EMPTY_LEGACY_DATA, type LegacyData } from '../src/mime/legacy-data.ts';
import { markdownToHtml } from '../src/mime/markdown-to-html.ts';
import { markdownToText } from '../src/mime/markdown-to-text.ts';
import { textToMarkdown } from '../src/mime/text-to-markdown.ts';
import { parseAddress, parseDomain } from '../src/smimp/address.ts';
import type { Attachment, EmailBody } from '../src/smimp/email.ts';
import { toBase64 } from '../src/smimp/encoding.ts';
import {
  ALICE,
  BOB,
  bodyWith,
  fixture,
  OTHER_UID,
  plainMail,
  render,
  renderEmail,
  toEmail,
  UID,
} from './support/mail.ts';
import { CORPUS_NAMES } from './support/mail-corpus.ts';

const read = (mail: Buffer): Promise<ParsedMail> => simpleParser(mail, { keepCidLinks: true });
const names = (mail: Buffer): string[] => readHeaderBlock(mail).fields.map(({ name }) => name);
const withLegacy = (legacy: Partial<LegacyData>): Promise<EmailBody> =>
  bodyWith({ extensions_data: { smimp_bridge: { ...EMPTY_LEGACY_DATA, ...legacy } } });
const file = (members: Partial<Attachment>): Attachment => ({
  file_name: 'a.bin',
  content: toBase64(Buffer.from('abc')),
  content_type: 'application/octet-stream',
  content_id: null,
  ...members,
});

/** CRLF only, no line over 998 bytes, ASCII header. */
function expectWellFormed(mail: Buffer): void {
  const text = mail.toString('latin1');
  expect(text.replaceAll('\r\n', '')).not.toMatch(/[\r\n\0]/);
  expect(Math.max(...text.split('\r\n').map((line) => line.length))).toBeLessThanOrEqual(998);
  expect(text.slice(0, text.indexOf('\r\n\r\n'))).toMatch(/^[\t\r\n\x20-\x7e]*$/);
}

describe('the same message gives the same bytes', () => {
  test.each(CORPUS_NAMES)('%s', async (name) => {
    const body = await toEmail(fixture(name));
    const mail = renderEmail(body);
    expect(renderEmail(structuredClone(body))).toEqual(mail);
    expectWellFormed(mail);
  });
});

describe('there and back', () => {
  test.each(['plain', 'patch', 'flowed', 'reply', 'iso-2022-jp', 'koi8-r', 'windows-1252'])(
    '%s: what is seen comes back',
    async (name) => {
      const once = await toEmail(fixture(name));
      const twice = await toEmail(renderEmailAsPlain(once));
      expect(twice.body).toBe(once.body);
      expect(twice.signature_text).toBe(once.signature_text);
    },
  );

  /** Only its text/plain part, as a client shows it that prefers plain text. */
  function renderEmailAsPlain(body: EmailBody): string {
    const signature = body.signature_text === null ? '' : `\n-- \n${body.signature_text}\n`;
    return plainMail(`${markdownToText(body.body)}\n${signature}`);
  }

  test('the patch is the patch, but for white space at the end of lines', async () => {
    const text = fixture('patch').toString('utf8').split('\r\n\r\n').slice(1).join('\r\n\r\n');
    const { text: shown } = await read(renderEmail(await toEmail(fixture('patch'))));
    expect(shown?.trimEnd()).toBe(text.replace(/[ \r]+$/gm, '').trimEnd());
  });

  const piece = fc.constantFrom(
    ...[
      'a',
      'b c',
      '*',
      '_',
      '#',
      '## x',
      '> ',
      '  ',
      '\t',
      '1. ',
      '- ',
      '+ ',
      '---',
      '===',
      '`',
      '```',
      '~~',
      '[x](y)',
    ],
    ...[
      '![i](j)',
      '<b>',
      '</b>',
      '<!-- -->',
      '&amp;',
      '&nbsp;',
      '&',
      '<',
      '\\',
      '|',
      'a|b',
      '--|--',
      ':-:',
      'foo@bar.com',
    ],
    ...[
      'https://x.y/a_b_c?d=1&e=2',
      'www.a.b/_x_',
      'snake_case',
      'é',
      '日本',
      '\u00a0',
      '\u3000',
      '😀',
      'HTTP://X.Y',
      '.',
    ],
    ...['\n', '\n', '\n\n', '\n\n\n', '@@ -1 +1 @@', '[a]: b', '- [x] t', '<https://x.y>', 'mailto:a@b.c', "'", '!'],
  );
  const quoteMarks = (line: string): string =>
    line.replace(/^(?:> ?)+/, (marks) => '> '.repeat(marks.match(/>/g)?.length ?? 0));
  const seen = (text: string): string =>
    text
      .split('\n')
      .map((line) => quoteMarks(line.trimEnd()).trimEnd())
      .join('\n')
      .replace(/^\n+|\n+$/g, '');

  test('any plain text is seen again, line by line', () => {
    const texts = fc.array(piece, { maxLength: 14 }).map((pieces) => pieces.join(''));
    fc.assert(
      fc.property(texts, (text) => {
        fc.pre(!/> {2,}>|>\s{2,}$|(?:> ?){12}/m.test(text));
        expect(markdownToText(textToMarkdown(text))).toBe(seen(text));
      }),
      { seed: 42, numRuns: 3_000 },
    );
  });

  test('text beyond the limits of Markdown is seen again too', () => {
    const line = 'a *b* & <c> \\ &amp; https://x.y/a_b  # c\n  indented\n> quoted\n\n';
    const long = line.repeat(20_000);
    expect(markdownToText(textToMarkdown(long))).toBe(long.trimEnd());
  });
});

describe('structure', () => {
  test('mixed, alternative, related, as far as needed', async () => {
    const types = (mail: Buffer): string[] =>
      [...mail.toString('latin1').matchAll(/^Content-Type: ([^;\r]+)/gm)].map((match) => match[1] ?? '');
    expect(types(renderEmail(await toEmail(fixture('plain'))))).toEqual([
      'multipart/alternative',
      'text/plain',
      'text/html',
    ]);
    expect(types(renderEmail(await toEmail(fixture('nested'))))).toEqual([
      ...['multipart/mixed', 'multipart/alternative', 'text/plain', 'multipart/related', 'text/html'],
      ...['image/png', 'application/zip'],
    ]);
  });

  test('an independent parser finds everything again', async () => {
    const mail = await read(renderEmail(await toEmail(fixture('nested'))));
    expect(mail.subject).toBe('Pläne für Zürich ✓');
    expect(mail.from?.value).toEqual([{ name: 'Alice Ångström', address: 'alice@acme.test' }]);
    expect(mail.date?.toISOString()).toBe('2024-02-01T09:00:00.000Z');
    expect(mail.messageId).toBe('<nested@client.acme.test>');
    expect(mail.html).toContain('<img src="cid:map@acme.test" alt="the map" />');
    expect(mail.attachments.map(({ filename, cid, size }) => [filename, cid, size])).toEqual([
      ['map.png', 'map@acme.test', 70],
      ['data.zip', undefined, 80],
    ]);
  });

  test('file names of any language come back', async () => {
    const mail = await read(renderEmail(await toEmail(fixture('rfc2231-name'))));
    expect(mail.attachments.map(({ filename }) => filename)).toEqual([
      ...['Bericht für März.pdf', 'café.bin', 'При.txt', 'gpjexe. X _.._evil'],
    ]);
  });

  test('a forwarded message stands as it is, one that is not clean MIME does not', async () => {
    expect(renderEmail(await toEmail(fixture('forwarded'))).toString()).toContain('\r\nSubject: inner\r\n');
    for (const content of ['a\nb', 'a\0b', 'x'.repeat(999), 'a\rb\r\n']) {
      const attachments = [file({ content_type: 'message/rfc822', content: toBase64(Buffer.from(content)) })];
      const mail = renderEmail(await bodyWith({ attachments }));
      expectWellFormed(mail);
      expect(mail.toString()).not.toContain('message/rfc822');
    }
  });

  test('a declared type cannot change the structure', async () => {
    for (const content_type of [
      'multipart/mixed; boundary=x',
      'message/partial',
      'text/html\r\nX: y',
      'nonsense',
      '',
    ]) {
      const mail = renderEmail(await bodyWith({ attachments: [file({ content_type })] }));
      expect(mail.toString()).toContain('Content-Type: application/octet-stream;\r\n name=a.bin\r\n');
    }
  });

  test('pictures of the text are inline, whichever way Markdown names them', async () => {
    for (const body of ['![x](cid:p(1)@a)', '![x](<cid:p(1)@a>)', '![x](cid:p%281%29@a)']) {
      const attachments = [file({ content_type: 'image/png', content_id: 'p(1)@a' })];
      expect(renderEmail(await bodyWith({ body, attachments })).toString()).toContain('multipart/related');
    }
  });
});

describe('header', () => {
  test('without people it says so', async () => {
    expect(renderEmail(await bodyWith({ to: [] })).toString()).toContain('\r\nTo: undisclosed-recipients:;\r\n');
  });

  test('people with names, legacy people beside them, coded people decoded under the known gateway', async () => {
    const coded = parseAddress('alicez40gmailz2ecom#gw.example.com');
    const legacy = {
      names: { [BOB]: 'Bob "B" O\\Neil, Jr.' },
      legacy_to: [{ name: 'F. Last', address: 'f.last@x.test' }],
    };
    const body = { ...(await withLegacy(legacy)), to: [BOB, coded] };
    const to = async (gatewayDomain: string | null): Promise<unknown> => {
      const options = { gatewayDomain: gatewayDomain === null ? null : parseDomain(gatewayDomain) };
      const mail = await read(renderEmail(body, options));
      return [mail.to].flat().flatMap((list) => list?.value.map(({ name, address }) => `${name}|${address}`));
    };
    const bob = 'Bob "B" O\\Neil, Jr.|bob@corp.test';
    expect(await to('gw.example.com')).toEqual([bob, '|alice@gmail.com', 'F. Last|f.last@x.test']);
    expect(await to('gw.other.com')).toEqual([bob, '|alicez40gmailz2ecom@gw.example.com', 'F. Last|f.last@x.test']);
  });

  test('a Message-ID is kept when it can be, and never one that names another message', async () => {
    const id = async (message_id: string): Promise<string | undefined> =>
      (await read(renderEmail(await withLegacy({ message_id })))).messageId;
    expect(await id('<a@b>')).toBe('<a@b>');
    for (const bad of ['<a b@c>', '<a@b>\r\nX: y', 'a@b', '<ä@b>', `<${OTHER_UID}@smimp.invalid>`]) {
      expect(await id(bad)).toBe(`<${UID}@smimp.invalid>`);
    }
    expect(await id(`<${UID}@smimp.invalid>`)).toBe(`<${UID}@smimp.invalid>`);
  });

  test('threads: legacy references, or the uid of the parent', async () => {
    const reply = await read(renderEmail(await toEmail(fixture('reply'))));
    expect([reply.inReplyTo, reply.references]).toEqual([
      '<second@client.acme.test>',
      ['<first@client.acme.test>', '<second@client.acme.test>'],
    ]);
    const native = await read(renderEmail(await bodyWith({ reply_to_message_id: OTHER_UID })));
    expect([native.inReplyTo, native.references]).toEqual(Array(2).fill(`<${OTHER_UID}@smimp.invalid>`));
  });

  test('extensions of another form are as none', async () => {
    for (const smimp_bridge of [
      null,
      1,
      [],
      { v: 2 },
      { v: 1 },
      { v: 1, references: 7, names: [], fields: [{ name: 'bcc' }] },
    ]) {
      expectWellFormed(renderEmail(await bodyWith({ extensions_data: { smimp_bridge } })));
    }
  });

  const EVIL = 'x\r\nBcc: evil@x.test\r\nX-SMIMP-Verified: yes\r\n\r\nbody\n\0\u2028Subject: y\u202e';

  test('no value of the sender starts a field of its own', async () => {
    const expected = [
      'date',
      'from',
      'to',
      'cc',
      'reply-to',
      'subject',
      'message-id',
      'in-reply-to',
      'references',
      'list-id',
    ];
    const mailbox = { name: EVIL, address: `${EVIL}@x.test` };
    const legacy = {
      ...{ message_id: EVIL, in_reply_to: EVIL, references: [EVIL, '<a@b>'], names: { [ALICE]: EVIL, [BOB]: EVIL } },
      ...{ legacy_to: [mailbox], legacy_cc: [mailbox], reply_to: [mailbox] },
      fields: [{ name: 'list-id' as const, value: EVIL }],
    };
    const body = {
      ...(await withLegacy(legacy)),
      ...{ subject: EVIL, reply_to_message_id: OTHER_UID, body: 'text', signature_text: 'sig' },
      attachments: [file({ file_name: EVIL, content_type: `text/plain; charset="${EVIL}"`, content_id: EVIL })],
    };
    const mail = renderEmail(body);
    expectWellFormed(mail);
    expect(names(mail)).toEqual([...expected, 'mime-version', 'content-type']);
    expect(mail.toString('latin1')).not.toMatch(/^(?:Bcc|X-SMIMP)/im);
  });

  test('nor does any other', async () => {
    const text = fc
      .string({ unit: 'binary', maxLength: 80 })
      .map((value) => value.replace(/b/g, '\r\n').replace(/c/g, '\nX-SMIMP-A: b'));
    const plain = names(renderEmail(await bodyWith({ subject: 'x' })));
    await fc.assert(
      fc.asyncProperty(text, text, text, text, async (subject, name, file_name, content_type) => {
        const body = { ...(await withLegacy({ names: { [ALICE]: name, [BOB]: name } })), subject };
        const mail = renderEmail({ ...body, attachments: [file({ file_name, content_type })] });
        expectWellFormed(mail);
        expect(names(mail)).toEqual(plain);
        expect(renderEmail({ ...body, attachments: [file({ file_name, content_type })] })).toEqual(mail);
      }),
      { seed: 7, numRuns: 200 },
    );
  });
});

describe('text/html', () => {
  test('HTML is shown, not run', () => {
    const html = markdownToHtml('<script>alert(1)</script>\n\na <b onclick=x>b</b>', null);
    expect(html).toContain('&lt;script&gt;alert(1)&lt;/script&gt;');
    expect(html).toContain('a &lt;b onclick=x&gt;b&lt;/b&gt;');
  });

  test.each([
    '[a](javascript:alert(1))',
    '[a](JaVaScRiPt:alert(1))',
    '[a](java&#x73;cript:alert(1))',
    '[a](data:text/html,x)',
    '[a](vbscript:x)',
    '![a](javascript:x)',
    '![a](data:image/svg+xml,x)',
    '[a](//evil.test/x)',
    '<javascript:x>',
  ])('%s gives no link', (markdown) => {
    expect(markdownToHtml(markdown, null)).not.toMatch(/(?:href|src)=/);
  });

  test('nothing is loaded from elsewhere: remote pictures are links', () => {
    const html = markdownToHtml('![pic](https://x.test/p.png) ![own](cid:a@b)', null);
    expect(html).toContain('<a href="https://x.test/p.png">pic</a>');
    expect(html).toContain('<img src="cid:a@b" alt="own" />');
  });

  test('columns stay columns', () => {
    expect(markdownToHtml(textToMarkdown('a   b\n\tc'), null)).toContain('a\u00a0\u00a0 b<br />\u00a0\u00a0\u00a0 c');
  });

  test('a signature is shown as text', () => {
    expect(markdownToHtml('x', '<b>')).toContain('<pre>-- \n&lt;b&gt;</pre>');
  });

  test.each([
    ['quotes', '> '.repeat(10_000)],
    ['lists', '- '.repeat(10_000)],
    ['brackets', `${'['.repeat(500)}\n`.repeat(400)],
    ['emphasis', `${'*a_'.repeat(160)}\n\n`.repeat(2_000)],
    ['indents', Array.from({ length: 200 }, (_, n) => `${'  '.repeat(n)}- a`).join('\n')],
    ['one line', 'a '.repeat(300_000)],
  ])('%s without end are shown as they are', (_name, markdown) => {
    expect(markdownToHtml(markdown, null)).toContain('<body>\n<pre>');
    expect(markdownToText(markdown)).not.toBe('');
  });
});

describe('other kinds of messages', () => {
  test('a short message is plain text; its first line is the subject', async () => {
    const value = { message: 'Lunch at *12*?\n<b>yes</b>', attachments: [file({ file_name: 'x.bin' })] };
    const mail = await read(render({ type: 'short-message', value }));
    expect(mail.subject).toBe('Lunch at *12*?');
    expect(mail.text?.trimEnd()).toBe('Lunch at *12*?\n<b>yes</b>');
    expect(mail.attachments).toHaveLength(1);
  });

  test('a secret says that it came, never what it is', async () => {
    const secret_key = '77'.repeat(32);
    const value = { public_key: null, secret_key, kind: 'storage' as const, note: 'hidden note' };
    const mail = render({ type: 'secret-xsalsa20', value });
    expect((await read(mail)).subject).toBe('A secret key was received');
    expect(mail.toString()).not.toMatch(/7777|hidden note/);
  });

  test('a type of one’s own is not for people', () => {
    expect(isShown({ type: 'opaque', value: null })).toBe(false);
    expectWellFormed(render({ type: 'opaque', value: null }));
  });
});
