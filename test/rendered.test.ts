/**
 * What each version of the renderer gave when it was the newest, it gives for ever: sizes and structures were stored of it.
 * fixtures/rendered.jsonl holds bodies and the hashes of what was made of them. Lines are added, never changed.
 */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { flowedText } from '../src/mime/flowed-text.ts';
import { parseRendererVersion, RENDERER_VERSION } from '../src/mime/from-email.ts';
import { unflow } from '../src/mime/select.ts';
import { indexMessage } from '../src/mime/structure/message-index.ts';
import { hash } from '../src/smimp/crypto.ts';
import { parseBody } from '../src/smimp/email.ts';
import { toHex } from '../src/smimp/encoding.ts';
import { bodyWith, render, renderEmail } from './support/mail.ts';

const pinSchema = z.strictObject({
  name: z.string(),
  body: z.record(z.string(), z.unknown()),
  2: z.string(),
  3: z.string(),
});
const PINS = readFileSync(new URL('../fixtures/rendered.jsonl', import.meta.url), 'utf8')
  .trimEnd()
  .split('\n')
  .map((line) => pinSchema.parse(JSON.parse(line)));

describe('every version of the renderer', () => {
  test.each([2, 3] as const)('%i gives the bytes it always gave', (version) => {
    const wrong = PINS.filter((pin) => {
      const content = parseBody('email', Buffer.from(JSON.stringify(pin.body)));
      return toHex(hash(render(content, { version }))) !== pin[version];
    });
    expect(wrong.map(({ name }) => name)).toEqual([]);
    expect(PINS.length).toBeGreaterThan(150);
  });

  test('is known by its number, and others are not', () => {
    expect([1, 2, 3, 4, 2.5].map(parseRendererVersion)).toEqual([null, 2, 3, null, null]);
    expect(parseRendererVersion(RENDERER_VERSION)).toBe(RENDERER_VERSION);
  });

  test('differs where it should: an invitation is an alternative only since version 3', async () => {
    const body = await bodyWith({
      attachments: [
        {
          file_name: 'invite.ics',
          content: 'QkVHSU4=' as never,
          content_type: 'text/calendar; method=REQUEST',
          content_id: null,
        },
      ],
    });
    const root = (version: 2 | 3): string => indexMessage(renderEmail(body, { version })).structure.subtype;
    expect([root(2), root(3)]).toEqual(['mixed', 'alternative']);
  });
});

describe('format=flowed', () => {
  const long = 'word '.repeat(40).trimEnd();
  test('is not used where no line is long', () => {
    expect(flowedText(`${'x'.repeat(78)}\n  indented\n> quoted`)).toBeNull();
  });

  test.each([
    ['a long line', long],
    ['quotes of two levels', `> ${long}\n> > ${long}\nmine`],
    ['lines that need stuffing', `${long}\n indented\nFrom here`],
    ['runs of spaces', `${'a  b   '.repeat(20)}c`],
    ['a word that is longer than a line', `${'y'.repeat(100)} ${long}`],
    ['blank lines', `\n\n${long}\n\n${long}`],
  ])('%s: the reader sees what was written, in lines of at most 78 characters', (_what, text) => {
    const flowed = flowedText(text) ?? '';
    expect(unflow(flowed, false)).toBe(text.replace(/^((?:> )+)/gm, (marks) => `${marks.replaceAll(' ', '')} `));
    const fitting = flowed.split('\n').filter((line) => !/[^ ]{78}/.test(line));
    expect(Math.max(...fitting.map((line) => line.length))).toBeLessThanOrEqual(78);
  });

  test('is said in the part', async () => {
    expect(renderEmail(await bodyWith({ body: long })).toString()).toContain('charset=utf-8;\r\n format=flowed\r\n');
  });
});

describe('sealed parts', () => {
  const sealed = {
    file_name: 'smime.p7m',
    content: 'AAEC' as never,
    content_type: 'application/pkcs7-mime',
    content_id: null,
  };
  const typeOf = (mail: Buffer): string => indexMessage(mail).structure.subtype;

  test('are the message where there is nothing else', async () => {
    expect(typeOf(renderEmail(await bodyWith({ body: '', attachments: [sealed] })))).toBe('pkcs7-mime');
  });

  test('are files beside any word, and beside other files', async () => {
    expect(typeOf(renderEmail(await bodyWith({ body: 'A warning', attachments: [sealed] })))).toBe('mixed');
    expect(typeOf(renderEmail(await bodyWith({ body: '', attachments: [sealed, sealed] })))).toBe('mixed');
    expect(typeOf(renderEmail(await bodyWith({ body: '', signature_text: 'x', attachments: [sealed] })))).toBe('mixed');
  });

  test('of OpenPGP stay files when their bytes cannot stand in a message', async () => {
    const version = {
      ...sealed,
      file_name: 'attachment',
      content_type: 'application/pgp-encrypted',
      content: 'AAEC' as never,
    };
    const message = { ...sealed, content_type: 'application/octet-stream' };
    expect(typeOf(renderEmail(await bodyWith({ body: '', attachments: [version, message] })))).toBe('mixed');
  });
});
