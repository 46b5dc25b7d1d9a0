import { Buffer } from 'node:buffer';
import { describe, expect, test } from 'vitest';
import { MAX_HEADER_LINES } from '../src/mime/header-block.ts';
import { htmlToMarkdown } from '../src/mime/html-to-markdown.ts';
import { readLegacyData } from '../src/mime/legacy-data.ts';
import { MAX_DEPTH, MAX_PARTS, parseMail } from '../src/mime/parse.ts';
import { threadIdOf } from '../src/mime/threads.ts';
import { parentMessageId } from '../src/mime/to-email.ts';
import { parseDomain } from '../src/smimp/address.ts';
import { bodyWith, fixture, NOW, OTHER_UID, plainMail, toEmail, UID } from './support/mail.ts';

const legacyOf = async (raw: Uint8Array | string) => readLegacyData((await toEmail(raw)).extensions_data);
const decoded = (base64: string): Buffer => Buffer.from(base64, 'base64');

describe('character sets', () => {
  test.each([
    ['iso-2022-jp', 'こんにちは、世界。'],
    ['gb18030', '你好，世界 𠀀'],
    ['koi8-r', 'Привет, мир'],
    ['windows-1252', '“quotes” — 5 € café'],
    ['big5', '繁體中文'],
    ['utf-16', 'wide ünïcode'],
    ['mislabelled-utf8', 'café über naïve'],
    ['mislabelled-ascii', 'café au lait'],
    ['unknown-charset', 'grüße'],
    ['utf7', '\\<script>alert(1)'],
    ['broken-raw-8bit', 'naïve'],
    ['uppercase-weird', 'Größe'],
  ])('%s', async (name, text) => {
    expect((await toEmail(fixture(name))).body).toBe(text);
  });

  test('subjects and names are decoded, by RFC 2047 or from raw bytes', async () => {
    expect((await toEmail(fixture('iso-2022-jp'))).subject).toBe('こんにちは、世界。');
    expect((await toEmail(fixture('koi8-r'))).subject).toBe('Привет');
    expect((await toEmail(fixture('broken-raw-8bit'))).subject).toBe('Grüße');
    expect((await legacyOf(fixture('plain'))).names['alice#acme.test']).toBe('Alice Ångström');
  });
});

describe('text', () => {
  test('plain text is escaped, its signature set apart', async () => {
    const body = await toEmail(fixture('plain'));
    expect(body.body).toBe(
      'Hello Bob,\n\nsee you on \\*Friday\\*.\n\n&nbsp; indented, a_b_c and <https://example.com/a_b?c=1&d=2>',
    );
    expect(body.signature_text).toBe('Alice\nacme');
  });

  test('the last signature mark counts, and only on a line of its own', async () => {
    const body = await toEmail(plainMail('a\n-- \nb\n-- \nsig no-- \nmark\n'));
    expect(body.signature_text).toBe('sig no-- \nmark');
    expect(body.body).toBe('a\\\n\\--\\\nb');
  });

  test('format=flowed is joined, within quotes too, stuffing removed', async () => {
    const body = await toEmail(fixture('flowed'));
    expect(body.body).toBe('This paragraph was wrapped by the client.\n\n> A quote that goes on.\n>\n&nbsp;stuffed');
    expect(body.signature_text).toBe('Alice');
    expect((await toEmail(fixture('flowed-delsp'))).body).toBe('日本語\\\nend');
  });

  test('quotes stay quotes', async () => {
    expect((await toEmail(fixture('reply'))).body).toBe(
      'On Monday, Bob wrote:\n> Shall we?\n> > Indeed\n>\n> Yes.\n>\nSure.',
    );
  });

  test('HTML is preferred, and becomes Markdown', async () => {
    const body = await toEmail(fixture('nested'));
    expect(body.body.split('\n')).toEqual([
      ...['# Plans', '', 'We meet **on Friday** \\<here>: ![the map](cid:map@acme.test)', '', '-   one'],
      ...['-   two *three*', '', '> quoted\\', '> twice', '', '[link](https://example.com/x_y) bad', ''],
      ...['| A | B |', '| --- | --- |', '| 1 | 2 |', '', '```', 'code  *x*', '```'],
    ]);
    expect(body.signature_text).toBeNull();
  });

  test('layout tables are taken apart, hidden text and counting pictures dropped, remote pictures linked', async () => {
    expect((await toEmail(fixture('html-layout-table'))).body).toBe('## News\n\nfirst story\n\nsecond story');
    const body = await toEmail(fixture('html-meta-data-image'));
    expect(body.body).toBe('Look: ![dot](cid:picture-1@smimp.invalid)\n\n[remote](https://remote.example/pic.png)');
    expect(body.attachments).toMatchObject([
      { file_name: 'picture-1.png', content_type: 'image/png', content_id: 'picture-1@smimp.invalid' },
    ]);
  });

  test.each(['b', 'strong', 'i', 'em', 's', 'del'])('paragraphs within %s are marked each', (name) => {
    const mark = htmlToMarkdown(`<${name}>x</${name}>`).replace('x', ' ').trim().split(' ')[0];
    const html = `<${name}><div>a</div><ul><li>b</ul>c</${name}>`;
    expect(htmlToMarkdown(html)).toBe(`${mark}a${mark}\n\n-   ${mark}b${mark}\n\n${mark}c${mark}`);
  });

  test('breaks and spaces at the ends of a mark are outside of it', () => {
    expect(htmlToMarkdown('a<i>b </i><u><img src=cid:c> d</u>')).toBe('a*b* ![](cid:c) d');
    expect(htmlToMarkdown('<b>a<br></b>b')).toBe('**a**\\\nb');
    expect(htmlToMarkdown('a<i><br>b </i>c<del><br><br></del>d')).toBe('a\\\n*b* c\n\nd');
    expect(htmlToMarkdown('<div>a</div><div><b><br></b></div><div>b</div>')).toBe('a\n\nb');
  });

  test('the caption of a table stands above it', () => {
    const table = (caption: string): string => `<table>${caption}<tr><th>a<th>b<tr><td>1<td>2</table>`;
    const rows = '| a | b |\n| --- | --- |\n| 1 | 2 |';
    expect(htmlToMarkdown(table('<caption>| of<br><i>two</i>'))).toBe(`\\| of *two*\n\n${rows}`);
    expect(htmlToMarkdown(table('<caption> </caption>'))).toBe(rows);
    expect(htmlToMarkdown('<table><caption>c</caption><tr><td>a</table>')).toBe('c\n\na');
  });

  test.each(['div', 'p', 'span', 'b', 'ul', 'blockquote', 'h1', 'td'])(
    'what is hidden is dropped, be it a %s',
    (name) => {
      const hide = (style: string): string =>
        name === 'td' ? `<table><td style="${style}">no<td>a</table>` : `<${name} style="${style}">no</${name}>a`;
      expect(htmlToMarkdown(hide('color: red; DISPLAY : none'))).toBe('a');
      expect(htmlToMarkdown(hide('mso-hide:all'))).toBe('a');
      expect(htmlToMarkdown(hide('color: red'))).toContain('no');
    },
  );

  test('text that looks like HTML or a link is no HTML and no link', () => {
    expect(htmlToMarkdown('&lt;b&gt;x&lt;/b&gt; [a](b)')).toBe('\\<b>x\\</b> \\[a\\](b)');
    expect(htmlToMarkdown('<a href="https://a.test">https://b.test/x y</a>')).toBe(
      '[https\\://b.test/x y](https://a.test)',
    );
    expect(htmlToMarkdown('<a href="java&#10;script:x()">y</a>')).toBe('y');
  });

  test('HTML beyond the limits keeps its text', () => {
    const deep = `${'<div>'.repeat(10_000)}deep &amp; *text*${'</div>'.repeat(10_000)}`;
    expect(htmlToMarkdown(deep)).toBe('deep & \\*text\\*');
    const many = `<script>no</script>${'<p>a</p>'.repeat(20_000)}`;
    expect(htmlToMarkdown(many).split('\\\n').join('\n').split(/\n+/)).toHaveLength(20_000);
  });
});

describe('attachments', () => {
  test('names by RFC 2231, RFC 2047 and other sets; nothing in them reorders or leaves the folder', async () => {
    const names = (await toEmail(fixture('rfc2231-name'))).attachments.map(({ file_name }) => file_name);
    expect(names).toEqual(['Bericht für März.pdf', 'café.bin', 'При.txt', 'gpjexe. X _.._evil']);
  });

  test('content, type and content id', async () => {
    const { attachments } = await toEmail(fixture('nested'));
    expect(attachments.map((file) => [file.file_name, file.content_type, file.content_id])).toEqual([
      ['map.png', 'image/png', 'map@acme.test'],
      ['data.zip', 'application/zip', null],
    ]);
    expect(decoded(attachments[1]?.content ?? '').toString('latin1')).toBe('PK\x03\x04'.repeat(20));
  });

  test('an invitation beside the text, a signature, a forwarded message, a named text', async () => {
    const types = async (name: string) =>
      (await toEmail(fixture(name))).attachments.map(({ file_name, content_type }) => `${file_name} ${content_type}`);
    expect(await types('calendar')).toEqual(['invite.ics text/calendar; method="REQUEST"; charset="utf-8"']);
    expect(await types('signed')).toEqual(['signature.asc application/pgp-signature']);
    expect(await types('forwarded')).toEqual(['message.eml message/rfc822']);
    expect(await types('attached-text')).toEqual(['notes.txt text/plain; charset="iso-8859-1"']);
    expect((await toEmail(fixture('attached-text'))).body).toBe('body\n\nlist footer');
  });
});

describe('people', () => {
  test('To and Cc are SMIMP addresses, Bcc is nowhere', async () => {
    const body = await toEmail(fixture('many-recipients'));
    expect(body.to).toEqual(['bob#corp.test']);
    expect(body.cc).toEqual(['carol#corp.test', 'dan#corp.test', 'eve#corp.test']);
    expect(JSON.stringify(body)).not.toContain('secret');
    const legacy = readLegacyData(body.extensions_data);
    expect(legacy.legacy_cc).toEqual([{ name: '', address: 'first.last@example.com' }]);
    expect(legacy.names).toMatchObject({ 'carol#corp.test': 'Carol, C.' });
  });

  test('under a gateway people without SMIMP get its coding', async () => {
    const body = await toEmail(fixture('many-recipients'), { gatewayDomain: parseDomain('gw.example.com') });
    expect(body.cc).toContain('firstz2elastz40examplez2ecom#gw.example.com');
    expect(readLegacyData(body.extensions_data).legacy_cc).toEqual([]);
  });

  test('repeated To fields are one list', async () => {
    expect((await toEmail('To: bob@corp.test\r\nTo: carol@corp.test\r\n\r\nx')).to).toEqual([
      'bob#corp.test',
      'carol#corp.test',
    ]);
  });

  test('Reply-To: one SMIMP address has a place, anything else is kept beside', async () => {
    expect((await toEmail(fixture('reply'))).reply_to).toBe('team#acme.test');
    const body = await toEmail(plainMail('x', ['Reply-To: a.b@example.com']));
    expect(body.reply_to).toBeNull();
    expect(readLegacyData(body.extensions_data).reply_to).toEqual([{ name: '', address: 'a.b@example.com' }]);
  });
});

describe('threads and dates', () => {
  test('the first of References names the thread, for both correspondents', async () => {
    const first = threadIdOf('<first@client.acme.test>');
    expect((await toEmail(fixture('reply'))).thread_id).toBe(first);
    expect((await toEmail(plainMail('x', ['Message-ID: <first@client.acme.test>']))).thread_id).toBe(first);
    const only = await toEmail(plainMail('x', ['Message-ID: <b@x>', 'In-Reply-To: <first@client.acme.test>']));
    expect(only.thread_id).toBe(first);
  });

  test('a thread longer than what is kept keeps its name', async () => {
    const references = Array.from({ length: 300 }, (_, n) => `<${n}@x.test>`);
    const body = await toEmail(plainMail('x', [`References: ${references.join('\r\n ')}`]));
    expect(body.thread_id).toBe(threadIdOf('<0@x.test>'));
    const kept = readLegacyData(body.extensions_data).references;
    expect([kept.length, kept[0], kept.at(-1)]).toEqual([100, '<0@x.test>', '<299@x.test>']);
  });

  test('the parent comes from the caller, or from a Message-ID that names a uid', async () => {
    const native = plainMail('x', [`In-Reply-To: <${OTHER_UID}@smimp.invalid>`]);
    expect((await toEmail(native)).reply_to_message_id).toBe(OTHER_UID);
    expect((await toEmail(fixture('reply'))).reply_to_message_id).toBeNull();
    expect((await toEmail(fixture('reply'), { parentUid: OTHER_UID })).reply_to_message_id).toBe(OTHER_UID);
    expect(parentMessageId(await parseMail(fixture('reply')))).toBe('<second@client.acme.test>');
  });

  test('without a Message-ID the thread is named by the uid', async () => {
    expect((await toEmail(plainMail('x'))).thread_id).toBe(threadIdOf(`<${UID}@smimp.invalid>`));
  });

  test.each([
    ['Thu, 01 Feb 2024 10:00:00 +0100', '2024-02-01 09:00:00'],
    ['1 Feb 24 10:00 EST', '2024-02-01 15:00:00'],
    ['Thu, 1 Feb 2024 10:00:00 (no zone)', '2024-02-01 10:00:00'],
    ['Fri, 31 Feb 2024 10:00:00 +0000', '2023-11-14 22:13:20'],
    ['nonsense', '2023-11-14 22:13:20'],
  ])('Date: %s', async (date, sent) => {
    expect((await toEmail(plainMail('x', [`Date: ${date}`]))).date_sent).toBe(sent);
  });

  test('fields that say how a message wants to be treated are kept, others not', async () => {
    const { fields } = await legacyOf(fixture('reply'));
    expect(fields).toEqual([
      { name: 'list-id', value: 'Friends <friends.acme.test>' },
      { name: 'auto-submitted', value: 'auto-generated' },
    ]);
  });
});

describe('ugly mail', () => {
  test.each([
    ['broken-no-headers', 'hello there, this has no header\\\nand a second line'],
    ['broken-bare-lf', 'line one\\\nline two'],
    ['broken-nul', 'beforeafter'],
    ['broken-no-boundary', 'the text is all there is'],
    ['broken-base64', 'hello world'],
    ['broken-mbox', 'body'],
    ['broken-header-only', ''],
    ['broken-empty', ''],
  ])('%s', async (name, text) => {
    expect((await toEmail(fixture(name))).body).toBe(text);
  });

  test('an unclosed multipart keeps all that came', async () => {
    const body = await toEmail(fixture('broken-unclosed'));
    expect(body.body).toBe('first');
    expect(decoded(body.attachments[0]?.content ?? '')).toEqual(Buffer.from([0, 1, 2]));
  });

  test('a boundary that never comes loses no text', async () => {
    expect((await toEmail(fixture('broken-wrong-boundary'))).body).toContain('the text is all there is');
  });

  const nested = (depth: number): string => {
    const levels = Array.from(
      { length: depth },
      (_, n) => `Content-Type: multipart/mixed; boundary=b${n}\r\n\r\n--b${n}\r\n`,
    );
    return `Subject: deep\r\n${levels.join('')}\r\nhello`;
  };

  test.each([MAX_DEPTH + 1, 10_000])('MIME nested %i deep is attached as it came', async (depth) => {
    const raw = nested(depth);
    const body = await toEmail(raw);
    expect(body.subject).toBe('deep');
    expect(body.body).toContain('too complex to be shown');
    expect(body.attachments).toMatchObject([{ file_name: 'original.eml', content_type: 'application/octet-stream' }]);
    expect(decoded(body.attachments[0]?.content ?? '').toString('latin1')).toBe(raw);
  });

  test('MIME nested as deep as allowed is read', async () => {
    expect((await toEmail(nested(MAX_DEPTH))).body).toBe('hello');
  });

  test('parts up to the limit are read, one more is not', async () => {
    const mail = (parts: number): string =>
      `Content-Type: multipart/mixed; boundary=b\r\n\r\n${'--b\r\n\r\nx\r\n'.repeat(parts)}--b--`;
    expect((await parseMail(Buffer.from(mail(MAX_PARTS - 1)))).degraded).toBeNull();
    expect((await parseMail(Buffer.from(mail(MAX_PARTS)))).degraded).toBe('too-many-parts');
  });

  test('100,000 header lines: the first ones and those that matter', async () => {
    const raw = `${'X-Noise: 1\r\n'.repeat(100_000)}Subject: late\r\nContent-Type: text/html\r\n\r\n<b>x</b>`;
    const mail = await parseMail(Buffer.from(raw));
    expect(mail.fields.length).toBeLessThanOrEqual(MAX_HEADER_LINES + 20);
    expect(await toEmail(raw)).toMatchObject({ subject: 'late', body: '**x**' });
  });

  test('100,000 header lines in a part', async () => {
    const raw = `Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n${'X-Noise: 1\r\n'.repeat(100_000)}\r\nx\r\n--b--`;
    expect((await toEmail(raw)).attachments[0]?.file_name).toBe('original.eml');
  });

  test.each([
    ['under names that look like others', '<img)>x'],
    ['opened in paragraphs that are closed', '<p><b a=N></p>'],
    ['opened beside ends of what was never begun', '<b a=N></i>'],
    ['whose ends stand in attributes', '<b a=N x="</b>">'],
    ['whose ends stand in comments', '<b a=N><!--</b>-->'],
    ['whose ends stand in scripts', '<b a=N><script></b></script>'],
    ['whose ends stand in pictures', '<b a=N><svg><style><i x="</style></b></b></b>"></svg>'],
  ])('HTML elements %s are not followed without end', async (_what, piece) => {
    const html = Array.from({ length: 3_000 }, (_, i) => piece.replace('N', `${i}`)).join('');
    const body = await toEmail(`Content-Type: text/html\r\n\r\n${html}the end`);
    expect(body.body).toContain('the end');
  });

  test.each([
    ['quotes', '<blockquote>'],
    ['lists', '<ul><li>'],
  ])('many lines within many %s are not written again for each of them', async (_what, opening) => {
    const html = `${opening.repeat(90)}${'x<p>y'.repeat(6_000)}the end`;
    const body = await toEmail(`Content-Type: text/html\r\n\r\n${html}`);
    expect(body.body).toContain('the end');
    expect(body.body.length).toBeLessThan(40 * html.length);
  });

  test('one endless line, in the header and in the body', async () => {
    const line = 'a'.repeat(3_000_000);
    expect((await toEmail(`Subject: ${line}\r\n\r\nx`)).body).toBe('x');
    expect((await toEmail(`Subject: x\r\n\r\n${line}`)).body).toHaveLength(line.length);
  });

  test('too large is refused, exactly at the limit it is not', async () => {
    const raw = Buffer.from(plainMail('x'));
    await expect(parseMail(raw, { maxBytes: raw.length - 1 })).rejects.toMatchObject({ code: 'too-large' });
    expect((await parseMail(raw, { maxBytes: raw.length })).degraded).toBeNull();
  });

  test('noncharacters, lone surrogates and controls never reach the JSON', async () => {
    const raw = plainMail('a\ufffeb\u{1fffe}c\x01d\u0085e', ['Subject: =?utf-16be?B?2AA=?= x']);
    expect((await toEmail(raw)).body).toBe('a\ufffdb\ufffdcd\\\ne');
  });

  test('a type of content with a noncharacter is ugly, not refused', async () => {
    const raw = Buffer.from('Content-Type: \u{10ffff}text/x\r\n\r\nhello\r\n');
    const body = await toEmail(raw);
    expect(JSON.stringify(body)).not.toContain('\u{10ffff}');
    expect(body.attachments[0]?.content ?? body.body).toBeTruthy();
  });

  test('a bare CR ends no field and is in no name', async () => {
    const raw = 'Subject: one\rtwo\r\nX\rFrom: eve@evil.test\r\n\r\nx';
    const { fields } = await parseMail(Buffer.from(raw));
    expect(fields).toEqual([{ name: 'subject', value: 'one two' }]);
  });

  test('no more of the sender in extensions than the bridge put there', async () => {
    const body = await bodyWith({});
    expect(readLegacyData(body.extensions_data).report).toBeNull();
    expect(body.date_sent).toBe(new Date(NOW * 1000).toISOString().slice(0, 19).replace('T', ' '));
  });
});

test('a text of very many lines is taken as it is', async () => {
  const lines = 200_000;
  const { body } = await toEmail(`Subject: long\r\n\r\n${'line\r\n'.repeat(lines)}`);
  expect(body.split('\n')).toHaveLength(lines);
});
