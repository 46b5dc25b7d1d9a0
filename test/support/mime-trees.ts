/**
 * Messages of any structure for property tests: a tree is drawn, and written as one of the many ways in which mail programs
 * write it. What was drawn is the expectation. Damage comes afterwards, and then only that nothing breaks can be expected.
 */
import { Buffer } from 'node:buffer';
import fc from 'fast-check';
import iconv from 'iconv-lite';

/** A part without children, its content before any transfer encoding. */
export type DrawnLeaf = {
  kind: 'leaf';
  type: string;
  content: Buffer;
  encoding: Encoding;
  /** Characters in a line of base64; 0 for one line. */
  lineChars: number;
  /** Hex digits of quoted-printable in lower case, as some write them. */
  lowerCase: boolean;
  fileName: string | null;
  nameStyle: NameStyle;
};
export type DrawnMultipart = {
  kind: 'multipart';
  subtype: string;
  children: DrawnPart[];
  boundary: string;
  preamble: string;
  epilogue: string;
  padding: string;
};
/** message/rfc822 as an attachment. */
export type DrawnMessage = { kind: 'message'; message: DrawnPart; subject: string; fileName: string | null };
export type DrawnPart = DrawnLeaf | DrawnMultipart | DrawnMessage;

export type Encoding = '7bit' | '8bit' | 'base64' | 'quoted-printable';
export type NameStyle = 'plain' | 'rfc2231' | 'rfc2231-pieces' | 'rfc2047' | 'raw';
export type DrawnMail = { root: DrawnPart; subject: string; lineEnd: '\r\n' | '\n'; lastLineEnd: boolean };

const TEXTS = [
  'hello',
  'two\nlines',
  'Grüße aus Köln',
  'Привет, мир',
  'こんにちは、世界',
  '',
  'a = b\n> quoted\n-- \nme',
  'x ',
];
const NAMES = [
  'a.txt',
  'two words.pdf',
  'Bericht für März.pdf',
  'Отчёт.doc',
  '日本語の長い名前のファイル.xlsx',
  'q"uote.bin',
  "it's (1).zip",
];
const CHARSETS = [
  'utf-8',
  'us-ascii',
  'iso-8859-1',
  'windows-1251',
  'koi8-r',
  'shift_jis',
  'euc-jp',
  'gb18030',
  'utf-16be',
];
const FILE_TYPES = ['application/octet-stream', 'image/png', 'application/pdf', 'text/csv', 'application/x-unknown'];
const SUBTYPES = ['mixed', 'alternative', 'related', 'signed', 'parallel', 'x-new'];
const BOUNDARIES = ['b', '=_x.y', '----=_Part 1', "'()+_,-./:=?", 'x'.repeat(70), '--', '0'];

const textLeaf: fc.Arbitrary<DrawnLeaf> = fc
  .record({
    text: fc.constantFrom(...TEXTS),
    charset: fc.constantFrom(...CHARSETS),
    subtype: fc.constantFrom('plain', 'html'),
    encoding: fc.constantFrom<Encoding>('7bit', '8bit', 'base64', 'quoted-printable'),
    lineChars: fc.constantFrom(76, 60, 4, 0),
    lowerCase: fc.boolean(),
  })
  .map(({ text, charset, subtype, encoding, ...rest }) => {
    const content = iconv.encode(text, charset);
    return {
      ...{ kind: 'leaf', type: `text/${subtype}; charset=${charset}`, content, ...rest },
      ...{ encoding: allowed(encoding, content), fileName: null, nameStyle: 'plain' },
    };
  });

const fileLeaf: fc.Arbitrary<DrawnLeaf> = fc
  .record({
    type: fc.constantFrom(...FILE_TYPES),
    content: fc.oneof(
      fc.uint8Array({ maxLength: 300 }),
      fc.constantFrom(...TEXTS).map((text) => Buffer.from(text)),
    ),
    encoding: fc.constantFrom<Encoding>('base64', 'base64', 'quoted-printable', '8bit'),
    lineChars: fc.constantFrom(76, 72, 64, 4, 0),
    lowerCase: fc.boolean(),
    fileName: fc.constantFrom(...NAMES),
    nameStyle: fc.constantFrom<NameStyle>('plain', 'rfc2231', 'rfc2231-pieces', 'rfc2047', 'raw'),
  })
  .map(({ content, encoding, ...rest }) => {
    const bytes = Buffer.from(content);
    return { kind: 'leaf', ...rest, content: bytes, encoding: allowed(encoding, bytes) };
  });

/** Without an encoding only what survives one: lines of text, no boundary of anybody's. */
function allowed(encoding: Encoding, content: Buffer): Encoding {
  const eightBit = content.some((byte) => byte > 0x7e || (byte < 0x20 && byte !== 0x0a));
  const lines = content.every((byte) => byte === 0x0a || byte >= 0x20);
  if ((encoding === '8bit' && !lines) || (encoding === '7bit' && eightBit)) return 'base64';
  return encoding === '8bit' && content.includes('\n--') ? 'base64' : encoding;
}

const { part } = fc.letrec<{ part: DrawnPart; multipart: DrawnPart; message: DrawnPart }>((tie) => ({
  part: fc.oneof({ maxDepth: 4, withCrossShrink: true }, textLeaf, fileLeaf, tie('multipart'), tie('message')),
  multipart: fc.record({
    kind: fc.constant('multipart' as const),
    subtype: fc.constantFrom(...SUBTYPES),
    children: fc.array(tie('part'), { minLength: 1, maxLength: 4 }),
    boundary: fc.constantFrom(...BOUNDARIES),
    preamble: fc.constantFrom('', 'This is a multi-part message in MIME format.\n', '\n\n'),
    epilogue: fc.constantFrom('', '\n', 'behind it\n'),
    padding: fc.constantFrom('', '', ' ', '\t '),
  }),
  message: fc.record({
    kind: fc.constant('message' as const),
    message: tie('part'),
    subject: fc.constantFrom('inner', '=?utf-8?q?in=C3=A9r?='),
    fileName: fc.constantFrom(null, 'forwarded.eml'),
  }),
}));

/** Well-formed mail, with what it holds. */
export const drawnMail: fc.Arbitrary<DrawnMail> = fc
  .record({
    root: part,
    subject: fc.constantFrom('plain', '=?iso-8859-1?Q?Gr=FC=DFe?=', 'raw Grüße', ''),
    lineEnd: fc.constantFrom('\r\n' as const, '\r\n' as const, '\n' as const),
    lastLineEnd: fc.boolean(),
  })
  .map((mail) => ({ ...mail, root: distinct(mail.root) }));

/** Boundaries that no other part of the message has, none the beginning of another. */
function distinct(root: DrawnPart): DrawnPart {
  let count = 0;
  const visit = (one: DrawnPart): DrawnPart => {
    if (one.kind === 'leaf') return one;
    if (one.kind === 'message') return { ...one, message: visit(one.message) };
    count += 1;
    const boundary = `${one.boundary.slice(0, 60)}${count}q`;
    return { ...one, boundary, children: one.children.map(visit) };
  };
  return visit(root);
}

/** The bytes of a message as they travel. */
export function writeMail({ root, subject, lineEnd, lastLineEnd }: DrawnMail): Buffer {
  // Behind the only part of a message a line end is content of that part.
  const ended = lastLineEnd && root.kind !== 'leaf';
  const head = `From: alice@acme.test\nTo: bob@corp.test\nSubject: ${subject}\nDate: Thu, 1 Feb 2024 10:00:00 +0100\nMIME-Version: 1.0\n`;
  const text = Buffer.concat([Buffer.from(head), written(root), Buffer.from(ended ? '\n' : '')]);
  return lineEnd === '\n' ? text : Buffer.from(text.toString('latin1').replace(/\n/g, '\r\n'), 'latin1');
}

function written(one: DrawnPart): Buffer {
  if (one.kind === 'leaf') return writtenLeaf(one);
  if (one.kind === 'multipart') return writtenMultipart(one);
  const named = one.fileName === null ? '' : `Content-Disposition: attachment; filename="${one.fileName}"\n`;
  return Buffer.concat([
    Buffer.from(`Content-Type: message/rfc822\n${named}\nSubject: ${one.subject}\nMIME-Version: 1.0\n`),
    written(one.message),
  ]);
}

function writtenMultipart({ subtype, children, boundary, preamble, epilogue, padding }: DrawnMultipart): Buffer {
  const pieces = children.flatMap((child) => [Buffer.from(`\n--${boundary}${padding}\n`), written(child)]);
  return Buffer.concat([
    Buffer.from(`Content-Type: multipart/${subtype};\n boundary="${boundary}"\n\n${preamble}`),
    ...pieces,
    Buffer.from(`\n--${boundary}--${padding}\n${epilogue}`),
  ]);
}

function writtenLeaf(leaf: DrawnLeaf): Buffer {
  const named = leaf.fileName === null ? '' : nameField(leaf.fileName, leaf.nameStyle);
  const head = `Content-Type: ${leaf.type}\nContent-Transfer-Encoding: ${leaf.encoding}\n${named}\n`;
  return Buffer.concat([Buffer.from(head), transferEncoded(leaf)]);
}

function nameField(name: string, style: NameStyle): string {
  const field = 'Content-Disposition: attachment;\n ';
  const quoted = `"${name.replace(/["\\]/g, '\\$&')}"`;
  const percent = (text: string): string =>
    encodeURIComponent(text).replace(/['()*]/g, (c) => `%${c.charCodeAt(0).toString(16)}`);
  if (style === 'rfc2231') return `${field}filename*=UTF-8''${percent(name)}\n`;
  if (style === 'rfc2231-pieces') return `${field}${pieces(percent(name))}\n`;
  const ascii = /^[\x20-\x7e]*$/.test(name);
  if (style === 'rfc2047' || (style === 'plain' && !ascii))
    return `${field}filename="=?utf-8?B?${Buffer.from(name).toString('base64')}?="\n`;
  return `${field}filename=${quoted}\n`;
}

/** RFC 2231 §3, cut anywhere but within an escape, so within characters too. */
function pieces(percent: string): string {
  const parts = percent.match(/(?:%..|[^%]){1,7}/g) ?? [''];
  return parts.map((text, index) => `filename*${index}*=${index === 0 ? "utf-8''" : ''}${text}`).join(';\n ');
}

function transferEncoded({ content, encoding, lineChars, lowerCase }: DrawnLeaf): Buffer {
  if (encoding === 'base64') {
    const base64 = content.toString('base64');
    return Buffer.from(lineChars === 0 ? base64 : base64.replace(new RegExp(`.{${lineChars}}(?=.)`, 'g'), '$&\n'));
  }
  if (encoding !== 'quoted-printable') return content;
  const hex = (byte: number): string => {
    const digits = byte.toString(16).padStart(2, '0');
    return `=${lowerCase ? digits : digits.toUpperCase()}`;
  };
  const text = Array.from(content, (byte) =>
    byte > 0x20 && byte < 0x7f && byte !== 0x3d ? String.fromCharCode(byte) : hex(byte),
  );
  return Buffer.from((text.join('').match(/(?:=..|[^=]){1,24}/g) ?? []).join('=\n'));
}

/** Every leaf and every forwarded message, in order, as a reader meets them who does not look into forwarded ones. */
export function leavesOf(root: DrawnPart): (DrawnLeaf | DrawnMessage)[] {
  return root.kind === 'multipart' ? root.children.flatMap(leavesOf) : [root];
}

/** Parts of any kind, the root included, those within forwarded messages too. */
export function countParts(root: DrawnPart): number {
  if (root.kind === 'leaf') return 1;
  const children = root.kind === 'multipart' ? root.children : [root.message];
  return children.reduce((sum, child) => sum + countParts(child), 1);
}

type Damage = (raw: Buffer, at: number, other: number) => Buffer;
const splice = (raw: Buffer, at: number, end: number, put: string): Buffer =>
  Buffer.concat([raw.subarray(0, at), Buffer.from(put, 'latin1'), raw.subarray(Math.max(at, end))]);

/** What happens to mail on its way, or in bad programs. */
const DAMAGES: readonly Damage[] = [
  (raw, at) => raw.subarray(0, at),
  (raw, at) => raw.subarray(at),
  (raw, at, other) => splice(raw, at, other, ''),
  (raw, at) => splice(raw, at, at, '\0'),
  (raw, at) => splice(raw, at, at, '\r'),
  (raw, at) => splice(raw, at, at, '\n'),
  (raw, at) => splice(raw, at, at, '\r\n\r\n'),
  (raw, at) => splice(raw, at, at, '\xff\xfe\x80'),
  (raw, at) => splice(raw, at, at + 1, '='),
  (raw, at, other) => Buffer.concat([raw, raw.subarray(at, other)]),
  (raw, at) => splice(raw, at, at, 'Content-Type: multipart/mixed; boundary="b1q"\r\n'),
  (raw, at) => splice(raw, at, at, `${'x'.repeat(2_000)}`),
  (raw) => Buffer.from(raw.toString('latin1').replace(/boundary=/gi, 'boundry='), 'latin1'),
  (raw) => Buffer.from(raw.toString('latin1').replace(/\n--/, '\n- -'), 'latin1'),
  (raw) => Buffer.from(raw.toString('latin1').replace(/\r\n/g, '\r'), 'latin1'),
];

/** Mail of any kind, most of it spoilt. */
export const uglyMail: fc.Arbitrary<Buffer> = fc
  .record({
    mail: drawnMail.map(writeMail),
    damages: fc.array(
      fc.tuple(
        fc.constantFrom(...DAMAGES),
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.double({ min: 0, max: 1, noNaN: true }),
      ),
      { maxLength: 4 },
    ),
  })
  .map(({ mail, damages }) =>
    damages.reduce((raw, [damage, a, b]) => damage(raw, Math.floor(a * raw.length), Math.floor(b * raw.length)), mail),
  );
