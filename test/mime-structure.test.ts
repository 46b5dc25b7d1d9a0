import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ResponseLine } from '../src/imap/wire/encoder.ts';
import { writeStructure } from '../src/imap/wire/structure-encoder.ts';
import { readHeaderBlock } from '../src/mime/header-block.ts';
import { headerEnd, headerFields, unfoldedValue } from '../src/mime/structure/header-fields.ts';
import { indexMessage } from '../src/mime/structure/message-index.ts';
import {
  applyPartial,
  extractFromIndex,
  extractSection,
  isHeaderSection,
  type Section,
} from '../src/mime/structure/section.ts';
import type { EnvelopeAddress, MessageIndex, Part, StructureLimits } from '../src/mime/structure/types.ts';

const bytes = (text: string): Buffer => Buffer.from(text, 'latin1');
const lines = (...all: string[]): Buffer => bytes(all.join('\r\n'));

/** The tree in brief: `mixed(plain,rfc822(plain))`. */
function brief(part: Part): string {
  if (part.kind === 'multipart') return `${part.subtype}(${part.children.map(brief).join(',')})`;
  return part.kind === 'message' ? `${part.subtype}(${brief(part.message)})` : part.subtype;
}

function tree(text: string | Buffer, limits: Partial<StructureLimits> = {}): string {
  return brief(indexMessage(typeof text === 'string' ? bytes(text) : text, limits).structure);
}

function section(raw: Buffer, name: string, fields: string[] = []): string | null {
  const pieces = name.split('.').filter((piece) => piece !== '');
  const part = pieces.filter((piece) => /^\d+$/.test(piece)).map(Number);
  const kind = (pieces.find((piece) => !/^\d+$/.test(piece)) ?? 'all') as Section['kind'];
  return extractSection(raw, indexMessage(raw), { part, kind, fields })?.toString('latin1') ?? null;
}

function to(value: string): EnvelopeAddress[] {
  return indexMessage(bytes(`To: ${value}\r\n\r\n`)).envelope.to;
}

function addresses(value: string): (string | null)[][] {
  return to(value).map(({ name, route, mailbox, host }) => [name, route, mailbox, host]);
}

describe('header fields', () => {
  const raw = lines('A: 1', 'B : two', ' and', '\tmore', 'junk', ' of junk', ': none', 'b:three  ', '', 'C: body');

  test('are found, unfolded and end at the blank line', () => {
    const found = [...headerFields(raw)].map((field) => [field.name, unfoldedValue(raw, field, 1000)]);
    expect(found).toEqual([
      ['a', '1'],
      ['b', 'two and\tmore'],
      ['b', 'three'],
    ]);
    expect(raw.toString('latin1', headerEnd(raw))).toBe('C: body');
  });

  test('may end with LF, or without any blank line', () => {
    const plain = bytes('A: 1\n b\nC: 2');
    expect([...headerFields(plain)].map((field) => unfoldedValue(plain, field, 1000))).toEqual(['1 b', '2']);
    expect(headerEnd(plain)).toBe(plain.length);
  });

  test('a value is looked at as far as the limit', () => {
    const long = bytes(`A:${'x'.repeat(100)}\r\n`);
    const [field] = headerFields(long);
    expect(field && unfoldedValue(long, field, 40)).toHaveLength(40);
  });
});

describe('the tree of parts', () => {
  const NESTED = lines(
    'Subject: outer',
    'Content-Type: multipart/mixed; boundary=out',
    '',
    'preamble',
    '--out',
    'Content-Type: multipart/alternative; boundary="out-in"',
    '',
    '--out-in',
    '',
    'text',
    'of two lines',
    '--out-in  ',
    'Content-Type: text/html',
    '',
    '<p>',
    '',
    '--out-in--',
    'epilogue --out',
    '--out',
    'Content-Type: message/rfc822',
    '',
    'Subject: inner',
    'Content-Type: multipart/digest; boundary=d',
    '',
    '--d',
    '',
    'Subject: one',
    '',
    'first',
    '--d--',
    '--out--',
    'epilogue',
  );

  test('is nested as sent', () => {
    expect(tree(NESTED)).toBe('mixed(alternative(plain,html),rfc822(digest(rfc822(plain))))');
  });

  test.each([
    ['1', null],
    ['1.1', 'text\r\nof two lines'],
    ['1.2', '<p>\r\n'],
    ['1.2.mime', 'Content-Type: text/html\r\n\r\n'],
    ['1.1.mime', '\r\n'],
    ['2.header', 'Subject: inner\r\nContent-Type: multipart/digest; boundary=d\r\n\r\n'],
    ['2.mime', 'Content-Type: message/rfc822\r\n\r\n'],
    ['2.text', '--d\r\n\r\nSubject: one\r\n\r\nfirst\r\n--d--'],
    ['2.1', 'Subject: one\r\n\r\nfirst'],
    ['2.1.header', 'Subject: one\r\n\r\n'],
    ['2.1.text', 'first'],
    ['2.1.1', 'first'],
    ['2.1.1.mime', 'Subject: one\r\n\r\n'],
    ['header', 'Subject: outer\r\nContent-Type: multipart/mixed; boundary=out\r\n\r\n'],
  ])('section %s', (name, expected) => {
    const found = section(NESTED, name);
    if (expected === null) expect(found).toContain('--out-in--\r\nepilogue --out');
    else expect(found).toBe(expected);
  });

  test.each(['3', '1.3', '1.1.1', '1.header', '1.1.text', '2.2', '2.1.2', '2.1.1.1', 'mime', '9.9.9'])(
    'section %s is not there',
    (name) => {
      expect(section(NESTED, name)).toBeNull();
    },
  );

  test('whole and text', () => {
    expect(section(NESTED, '')).toBe(NESTED.toString('latin1'));
    expect(section(NESTED, 'text')).toBe(NESTED.toString('latin1', NESTED.indexOf('preamble')));
  });

  test('a message that is no multipart has one part, 1', () => {
    const raw = lines('Subject: x', '', 'body');
    expect(section(raw, '1')).toBe('body');
    expect(section(raw, '1.mime')).toBe('Subject: x\r\n\r\n');
    expect(section(raw, '2')).toBeNull();
    expect(section(raw, '1.1')).toBeNull();
    expect(section(raw, '1.text')).toBeNull();
  });

  test('lines and sizes', () => {
    const count = (body: string): number => indexMessage(bytes(`A: b\r\n\r\n${body}`)).structure.lines;
    expect(count('')).toBe(0);
    expect(count('a')).toBe(1);
    expect(count('a\r\n')).toBe(1);
    expect(count('a\nb')).toBe(2);
    expect(count('\r\n\r\n')).toBe(2);
    const { structure } = indexMessage(NESTED);
    const [alternative] = structure.kind === 'multipart' ? structure.children : [];
    const found = alternative?.kind === 'multipart' ? alternative.children.map((part) => part.lines) : [];
    expect(found).toEqual([2, 1]);
  });

  test('LF alone gives the same tree and the same texts', () => {
    const raw = bytes(NESTED.toString('latin1').replaceAll('\r\n', '\n'));
    expect(tree(raw)).toBe(tree(NESTED));
    for (const name of ['1.1', '1.2', '2.1.text', '2.header']) {
      expect(section(raw, name)).toBe(section(NESTED, name)?.replaceAll('\r\n', '\n'));
    }
  });
});

describe('damaged messages', () => {
  test.each([
    ['', 'plain'],
    ['\r\n', 'plain'],
    ['no header at all', 'plain'],
    ['Content-Type: frob\r\n\r\nx', 'plain'],
    ['Content-Type: multipart/mixed\r\n\r\n--x\r\n\r\na', 'octet-stream'],
    ['Content-Type: multipart/mixed; boundary=""\r\n\r\n--\r\n\r\na', 'octet-stream'],
    ['Content-Type: multipart/mixed; boundary=x\r\n\r\nno parts', 'mixed(plain)'],
    ['Content-Type: multipart/mixed; boundary=x', 'mixed(plain)'],
    ['Content-Type: multipart/mixed; boundary=x\r\n\r\n--x--', 'mixed(plain)'],
    ['Content-Type: multipart/mixed; boundary=x\r\n\r\n--x', 'mixed(plain)'],
    [
      'Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nContent-Type: text/html\r\n--x\r\n\r\nb',
      'mixed(html,plain)',
    ],
    [
      'Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\na\r\n--x--\r\n--x\r\n\r\nafter the end',
      'mixed(plain)',
    ],
    ['Content-Type: multipart/mixed; boundary=x\r\n\r\n--xy\r\n\r\na\r\n--x\r\n\r\nb', 'mixed(plain)'],
    [
      'Content-Type: multipart/mixed; boundary=x\r\nContent-Transfer-Encoding: base64\r\n\r\n--x\r\n\r\na',
      'mixed(plain)',
    ],
    ['Content-Type: message/rfc822', 'rfc822(plain)'],
    ['Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\nQQ==', 'octet-stream'],
    [
      'Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nContent-Type: message/rfc822\r\n--x--',
      'mixed(rfc822(plain))',
    ],
    ['Content-Type: multipart/mixed; boundary=x--\r\n\r\n--x--\r\n\r\na\r\n--x----', 'mixed(plain)'],
    // The inner multipart takes the boundary of the outer one.
    [
      'Content-Type: multipart/a; boundary=x\r\n\r\n--x\r\nContent-Type: multipart/b; boundary=x\r\n\r\n--x\r\n\r\n1\r\n--x--\r\n--x\r\n\r\n2',
      'a(b(plain),plain)',
    ],
    [
      'Content-Type: multipart/a; boundary=x\r\n\r\n--x\r\nContent-Type: multipart/b; boundary=y\r\n\r\n--y\r\n\r\n1\r\n--x\r\n\r\n2',
      'a(b(plain),plain)',
    ],
  ])('%j', (text, expected) => {
    expect(tree(text)).toBe(expected);
  });

  test('an empty part lies where it should', () => {
    const raw = bytes('Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\n--x--');
    expect(section(raw, '1')).toBe('');
    expect(section(raw, '1.mime')).toBe('\r\n');
  });

  test('whatever the bytes, the parts lie within the message and its answer can be written', () => {
    const piece = fc.constantFrom(
      'Content-Type: ',
      'multipart/mixed; boundary=a\r\n',
      'multipart/digest; boundary=b\n',
      'message/rfc822\r\n',
      'text/plain\r\n',
      '\r\n',
      '\n',
      '--a',
      '--b',
      '--',
      '--a--\r\n',
      ' ',
      'x',
      '\0',
      '\xff',
      'To: a@b, "',
      'Subject: x\r\n',
      ';',
      '(',
      '"',
      '\\',
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 60 }), (pieces) => {
        const raw = bytes(pieces.join(''));
        const index = indexMessage(raw, { depth: 5, parts: 10 });
        expectWithin(index.structure, raw.length);
        expect(JSON.parse(JSON.stringify(index))).toEqual(index);
        const line = new ResponseLine();
        writeStructure(line, index.structure, true);
        expect(line.toBuffer().toString('latin1')).toMatch(/^\(/);
      }),
      { numRuns: 1000, seed: 7 },
    );
  });
});

function expectWithin(part: Part, end: number): void {
  expect(part.headerStart).toBeLessThanOrEqual(part.bodyStart);
  expect(part.bodyStart).toBeLessThanOrEqual(part.bodyEnd);
  expect(part.bodyEnd).toBeLessThanOrEqual(end);
  if (part.kind === 'multipart') expect(part.children.length).toBeGreaterThan(0);
  const children = part.kind === 'multipart' ? part.children : part.kind === 'message' ? [part.message] : [];
  for (const child of children) {
    expect(child.headerStart).toBeGreaterThanOrEqual(part.bodyStart);
    expectWithin(child, end);
  }
}

describe('fields of a part', () => {
  const fieldsOf = (...header: string[]): Part => indexMessage(lines(...header, '', '')).structure;

  test('the content type', () => {
    const type = (value: string): unknown => {
      const { type, subtype, params } = fieldsOf(`Content-Type: ${value}`);
      return [`${type}/${subtype}`, ...params.map((param) => param.join('='))];
    };
    expect(type('TEXT/HTML; Charset="utf-8"')).toEqual(['text/html', 'Charset=utf-8']);
    expect(type('text/plain; charset=us-ascii (Plain text)')).toEqual(['text/plain', 'charset=us-ascii']);
    expect(type('text / plain;charset = x ;; y')).toEqual(['text/plain', 'charset=x']);
    expect(type('(a (b)) text/plain')).toEqual(['text/plain']);
    expect(type('application/pdf; name="a;b\\"c.pdf"; x=y')).toEqual(['application/pdf', 'name=a;b"c.pdf', 'x=y']);
    expect(type('application/pdf; name=my file(1).pdf')).toEqual(['application/pdf', 'name=my file(1).pdf']);
    expect(type('application/pdf; name="unclosed')).toEqual(['application/pdf', 'name=unclosed']);
    expect(type("a/b; name*0*=utf-8''a%20; name*1=b")).toEqual(['a/b', "name*0*=utf-8''a%20", 'name*1=b']);
    expect(type('a/b; boundary=----=_Part(1)')).toEqual(['a/b', 'boundary=----=_Part(1)']);
    expect(type('text')).toEqual(['text/plain', 'charset=us-ascii']);
    expect(type('text/a/b')).toEqual(['text/plain', 'charset=us-ascii']);
  });

  test('the others', () => {
    const part = fieldsOf(
      'Content-Disposition: (c \\) c) inline (d); filename=x',
      'Content-Language: de (German),, en',
      'Content-Transfer-Encoding: Quoted-Printable (x)',
      'content-id:   <a@b>  ',
    );
    expect(part).toMatchObject({
      disposition: { type: 'inline', params: [['filename', 'x']] },
      language: ['de', 'en'],
      encoding: 'Quoted-Printable',
      id: '<a@b>',
    });
  });
});

describe('the envelope', () => {
  test.each([
    ['', []],
    ['a@b', [[null, null, 'a', 'b']]],
    ['Joe Q. Public <john.q.public@example.com>', [['Joe Q. Public', null, 'john.q.public', 'example.com']]],
    ['"Giant; \\"Big\\" Box" <a@b>', [['Giant; "Big" Box', null, 'a', 'b']]],
    ['a@b (Joe)', [['Joe', null, 'a', 'b']]],
    ['Pete(A nice \\) chap) <pete(his account)@silly.test(his host)>', [['Pete', null, 'pete', 'silly.test']]],
    ['"quoted local"@b', [[null, null, 'quoted local', 'b']]],
    ['a@[IPv6:::1]', [[null, null, 'a', '[IPv6:::1]']]],
    ['<@x,@y:a@b>', [[null, '@x,@y', 'a', 'b']]],
    [
      'A Group:Ed Jones <joe@where.test>,john@c.test;, x@y',
      [
        [null, null, 'A Group', null],
        ['Ed Jones', null, 'joe', 'where.test'],
        [null, null, 'john', 'c.test'],
        [null, null, null, null],
        [null, null, 'x', 'y'],
      ],
    ],
    [
      'Undisclosed recipients:;',
      [
        [null, null, 'Undisclosed recipients', null],
        [null, null, null, null],
      ],
    ],
    [
      'open group: a@b',
      [
        [null, null, 'open group', null],
        [null, null, 'a', 'b'],
        [null, null, null, null],
      ],
    ],
    ['root', [[null, null, 'root', '']]],
    ['<>', [[null, null, '', '']]],
    [',, a@b ,', [[null, null, 'a', 'b']]],
    ['Two <a@b> c@d', [['Two c@d', null, 'a', 'b']]],
    ['=?utf-8?q?J=C3=B6?= <a@b>', [['=?utf-8?q?J=C3=B6?=', null, 'a', 'b']]],
    ['J\xf6rg <a@b>', [['J\xf6rg', null, 'a', 'b']]],
    ['a . b @ c . d', [[null, null, 'a.b', 'c.d']]],
    ['"unclosed <a@b>', [[null, null, 'unclosed <a@b>', '']]],
    ['(unclosed a@b', []],
  ])('%s', (value, expected) => {
    expect(addresses(value)).toEqual(expected);
  });

  test('sender and reply-to are those of from where there are none', () => {
    const { envelope } = indexMessage(lines('From: a@b', 'Reply-To:', 'Sender: c@d', 'To: e@f', 'TO: g@h', '', ''));
    expect(envelope.replyTo).toEqual(envelope.from);
    expect(envelope.sender.map(({ mailbox }) => mailbox)).toEqual(['c']);
    expect(envelope.to.map(({ mailbox }) => mailbox)).toEqual(['e', 'g']);
  });

  test('fields that are not there are null, and 8-bit bytes are kept', () => {
    const { envelope } = indexMessage(lines('Subject: a', ' \xfc', 'Message-ID: <1@a>', '', 'Date: in the body'));
    expect(envelope).toMatchObject({
      subject: 'a \xfc',
      messageId: '<1@a>',
      date: null,
      inReplyTo: null,
      from: [],
      bcc: [],
    });
  });
});

describe('header sections', () => {
  const raw = lines('From: a', 'To: b', ' c', 'Subject: d', 'to: e', 'garbage', '', 'body');

  test('fields come as they stand, in their order, with a blank line', () => {
    expect(section(raw, 'fields', ['TO', 'X'])).toBe('To: b\r\n c\r\nto: e\r\n\r\n');
    expect(section(raw, 'fields-not', ['to'])).toBe('From: a\r\nSubject: d\r\n\r\n');
    expect(section(raw, 'fields', ['x'])).toBe('\r\n');
    expect(section(bytes('From: a'), 'fields', ['from'])).toBe('From: a\r\n\r\n');
  });

  test('the index alone answers them', () => {
    const index: MessageIndex = JSON.parse(JSON.stringify(indexMessage(raw)));
    for (const kind of ['header', 'fields', 'fields-not'] as const) {
      const wanted = { part: [], kind, fields: ['to'] };
      expect(isHeaderSection(index, wanted)).toBe(true);
      expect(extractFromIndex(index, wanted)).toEqual(extractSection(raw, index, wanted));
    }
    expect(extractFromIndex(index, { part: [], kind: 'text', fields: [] })).toBeNull();
    expect(extractFromIndex(index, { part: [1], kind: 'header', fields: [] })).toBeNull();
    expect(extractFromIndex({ ...index, header: null }, { part: [], kind: 'header', fields: [] })).toBeNull();
  });

  test('partial ranges', () => {
    const data = bytes('0123456789');
    expect(applyPartial(data, null)).toEqual(data);
    expect(applyPartial(data, { offset: 2, count: 3 }).toString()).toBe('234');
    expect(applyPartial(data, { offset: 8, count: 100 }).toString()).toBe('89');
    expect(applyPartial(data, { offset: 10, count: 1 })).toHaveLength(0);
    expect(applyPartial(data, { offset: 4_294_967_295, count: 4_294_967_295 })).toHaveLength(0);
  });
});

describe('limits', () => {
  const multiparts = (depth: number): string =>
    Array.from(
      { length: depth },
      (_, level) => `Content-Type: multipart/mixed; boundary=b${level}\r\n\r\n--b${level}\r\n`,
    ).join('');
  const depthOf = (part: Part): number => {
    if (part.kind === 'multipart') return 1 + Math.max(...part.children.map(depthOf));
    return part.kind === 'message' ? 1 + depthOf(part.message) : 0;
  };

  test('nesting ends at the limit in an opaque part', () => {
    expect(tree(multiparts(3), { depth: 3 })).toBe('mixed(mixed(mixed(plain)))');
    expect(tree(multiparts(4), { depth: 3 })).toBe('mixed(mixed(mixed(octet-stream)))');
    expect(tree('Content-Type: message/rfc822\r\n\r\n'.repeat(4), { depth: 3 })).toBe(
      'rfc822(rfc822(rfc822(octet-stream)))',
    );
  });

  test('10,000 levels of multiparts and of messages', () => {
    expect(depthOf(indexMessage(bytes(multiparts(10_000))).structure)).toBe(50);
    const closed =
      multiparts(10_000) + Array.from({ length: 10_000 }, (_, level) => `\r\n--b${9_999 - level}--`).join('');
    expect(depthOf(indexMessage(bytes(closed)).structure)).toBe(50);
    expect(depthOf(indexMessage(bytes('Content-Type: message/rfc822\r\n\r\n'.repeat(10_000))).structure)).toBe(50);
  });

  test('the last part that is allowed takes the rest', () => {
    const raw = bytes(`Content-Type: multipart/mixed; boundary=x\r\n\r\n${'--x\r\n\r\na\r\n'.repeat(5)}--x--`);
    expect(tree(raw, { parts: 6 })).toBe('mixed(plain,plain,plain,plain,plain)');
    expect(tree(raw, { parts: 4 })).toBe('mixed(plain,plain,plain)');
    const { structure } = indexMessage(raw, { parts: 4 });
    const last = structure.kind === 'multipart' ? structure.children.at(-1) : undefined;
    expect(raw.toString('latin1', last?.bodyStart, last?.bodyEnd)).toMatch(/^a\r\n--x.*--x--$/s);
  });

  test('100,000 header lines, and as many continuations', () => {
    const many = bytes(`${'X-Line: value\r\n'.repeat(100_000)}Subject: last\r\n\r\nbody`);
    const index = indexMessage(many);
    expect(index.envelope.subject).toBe('last');
    expect(index.header).toBeNull();
    expect(section(many, 'fields', ['subject'])).toBe('Subject: last\r\n\r\n');
    const folded = indexMessage(bytes(`To: a@b\r\n${' ,c@d\r\n'.repeat(100_000)}Subject: last\r\n\r\n`));
    expect(folded.envelope.to).toHaveLength(5_000);
    expect(folded.envelope.subject).toBe('last');
  });

  test('addresses and parameters are cut at the limit', () => {
    expect(indexMessage(bytes(`To: ${'a@b,'.repeat(20)}\r\n\r\n`), { addresses: 7 }).envelope.to).toHaveLength(7);
    const params = Array.from({ length: 20 }, (_, index) => `; p${index}=v`).join('');
    expect(indexMessage(bytes(`Content-Type: a/b${params}\r\n\r\n`), { parameters: 7 }).structure.params).toHaveLength(
      7,
    );
  });

  test('the header is kept up to the limit', () => {
    const raw = bytes('A: b\r\n\r\nbody');
    expect(indexMessage(raw, { keptHeaderBytes: 8 }).header).toBe('A: b\r\n\r\n');
    expect(indexMessage(raw, { keptHeaderBytes: 7 }).header).toBeNull();
  });

  test.each([
    ['parentheses', `To: ${'('.repeat(250_000)}`],
    ['quotes that never close', `To: "${'\\"'.repeat(120_000)}\\`],
    ['brackets', `To: ${'['.repeat(250_000)}`],
    ['angles', `To: ${'<@:'.repeat(80_000)}`],
    ['quoted parameters', `Content-Type: a/b; c="${'\\"'.repeat(120_000)}\\`],
    ['spaces', `Content-Type: a/b;${' '.repeat(250_000)}c`],
    ['comments', `Content-Disposition: ${'(a)'.repeat(80_000)}x`],
    ['languages', `Content-Language: ${','.repeat(250_000)}`],
  ])('a field of nothing but %s', (_name, field) => {
    expect(indexMessage(bytes(`${field}\r\nSubject: there\r\n\r\n`)).envelope.subject).toBe('there');
  });
});

test('a header that ends with CR CR LF ends there, for both readers', async () => {
  const raw = Buffer.from('Subject: s\r\r\nFrom: a@b.test\r\r\n\r\r\ntext\r\r\n');
  const { structure, headerBytes } = indexMessage(raw);
  expect(raw.subarray(headerBytes).toString()).toBe('text\r\r\n');
  expect(structure.bodyStart).toBe(readHeaderBlock(raw).bodyStart);
});
