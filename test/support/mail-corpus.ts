/** The corpus in fixtures/mail: each message beside what is expected of it. The directory is listed, never named file by file. */
import { Buffer } from 'node:buffer';
import { readdirSync, readFileSync } from 'node:fs';
import { z } from 'zod';

const DIRECTORY = new URL('../../fixtures/mail/', import.meta.url);

const attachmentSchema = z.strictObject({
  name: z.string(),
  type: z.string(),
  bytes: z.int(),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
});
const expectationSchema = z.strictObject({
  /** What the message is, in a sentence. */
  what: z.string(),
  subject: z.string(),
  /** The Markdown of the body, exactly. */
  body: z.string().optional(),
  /** What the body says, as plain text. */
  shown: z.string().optional(),
  /** Pieces of the Markdown, where the whole would be long. */
  includes: z.array(z.string()).optional(),
  excludes: z.array(z.string()).optional(),
  signature: z.string().nullable().optional(),
  attachments: z.array(attachmentSchema),
  to: z.array(z.string()).optional(),
  cc: z.array(z.string()).optional(),
  /** Addresses that are none of SMIMP's. */
  legacy: z.array(z.string()).optional(),
  names: z.record(z.string(), z.string()).optional(),
  date: z.string().optional(),
  /** What cannot stand in a message that we write is named otherwise there: types of parts, addresses beyond ASCII. */
  downgraded: z.boolean().optional(),
  /** Of the parts that a mail program is given again: their types, in order. */
  parts: z.array(z.string()).optional(),
});
export type Expectation = z.infer<typeof expectationSchema>;
export type CorpusMail = { name: string; raw: Buffer; expected: Expectation };

const named = (ending: string): string[] =>
  readdirSync(DIRECTORY)
    .filter((file) => file.endsWith(ending))
    .map((file) => file.slice(0, -ending.length))
    .sort();

export const CORPUS_NAMES: readonly string[] = named('.eml');
/** Must be the same names. */
export const EXPECTED_NAMES: readonly string[] = named('.json');

export function corpusMail(name: string): CorpusMail {
  const read = (ending: string): Buffer => readFileSync(new URL(`${name}${ending}`, DIRECTORY));
  return { name, raw: read('.eml'), expected: expectationSchema.parse(JSON.parse(read('.json').toString('utf8'))) };
}

export const corpus = (): CorpusMail[] => CORPUS_NAMES.map(corpusMail);

/** Bytes that do not compress, the same in every run. */
function noise(sizeBytes: number, seed: number): Buffer {
  const out = Buffer.alloc(sizeBytes);
  let state = seed;
  for (let at = 0; at < sizeBytes; at += 1) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    out[at] = state >>> 24;
  }
  return out;
}

const folded = (text: string, chars: number): string =>
  text.match(new RegExp(`.{1,${chars}}`, 'g'))?.join('\r\n') ?? '';
const encodedFile = (name: string, content: Buffer, chars = 76, id = ''): string =>
  `Content-Type: application/octet-stream; name="${name}"\r\nContent-Transfer-Encoding: base64\r\n${id}` +
  `Content-Disposition: attachment; filename="${name}"\r\n\r\n${folded(content.toString('base64'), chars)}\r\n`;
const quoted = (text: string): string =>
  text.replace(/[^\n\x20-\x3c\x3e-\x7e]/gu, (char) =>
    Array.from(Buffer.from(char), (byte) => `=${byte.toString(16).toUpperCase().padStart(2, '0')}`).join(''),
  );

/** Large messages, as the programs of people make them; made here, so that the repository stays small. */
export function largeMails(): { name: string; raw: Buffer }[] {
  const head = (what: string): string =>
    `From: Alice <alice@acme.test>\r\nTo: bob@corp.test\r\nSubject: ${what}\r\nMessage-ID: <${what}@acme.test>\r\nMIME-Version: 1.0\r\n`;
  const mixed = (what: string, ...parts: string[]): { name: string; raw: Buffer } => ({
    name: what,
    raw: Buffer.from(
      `${head(what)}Content-Type: multipart/mixed; boundary=b\r\n\r\n` +
        `${['Content-Type: text/plain; charset=utf-8\r\n\r\nSee below.\r\n', ...parts].map((part) => `--b\r\n${part}\r\n`).join('')}--b--\r\n`,
    ),
  });
  const related = (inner: string): string =>
    `Content-Type: multipart/related; boundary=r\r\n\r\n--r\r\nContent-Type: text/html\r\n\r\n<img src="cid:p@x">\r\n--r\r\n${inner}\r\n--r--\r\n`;
  const csv = Array.from({ length: 9_000 }, (_, row) => `${row};Größe ${row % 97};${(row * 7_919) % 1_000}`).join('\n');
  return [
    mixed('large-file', encodedFile('a.bin', noise(150_000, 1))),
    mixed('large-lines-of-72', encodedFile('a.bin', noise(150_001, 2), 72)),
    mixed('large-one-line', encodedFile('a.bin', noise(120_002, 3), 200_000)),
    mixed('large-three-files', ...[4, 5, 6].map((seed) => encodedFile(`f${seed}.bin`, noise(110_000, seed)))),
    mixed('large-and-small', encodedFile('a.bin', noise(130_000, 7)), encodedFile('b.txt', Buffer.from('small'))),
    mixed('large-picture', related(encodedFile('p.png', noise(140_000, 8), 76, 'Content-ID: <p@x>\r\n'))),
    mixed(
      'large-quoted-printable',
      `Content-Type: text/csv; charset=utf-8; name=t.csv\r\nContent-Transfer-Encoding: quoted-printable\r\nContent-Disposition: attachment; filename=t.csv\r\n\r\n${quoted(csv).replace(/\n/g, '\r\n')}`,
    ),
    mixed(
      'large-8bit',
      `Content-Type: text/csv; charset=utf-8; name=t.csv\r\nContent-Transfer-Encoding: 8bit\r\nContent-Disposition: attachment; filename=t.csv\r\n\r\n${csv.replace(/\n/g, '\r\n')}`,
    ),
    mixed(
      'large-forwarded',
      `Content-Type: message/rfc822\r\n\r\n${mixed('inner', encodedFile('a.bin', noise(125_000, 9)))
        .raw.toString()
        .replace(/boundary=b/, 'boundary=i')
        .replace(/--b/g, '--i')}`,
    ),
  ];
}

const FILE = folded(noise(100_100, 10).toString('base64'), 76);

/** The message with all its bytes as text, and a file beside it. */
export function besideFile(text: Buffer): Buffer {
  return Buffer.concat([
    Buffer.from('From: a@b.test\r\nContent-Type: multipart/mixed; boundary=outermost\r\n\r\n--outermost\r\n'),
    Buffer.from('Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n'),
    text,
    Buffer.from(`\r\n--outermost\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\n${FILE}`),
    Buffer.from('\r\n--outermost--\r\n'),
  ]);
}
