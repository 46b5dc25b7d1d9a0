/** Legacy messages packed beside their bodies and put together again: every byte, for whatever mail there is. */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { packOriginal } from '../src/mime/original/pack.ts';
import { parseOriginal, rebuildOriginal } from '../src/mime/original/rebuild.ts';
import { toEmail } from './support/mail.ts';

const MAIL = fileURLToPath(new URL('../fixtures/mail/', import.meta.url));

describe('every mail of the corpus', () => {
  it.each(readdirSync(MAIL))('%s comes back byte for byte', async (name) => {
    const raw = readFileSync(`${MAIL}${name}`);
    const { attachments } = await toEmail(raw);
    const original = packOriginal({ raw, attachments });
    if (original === null) throw new Error('not packed');
    const sent = parseOriginal(JSON.parse(JSON.stringify(original)));
    expect(rebuildOriginal(sent, attachments).equals(raw)).toBe(true);
    const big = attachments.filter(({ content }) => content.length > 128).length;
    if (big !== original.references.length) console.log(name, big, original.references.length, attachments.map((a) => a.content_type + a.content.length));
  });
});
