/** Mail from anywhere and bodies from strangers: MIME both ways, HTML and Markdown, own addresses (RFC 5322, SMIMP 0.1 §4.1). */

import { renderMessage } from '../../../src/mime/from-email.ts';
import { readHeaderBlock } from '../../../src/mime/header-block.ts';
import { htmlToMarkdown } from '../../../src/mime/html-to-markdown.ts';
import { markdownToHtml } from '../../../src/mime/markdown-to-html.ts';
import { markdownToText } from '../../../src/mime/markdown-to-text.ts';
import { parseMail } from '../../../src/mime/parse.ts';
import { indexMessage } from '../../../src/mime/structure/message-index.ts';
import { extractSection, findPart } from '../../../src/mime/structure/section.ts';
import type { Part } from '../../../src/mime/structure/types.ts';
import { cleanText } from '../../../src/mime/text.ts';
import { bodyContains, textContains } from '../../../src/mime/text-search.ts';
import { textToMarkdown } from '../../../src/mime/text-to-markdown.ts';
import { toEmailBody } from '../../../src/mime/to-email.ts';
import { type Address, type Domain, isAddress } from '../../../src/smimp/address.ts';
import { parseBody, serializeBody } from '../../../src/smimp/email.ts';
import type { Hex32, Timestamp } from '../../../src/smimp/encoding.ts';
import { ProfileError } from '../../../src/smimp/errors.ts';
import { addressOf, isFromOwn, userAddress } from '../../../src/smtp/own-address.ts';
import { bodies, bytes, mails, texts, vectorInputs } from '../corpus.ts';
import { DEFAULTS, must, refusalOf, type Target } from '../target.ts';
import { unsafeHtml } from './safe-html.ts';

/** These read everything: nothing may be refused. */
const nothing: Target['refusal'] = () => null;
const MIME_WORDS = [
  ...[
    'Content-Type: multipart/mixed; boundary=b\r\n',
    '--b\r\n',
    '--b--\r\n',
    '\r\n\r\n',
    'Content-Transfer-Encoding: base64\r\n',
  ],
  ...[
    'Subject: ',
    'From: a@acme.test\r\n',
    '=?utf-8?q?=41?=',
    '=?gb18030?b?',
    "name*0*=utf-8''",
    'charset=iso-2022-jp',
    ';',
  ],
  ...['Content-Type: message/rfc822\r\n\r\n', '(', '"', '<', '>', ',', ' ', '\t', '\x1b$B', '<html>', 'format=flowed'],
];
const HTML_WORDS = [
  ...[
    '<a href="javascript:alert(1)">',
    '<script>',
    '<img src=x onerror=alert(1)>',
    '<table><tr><td>',
    '</td></tr></table>',
  ],
  ...[
    '<p>',
    '</p>',
    '<div style="display:none">',
    '&lt;',
    '&#60;',
    '&#x3c;script&#x3e;',
    '<b>',
    '<pre>',
    '<ul><li>',
    '<blockquote>',
  ],
  ...[
    '<!--',
    '-->',
    '<style>',
    '<img src="data:image/png;base64,AAAA">',
    '<a href="data:text/html,x">',
    '[',
    '](',
    '`',
    '\\',
  ],
];
const MARKDOWN_WORDS = [
  ...[
    '[a](javascript:x)',
    '![a](cid:b)',
    '<script>',
    '[',
    ']',
    '(',
    ')',
    '*',
    '_',
    '`',
    '~~',
    '> ',
    '- ',
    '1. ',
    '| a | b |\n|--|--|\n',
  ],
  ...[
    '\n',
    '\n\n',
    '    ',
    '# ',
    '<http://x.test>',
    'http://x.test',
    '&lt;',
    '&#106;',
    '\\',
    '[x]: javascript:y\n',
    '[x]',
    '<',
    '>',
    '"',
  ],
];
const OWN = 'alice#acme.test' as Address;
const UID = 'ab'.repeat(32) as Hex32;
const SENT = '2026-01-15 12:00:00' as Timestamp;

function numbersOf(part: Part, own: readonly number[], found: number[][]): number[][] {
  if (found.length > 60) return found;
  found.push([...own]);
  const children = part.kind === 'multipart' ? part.children : part.kind === 'message' ? [part.message] : [];
  for (const [i, child] of children.entries()) numbersOf(child, part.kind === 'message' ? own : [...own, i + 1], found);
  return found;
}

const structure: Target = {
  name: 'mime-structure',
  ...DEFAULTS,
  refusal: nothing,
  corpus: mails(),
  words: MIME_WORDS,
  run(input) {
    const { structure, fields, bodyStart } = readHeaderBlock(input);
    must(bodyStart >= 0 && bodyStart <= input.length, 'a body outside the message');
    must(
      fields.every(({ name, value }) => !/[\r\n]/.test(name + value)),
      'a field of two lines',
    );
    const index = indexMessage(input);
    must(index.sizeBytes === input.length && index.headerBytes <= input.length, 'an index of other sizes');
    for (const part of numbersOf(index.structure, [], [])) {
      if (part.length > 0 && findPart(index, part) === null) continue;
      for (const kind of ['all', 'header', 'text', 'mime'] as const)
        must(
          (extractSection(input, index, { part, kind, fields: [] })?.length ?? 0) <= input.length + 2,
          'more than there is',
        );
    }
    JSON.stringify(index);
    return `${index.structure.kind} ${Math.min(fields.length, 6)} ${structure.length > 2} ${textContains(input, index, 'the')} ${bodyContains(input, index, 'x')}`;
  },
};

const mime: Target = {
  name: 'mime-to-email',
  ...DEFAULTS,
  maxMs: 1_500,
  refusal: nothing,
  corpus: mails(),
  words: [...MIME_WORDS, ...HTML_WORDS],
  async run(input) {
    const mail = await parseMail(input);
    const given = {
      from: OWN,
      uid: UID,
      parentUid: null,
      gatewayDomain: 'gw.example.com' as Domain,
      now: 1_768_000_000,
    };
    const body = toEmailBody({ mail, ...given });
    const content = parseBody('email', serializeBody('email', body));
    const header = { from: OWN, to: OWN, uid: UID, sent: SENT };
    const rendered = renderMessage({ header, content, notice: null });
    must(rendered.equals(renderMessage({ header, content, notice: null })), 'two renderings of one message');
    checkRendered(rendered);
    return `${mail.degraded} ${body.attachments.length > 0} ${body.signature_text === null} ${mail.root.contentType.slice(0, 12)}`;
  },
};

/** What a mail program is given: ASCII header lines of bounded length, each field named once by us, no field from a stranger. */
function checkRendered(rendered: Buffer): void {
  const end = rendered.indexOf('\r\n\r\n');
  must(end > 0, 'a message without end of header');
  const head = rendered.toString('latin1', 0, end);
  must(/^[\x20-\x7e\r\n\t]*$/.test(head), 'header bytes beyond ASCII');
  must(!/[^\r]\n|\r[^\n]/.test(head), 'bare line ends in the header');
  must(
    head.split('\r\n').every((line) => line.length <= 998),
    'a header line too long',
  );
  const names = head.split(/\r\n(?![ \t])/).map((line) => line.slice(0, line.indexOf(':')).toLowerCase());
  for (const name of ['from', 'to', 'subject', 'date', 'message-id', 'content-type', 'mime-version'])
    must(names.filter((one) => one === name).length === 1, `${name} is not there once`);
  must(
    names.every((name) => /^[a-z-]+$/.test(name) && !name.startsWith('x-smimp')),
    'a field that is not ours',
  );
  const index = indexMessage(rendered);
  must(index.structure.kind !== 'leaf' || index.headerBytes > 0, 'no structure');
}

/** The body of a stranger straight into the renderers. */
const render: Target = {
  name: 'email-to-mime',
  ...DEFAULTS,
  maxMs: 1_500,
  refusal: refusalOf(ProfileError),
  corpus: [...texts(vectorInputs('messages', 'build'), 'body').map((hex) => Buffer.from(hex, 'hex')), ...bodies()],
  words: [
    ...MARKDOWN_WORDS.map((word) => JSON.stringify(word).slice(1, -1)),
    '"content_id":"a"',
    '"content_type":"multipart/mixed; boundary=x"',
    '"smimp_bridge":{"v":1,"fields":[{"name":"importance","value":"x"}],"names":{}}',
    '\\r\\nBcc: x',
    '\\u202e',
    '"file_name":"',
  ],
  run(input) {
    const content = parseBody('email', input);
    const header = { from: OWN, to: 'bob#corp.test' as Address, uid: UID, sent: SENT };
    checkRendered(renderMessage({ header, content, notice: null }));
    return content.type === 'email'
      ? `${content.value.attachments.length} ${content.value.extensions_data === null}`
      : '';
  },
};

const html: Target = {
  name: 'html-to-markdown',
  ...DEFAULTS,
  maxMs: 1_500,
  refusal: nothing,
  corpus: [
    ...mails().map((mail) => mail.subarray(Math.max(0, mail.indexOf('<')))),
    ...HTML_WORDS.map(bytes),
    bytes('<table><tr><th>a<th>b<tr><td>1<td>2</table><ol start=3><li>x<li>y</ol><pre>a  b</pre>'),
  ],
  words: HTML_WORDS,
  run(input) {
    const markdown = htmlToMarkdown(cleanText(input.toString('utf8')));
    const shown = markdownToHtml(markdown, null);
    must(unsafeHtml(shown) === null, `from HTML: ${unsafeHtml(shown)}`);
    return `${markdownToText(markdown).length > 0} ${/\[.*\]\(/.test(markdown)} ${markdown.includes('|')} ${markdown.includes('```')}`;
  },
};

const markdown: Target = {
  name: 'markdown',
  ...DEFAULTS,
  maxMs: 1_500,
  refusal: nothing,
  corpus: [
    ...MARKDOWN_WORDS.map(bytes),
    bytes('# A\n\n- b\n  - c\n\n> d\n\n| e | f |\n|---|---|\n| g | h |\n\n```\ni\n```\n'),
  ],
  words: MARKDOWN_WORDS,
  run(input) {
    const text = cleanText(input.toString('utf8'));
    const shown = markdownToHtml(text, text.slice(0, 100));
    must(unsafeHtml(shown) === null, `from Markdown: ${unsafeHtml(shown)}`);
    must(!/[\ufffe\uffff]/.test(markdownToText(text)), 'noncharacters');
    const escaped = markdownToHtml(textToMarkdown(text), null);
    must(
      !/<(?:a|img|table|h[1-6])\b/.test(escaped.replace(/<a href="(?:https?|mailto|ftp):/gi, '')),
      'text that became markup',
    );
    return (shown.match(/<[a-z0-9]+/g) ?? []).slice(3, 9).join('');
  },
};

const own: Target = {
  name: 'own-address',
  ...DEFAULTS,
  refusal: nothing,
  corpus: [
    ...texts(vectorInputs('addresses'), 'text').map((text) => bytes(text.replace('#', '@'))),
    ...mails().map((mail) => mail.subarray(0, 1_000)),
    bytes('From: Alice <alice@acme.test>\r\nFrom: "eve@acme.test" <eve@acme.test>\r\n\r\n'),
  ],
  words: [
    'From: ',
    'FROM :',
    '<',
    '>',
    '@',
    'alice@acme.test',
    'alice@ACME.test',
    ',',
    '"',
    '(',
    '\r\n ',
    '\0',
    '=?utf-8?q?',
    '\u212a',
    ':',
    ';',
  ],
  run(input) {
    const text = input.toString('utf8');
    const found = addressOf(text);
    must(found === null || isAddress(found), 'no address');
    userAddress(text);
    return `${found === null} ${isFromOwn(input, OWN)}`;
  },
};

export const MAIL_TARGETS: readonly Target[] = [structure, mime, render, html, markdown, own];
