/** Properties of mail of any structure: what was written is found again, by the translation and by the index alike. */
import { Buffer } from 'node:buffer';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isMultipart, type MailPart, parseMail } from '../src/mime/parse.ts';
import { indexMessage } from '../src/mime/structure/message-index.ts';
import type { Part } from '../src/mime/structure/types.ts';
import { decodeTransferEncoding } from '../src/mime/text-search.ts';
import { renderEmail, toEmail } from './support/mail.ts';
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
        // Nobody looks at this field, but with it the parser is asked.
        const parsed = (more: string[]) =>
          parseMail(Buffer.from([...fields, ...more, 'Subject: s', '', pieces.join('')].join(end)));
        expect((await parsed([])).root).toEqual((await parsed(['Content-Duration: 1'])).root);
        expect(await parsed([])).toMatchObject({ charset: (await parsed(['Content-Duration: 1'])).charset });
      }),
      { ...SEED, numRuns: 300 },
    );
  });

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
