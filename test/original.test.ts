/** Legacy messages packed beside their bodies and put together again: every byte, for whatever mail there is. */
import { Buffer } from 'node:buffer';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { hideBcc } from '../src/mime/original/bcc.ts';
import { MAX_PACKED_BYTES, MAX_SKELETON_BYTES, type Original } from '../src/mime/original/format.ts';
import { fitBeside, MAX_CONTENT_BYTES, packOriginal } from '../src/mime/original/pack.ts';
import { parseOriginal, rebuildOriginal } from '../src/mime/original/rebuild.ts';
import { randomBytes } from '../src/smimp/crypto.ts';
import type { EmailBody } from '../src/smimp/email.ts';
import { toEmail } from './support/mail.ts';
import { drawnMail, uglyMail, writeMail } from './support/mime-trees.ts';

const MAIL = fileURLToPath(new URL('../fixtures/mail/', import.meta.url));
const SEED = { seed: 20_240_202 };

/** Packed, sent as JSON, and checked to come back. */
async function roundTrip(raw: Buffer): Promise<{ original: Original; body: EmailBody }> {
  const body = await toEmail(raw);
  const before = Buffer.from(raw);
  const original = packOriginal({ raw, attachments: body.attachments });
  expect(raw.equals(before)).toBe(true);
  if (original === null) throw new Error('not packed');
  const sent = parseOriginal(JSON.parse(JSON.stringify(original)));
  expect(rebuildOriginal(sent, body.attachments).equals(raw)).toBe(true);
  return { original, body };
}

/** A message with one file whose transfer encoding is done already. */
function mailWith(encoding: string, encoded: string | Buffer, type = 'application/octet-stream'): Buffer {
  const fields = `Content-Type: ${type}\r\nContent-Disposition: attachment; filename=f\r\nContent-Transfer-Encoding: ${encoding}`;
  return Buffer.concat([
    Buffer.from('From: alice@acme.test\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n'),
    Buffer.from(`--b\r\nContent-Type: text/plain\r\n\r\nsee attached\r\n--b\r\n${fields}\r\n\r\n`),
    Buffer.from(encoded as string, 'latin1'),
    Buffer.from('\r\n--b--\r\n'),
  ]);
}

const lines = (text: string, length: number, end: string): string =>
  text.match(new RegExp(`.{1,${length}}`, 'g'))?.join(end) ?? '';

describe('every mail of the corpus', () => {
  it.each(readdirSync(MAIL).filter((name) => name.endsWith('.eml')))(
    '%s comes back byte for byte, its attachments referred to',
    async (name) => {
      const { original, body } = await roundTrip(readFileSync(`${MAIL}${name}`));
      const large = body.attachments.filter(({ content }) => content.length >= 128);
      expect(original.references.length).toBeGreaterThanOrEqual(large.length);
    },
  );
});

describe('mail of any structure', () => {
  test('comes back, as programs write it and however it is spoilt', async () => {
    const any = fc.oneof(drawnMail.map(writeMail), uglyMail);
    await fc.assert(
      fc.asyncProperty(any, async (raw) => void (await roundTrip(raw))),
      { ...SEED, numRuns: 600 },
    );
  });

  test('comes back when it is no mail at all', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uint8Array({ maxLength: 2_000 }),
        async (bytes) => void (await roundTrip(Buffer.from(bytes))),
      ),
      { ...SEED, numRuns: 200 },
    );
  });
});

describe('base64', () => {
  const content = randomBytes(50_000);
  const base64 = content.toString('base64');
  it.each<[string, string]>([
    ['lines of 76', lines(base64, 76, '\r\n')],
    ['and empty lines before and behind', `\r\n\r\n${lines(base64, 76, '\r\n')}\r\n\r\n`],
    ['lines of 60 that end in LF', lines(base64, 60, '\n')],
    ['lines of 72 with white space before the end', lines(base64, 72, ' \r\n')],
    ['lines of 4', lines(base64, 4, '\r\n')],
    ['one line', base64],
    ['one line without padding', base64.replace(/=+$/, '')],
    ['lines of 998', lines(base64, 998, '\r\n')],
    [
      'pieces of 8190 letters, each in lines',
      lines(base64, 8190, '\n')
        .split('\n')
        .map((piece) => lines(piece, 76, '\r\n'))
        .join('\r\n'),
    ],
    [
      'a bit more than nothing in the last letter',
      base64.replace(/[A-Za-z0-9](=+)$/, (_all, padding) => `B${padding}`),
    ],
  ])('in %s is referred to', async (_name, encoded) => {
    const { original } = await roundTrip(mailWith('base64', encoded));
    expect(original.references).toMatchObject([{ encoding: 'base64', attachment: 0 }]);
    expect(original.skeleton.length).toBeLessThan(600);
  });

  it.each<[string, string]>([
    [
      'lines of different ends',
      `${lines(base64.slice(0, 30_000), 76, '\r\n')}\r\n${lines(base64.slice(30_000), 76, '\n')}`,
    ],
    ['lines of ever other lengths', base64.replace(/.{80,90}?(?=[A-M])/g, '$&\r\n')],
    ['text with junk between', lines(base64, 76, '\r\n').replace(/\r\n/, '!\r\n')],
  ])('in %s is carried as it is', async (_name, encoded) => {
    const { original } = await roundTrip(mailWith('base64', encoded));
    expect(original.references).toEqual([]);
  });

  it('of a picture within HTML is referred to, also through quoted-printable', async () => {
    const picture = `<p>a</p><img src="data:image/png;base64,${base64}">`;
    const html = (encoding: string, text: string): Buffer =>
      Buffer.from(
        `From: a@b.test\r\nContent-Type: text/html\r\nContent-Transfer-Encoding: ${encoding}\r\n\r\n${text}\r\n`,
      );
    for (const raw of [
      html('8bit', picture),
      html('quoted-printable', lines(picture.replace('=', '=3D'), 75, '=\r\n')),
    ]) {
      const { original } = await roundTrip(raw);
      expect(original.references).toMatchObject([{ encoding: 'base64', attachment: 0 }]);
    }
  });
});

describe('quoted-printable', () => {
  const text =
    `${'Grüße, a = b, tabs\there; dots and so on in a paragraph that goes on for longer than a line may. '.repeat(3)}\r\n`.repeat(
      300,
    );
  const bytes = Buffer.from(text, 'utf8').toString('latin1');
  const hex = (char: string): string => `=${char.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`;
  const encode = (escaped: RegExp, length: number, change = (line: string) => line): string =>
    bytes
      .split('\r\n')
      .map((line) => line.replace(escaped, hex).replace(/[ \t]$/, hex))
      .map(
        (line) =>
          line
            .match(new RegExp(`(?:=..|[^=]){1,${length}}`, 'g'))
            ?.map(change)
            .join('=\r\n') ?? '',
      )
      .join('\r\n');

  it.each<[string, string]>([
    ['the usual way', encode(/[^\t\x20-\x3c\x3e-\x7e]/g, 73)],
    ['with lower case', encode(/[^\t\x20-\x3c\x3e-\x7e]/g, 60).replace(/=[0-9A-F]{2}/g, (code) => code.toLowerCase())],
    ['with spaces escaped', encode(/[^\x21-\x3c\x3e-\x7e]/g, 40)],
    ['with more escaped than needed', encode(/[^A-Za-z0-9 .,]/g, 72)],
    [
      'with some letters escaped at the beginning of lines',
      encode(/[^\t\x20-\x3c\x3e-\x7e]/g, 70).replace(/(^|\r\n)G/, '$1=47'),
    ],
    ['with LF behind soft breaks', encode(/[^\t\x20-\x3c\x3e-\x7e]/g, 73).replace(/=\r\n/g, '=\n')],
  ])('written %s is referred to', async (_name, encoded) => {
    const { original, body } = await roundTrip(mailWith('quoted-printable', encoded, 'text/csv'));
    expect(Buffer.from(body.attachments[0]?.content ?? '', 'base64').toString('latin1')).toContain('Gr');
    expect(original.references).toMatchObject([{ encoding: 'quoted-printable', attachment: 0 }]);
    expect(JSON.stringify(original).length).toBeLessThan(0.08 * bytes.length);
  });

  it.each<[string, string]>([
    ['in both cases', `${encode(/[^\t\x20-\x3c\x3e-\x7e]/g, 73)}\r\n=c3=BC`],
    ['with white space at the end of lines', encode(/[^\t\x20-\x3c\x3e-\x7e]/g, 73).replace(/\r\n/g, '  \r\n')],
    ['with broken escapes', `${encode(/[^\t\x20-\x3c\x3e-\x7e]/g, 73)}=ZZ`],
  ])('written %s is carried as it is', async (_name, encoded) => {
    await roundTrip(mailWith('quoted-printable', encoded, 'text/csv'));
  });
});

describe('what needs no encoding', () => {
  it.each(['7bit', '8bit', 'binary'])('is referred to as it is: %s', async (encoding) => {
    const patch = 'diff --git a/x b/x\r\n-old\r\n+new\r\n'.repeat(200);
    const { original } = await roundTrip(mailWith(encoding, patch, 'text/x-patch'));
    expect(original.references).toMatchObject([{ encoding: 'identity', attachment: 0 }]);
  });

  it('is referred to where a message could not be taken apart', async () => {
    const raw = Buffer.concat([
      Buffer.from('From: alice@acme.test\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n'),
      ...Array.from({ length: 1_200 }, () => Buffer.from('--b\r\n\r\ntext\r\n')),
    ]);
    const { original, body } = await roundTrip(raw);
    expect(body.attachments).toHaveLength(1);
    expect(original.references).toEqual([{ at: 0, attachment: 0, encoding: 'identity' }]);
  });
});

describe('the size', () => {
  /** What the attachments are decoded to, and all else as it travels. */
  const decoded = (body: EmailBody): number =>
    body.attachments.reduce((sum, { content }) => sum + Buffer.from(content, 'base64').length, 0);
  const besideAttachments = (body: EmailBody, original: Original): number =>
    JSON.stringify({ ...body, attachments: body.attachments.map((one) => ({ ...one, content: '' })) }).length +
    JSON.stringify(original).length;

  it.each([
    ['base64', (content: Buffer) => lines(content.toString('base64'), 76, '\r\n')],
    ['8bit', (content: Buffer) => lines(content.toString('hex'), 80, '\r\n')],
  ] as const)('is within 1.08 of the content with an attachment of 100 KB in %s', async (encoding, write) => {
    const { original, body } = await roundTrip(mailWith(encoding, write(randomBytes(100_000))));
    expect(decoded(body) + besideAttachments(body, original)).toBeLessThan(1.08 * decoded(body));
  });

  it('is bounded: what is larger goes without', () => {
    const noise = (size: number): Buffer => Buffer.concat([Buffer.from('From: a@b.test\r\n\r\n'), randomBytes(size)]);
    expect(packOriginal({ raw: noise(MAX_PACKED_BYTES - 10_000), attachments: [] })).not.toBeNull();
    expect(packOriginal({ raw: noise(MAX_PACKED_BYTES), attachments: [] })).toBeNull();
    const text = (size: number): Buffer =>
      Buffer.from(
        `From: a@b.test\r\n\r\n${Array.from({ length: size / 10 }, (_, n) => `${n % 9_973}`.padEnd(10)).join('')}`,
      );
    expect(packOriginal({ raw: text(MAX_SKELETON_BYTES - 100), attachments: [] })).not.toBeNull();
    expect(packOriginal({ raw: text(MAX_SKELETON_BYTES), attachments: [] })).toBeNull();
    expect(packOriginal({ raw: Buffer.alloc(8_000_000, 'x'), attachments: [] })).toBeNull();
    expect(packOriginal({ raw: Buffer.alloc(1_000_000, 'x'), attachments: [] })).not.toBeNull();
  });

  it('leaves room for the body', () => {
    const original = packOriginal({ raw: Buffer.from('From: a@b.test\r\n\r\nhello'), attachments: [] });
    const size = JSON.stringify(original).length;
    expect(fitBeside(original, MAX_CONTENT_BYTES - size)).toBe(original);
    expect(fitBeside(original, MAX_CONTENT_BYTES - size + 1)).toBeNull();
    expect(fitBeside(null, 0)).toBeNull();
  });
});

describe('who gets a copy in secret', () => {
  it.each<[string, string]>([
    ['Bcc: carol@corp.test\r\nFrom: a\r\n\r\nBcc: x\r\n', 'From: a\r\n\r\nBcc: x\r\n'],
    ['From: a\r\nBCC :\r\n carol@corp.test,\r\n\tdave\r\nTo: b\r\nresent-bcc: e\r\n\r\n', 'From: a\r\nTo: b\r\n\r\n'],
    ['From: a\nbcc: b\nSubject: Bcc: c\n\nx', 'From: a\nSubject: Bcc: c\n\nx'],
    ['From: a\r\nX-Bcc: b\r\n\r\n', 'From: a\r\nX-Bcc: b\r\n\r\n'],
    ['From: a\r\nBcc: b', 'From: a\r\n'],
    ['', ''],
  ])('leaves %j without a trace', (raw, wanted) => {
    const given = Buffer.from(raw);
    const { visible, restore } = hideBcc(given);
    expect(visible.toString()).toBe(wanted);
    restore();
    expect(given.toString()).toBe(raw);
  });
});
