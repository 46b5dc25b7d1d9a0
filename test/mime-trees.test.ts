/** Properties of mail of any structure: what was written is found again, by the translation and by the index alike. */
import { Buffer } from 'node:buffer';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isMultipart, type MailPart, parseMail } from '../src/mime/parse.ts';
import { indexMessage } from '../src/mime/structure/message-index.ts';
import type { Part } from '../src/mime/structure/types.ts';
import { decodeTransferEncoding } from '../src/mime/text-search.ts';
import { renderEmail, toEmail } from './support/mail.ts';
import { CORPUS_NAMES, corpusMail } from './support/mail-corpus.ts';
import { countParts, drawnMail, leavesOf, uglyMail, writeMail } from './support/mime-trees.ts';

const SEED = { seed: 20_240_201 };

const parsedLeaves = (part: MailPart): MailPart[] => (isMultipart(part) ? part.children.flatMap(parsedLeaves) : [part]);
const indexedLeaves = (part: Part): Part[] =>
  part.kind === 'multipart' ? part.children.flatMap(indexedLeaves) : [part];
const indexedParts = (part: Part): number => {
  const children = part.kind === 'multipart' ? part.children : part.kind === 'message' ? [part.message] : [];
  return children.reduce((sum, child) => sum + indexedParts(child), 1);
};
const decodedBytes = (raw: Buffer, part: Part): Buffer =>
  decodeTransferEncoding(raw.subarray(part.bodyStart, part.bodyEnd), part.encoding);

/** Nobody looks at the field that is put before it, but with it the parser is asked. */
async function expectBothWays(raw: Buffer): Promise<void> {
  const end = raw.includes('\n') ? '\r\n' : '\r';
  const { root, charset, degraded } = await parseMail(Buffer.concat([Buffer.from(`Content-Duration: 1${end}`), raw]));
  // What was kept whole holds the field.
  expect(await parseMail(raw)).toMatchObject({ charset, degraded, ...(degraded === null ? { root } : {}) });
}

describe('mail as it should be', () => {
  test('every part is found, with its bytes, by both readers', async () => {
    await fc.assert(
      fc.asyncProperty(drawnMail, async (mail) => {
        const raw = writeMail(mail);
        const index = indexMessage(raw);
        expect(indexedParts(index.structure)).toBe(countParts(mail.root));
        const { root, degraded } = await parseMail(raw);
        expect(degraded).toBeNull();
        const drawn = leavesOf(mail.root);
        const parsed = parsedLeaves(root);
        const indexed = indexedLeaves(index.structure);
        expect([parsed.length, indexed.length]).toEqual([drawn.length, drawn.length]);
        for (const [at, leaf] of drawn.entries()) {
          const found = parsed[at];
          const listed = indexed[at];
          if (leaf.kind === 'message' || found === undefined || listed === undefined) continue;
          if (leaf.encoding === '7bit' || leaf.encoding === '8bit') continue;
          expect(found.content).toEqual(leaf.content);
          expect(decodedBytes(raw, listed)).toEqual(leaf.content);
        }
      }),
      { ...SEED, numRuns: 400 },
    );
  });

  test('files come out of the whole way as they went in, under their names', async () => {
    await fc.assert(
      fc.asyncProperty(drawnMail, async (mail) => {
        const once = await toEmail(writeMail(mail));
        const twice = await toEmail(renderEmail(once));
        for (const leaf of leavesOf(mail.root)) {
          if (leaf.kind === 'message' || leaf.fileName === null) continue;
          // Text that travels as it is has the line ends of the message.
          const exact = leaf.encoding === 'base64' || leaf.encoding === 'quoted-printable';
          const wanted = { file_name: leaf.fileName, ...(exact ? { content: leaf.content.toString('base64') } : {}) };
          expect(once.attachments).toContainEqual(expect.objectContaining(wanted));
        }
        expect(twice.attachments.map(({ file_name, content }) => [file_name, content])).toEqual(
          once.attachments.map(({ file_name, content }) => [file_name, content]),
        );
      }),
      { ...SEED, numRuns: 400 },
    );
  });
});

describe('mail as it comes', () => {
  test('is read whatever it is, to the same body each time, and both readers stay within it', async () => {
    await fc.assert(
      fc.asyncProperty(uglyMail, async (raw) => {
        const index = indexMessage(raw);
        expect(index.sizeBytes).toBe(raw.length);
        const body = await toEmail(raw);
        expect(await toEmail(raw)).toEqual(body);
        const rendered = renderEmail(body);
        expect(indexMessage(rendered).sizeBytes).toBe(rendered.length);
      }),
      { ...SEED, numRuns: 400 },
    );
  });

  test('that is one text as it stands is what the parser makes of it', async () => {
    const body = fc.array(
      fc.constantFrom('a', 'é', '\0', '=', '--b', ' ', '\t', '\r', '\n', '\r\n', '.', 'x'.repeat(2_000)),
    );
    const type = fc.constantFrom(
      '',
      'Text/Plain',
      'text/html; charset="x-y"',
      'text/plain;charset=utf-8; format=flowed; name=a',
    );
    const encoding = fc.constantFrom('', '7bit', ' 8BIT ', 'binary (c)', 'base64');
    const ends = fc.constantFrom('\r\n', '\n');
    await fc.assert(
      fc.asyncProperty(type, encoding, body, ends, async (contentType, transfer, pieces, end) => {
        const fields = [
          ...(contentType === '' ? [] : [`Content-type: ${contentType.replace(';', `;${end}\t`)}`]),
          ...(transfer === '' ? [] : [`Content-Transfer-Encoding: ${transfer}`]),
        ];
        await expectBothWays(Buffer.from([...fields, 'Subject: s', '', pieces.join('')].join(end)));
      }),
      { ...SEED, numRuns: 300 },
    );
  });

  test('is taken apart with and without the parser alike', async () => {
    await fc.assert(
      fc.asyncProperty(drawnMail, (mail) => expectBothWays(writeMail(mail))),
      { ...SEED, numRuns: 400 },
    );
    // What is not mail from its first line on has no field that could be put before it.
    const startsWithField = (raw: Buffer): boolean => /^[a-z-]+:/i.test(raw.toString('latin1', 0, 40));
    await fc.assert(fc.asyncProperty(uglyMail.filter(startsWithField), expectBothWays), { ...SEED, numRuns: 600 });
    for (const raw of CORPUS_NAMES.map((name) => corpusMail(name).raw).filter(startsWithField))
      await expectBothWays(raw);
  });

  const part = (fields: string, text = 'text'): string => `${fields}\r\n\r\n${text}`;
  const mixed = (...pieces: string[]): string =>
    part('Content-Type: multipart/mixed; boundary=b', `--b\r\n${pieces.join('\r\n--b\r\n')}\r\n--b--`);
  const TEXT = 'Content-Type: text/plain; charset=utf-8';
  const BASE64 = `${TEXT}\r\nContent-Transfer-Encoding: base64`;
  const QUOTED = `${TEXT}\r\nContent-Transfer-Encoding: quoted-printable`;
  test.each([
    ['as it should be', mixed(part(TEXT), part(BASE64, 'YWJj\r\nZGVm'), part(QUOTED, 'a=20=\r\nb=C3=A9'))],
    ['a bare CR in a field', part('Content-Type: text/plain;\rcharset=utf-8\r\nSubject: s')],
    ['two types', part(`${TEXT}\r\nContent-Type: text/html`)],
    ['another boundary that begins alike', mixed(part(TEXT, 'one\r\n--bc\r\ntwo'))],
    ['a delimiter within a line', mixed(part(TEXT, 'one --b\r\ntwo'))],
    ['spaces behind a delimiter', mixed(part(TEXT)).replace('--b\r\n', '--b \r\n')],
    ['no end', mixed(part(TEXT)).slice(0, -4)],
    ['an end that goes on', `${mixed(part(TEXT))}x\r\nmore`],
    ['text behind the end', `${mixed(part(TEXT))}\r\n--b\r\n${part(TEXT, 'late')}`],
    ['text before the beginning', mixed(part(TEXT)).replace('--b', 'preamble\r\n--b')],
    ['a part without a header', mixed('\r\ntext', part(TEXT))],
    ['a part without a blank line', mixed(TEXT, part(TEXT))],
    ['a part of nothing', mixed(`${TEXT}\r\n`, part(TEXT, ''))],
    ['a part that says what it is by its name only', mixed(part('Content-Disposition: attachment; filename=a.pdf'))],
    ['a field without a name', mixed(part(`${TEXT}\r\nno field`))],
    ['base64 of half a group', mixed(part(BASE64, 'YWJjZ'))],
    ['base64 with other letters', mixed(part(BASE64, 'YW-Jj*'))],
    ['quoted-printable with spaces at the ends of lines', mixed(part(QUOTED, 'a \r\nb\t'))],
    ['quoted-printable with small digits and others', mixed(part(QUOTED, 'a=c3=a9=ZZ='))],
    ['a boundary in pieces', mixed(part(TEXT)).replace('boundary=b', 'boundary*0=b')],
    ['a boundary twice', mixed(part(TEXT)).replace('boundary=b', 'boundary=c; boundary=b')],
    ['a comment', mixed(part(TEXT)).replace('boundary=b', '(c) boundary=b (d)')],
    ['an encoded multipart', `Content-Transfer-Encoding: base64\r\n${mixed(part(TEXT))}`],
    ['a message within', mixed(part('Content-Type: message/rfc822', part(TEXT)))],
  ])('%s is the same with and without the parser', (_name, text) => expectBothWays(Buffer.from(text)));

  test('costs no more than in proportion to its length', async () => {
    const size = (mail: Buffer): number => JSON.stringify(indexMessage(mail)).length;
    await fc.assert(
      fc.asyncProperty(uglyMail, async (raw) => {
        const many = Buffer.concat(Array.from({ length: 8 }, () => raw));
        expect(size(many)).toBeLessThan(60 * many.length + 20_000);
        expect(JSON.stringify(await toEmail(many)).length).toBeLessThan(60 * many.length + 20_000);
      }),
      { ...SEED, numRuns: 60 },
    );
  });
});
