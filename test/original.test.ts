/** Legacy messages packed beside their bodies and put together again: every byte, for whatever mail there is. */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import type { Original } from '../src/mime/original/format.ts';
import { packOriginal } from '../src/mime/original/pack.ts';
import { parseOriginal, rebuildOriginal } from '../src/mime/original/rebuild.ts';
import type { EmailBody } from '../src/smimp/email.ts';
import { toEmail } from './support/mail.ts';

const MAIL = fileURLToPath(new URL('../fixtures/mail/', import.meta.url));

/** Packed, sent as JSON, and checked to come back. */
async function roundTrip(raw: Buffer): Promise<{ original: Original; body: EmailBody }> {
  const body = await toEmail(raw);
  const original = packOriginal({ raw, attachments: body.attachments });
  if (original === null) throw new Error('not packed');
  const sent = parseOriginal(JSON.parse(JSON.stringify(original)));
  expect(rebuildOriginal(sent, body.attachments).equals(raw)).toBe(true);
  return { original, body };
}

describe('every mail of the corpus', () => {
  it.each(readdirSync(MAIL))('%s comes back byte for byte, its attachments referred to', async (name) => {
    const { original, body } = await roundTrip(readFileSync(`${MAIL}${name}`));
    const large = body.attachments.filter(({ content }) => content.length >= 128);
    expect(original.references.length).toBeGreaterThanOrEqual(large.length);
  });
});
