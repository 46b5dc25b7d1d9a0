/** Every message of the corpus: what its recipient reads of it, and that this comes out again of what a mail program is given. */
import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { readLegacyData } from '../src/mime/legacy-data.ts';
import { markdownToHtml } from '../src/mime/markdown-to-html.ts';
import { markdownToText } from '../src/mime/markdown-to-text.ts';
import { indexMessage } from '../src/mime/structure/message-index.ts';
import type { Part } from '../src/mime/structure/types.ts';
import type { EmailBody } from '../src/smimp/email.ts';
import { unsafeHtml } from './fuzz/targets/safe-html.ts';
import { renderEmail, toEmail } from './support/mail.ts';
import { CORPUS_NAMES, corpusMail, EXPECTED_NAMES, type Expectation } from './support/mail-corpus.ts';

const attachmentsOf = (body: EmailBody): Expectation['attachments'] =>
  body.attachments.map(({ file_name: name, content_type: type, content }) => {
    const bytes = Buffer.from(content, 'base64');
    return { name, type, bytes: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') };
  });

/** All that an expectation may speak of. */
function seen(body: EmailBody): Expectation {
  const legacy = readLegacyData(body.extensions_data);
  return {
    what: '',
    subject: body.subject,
    body: body.body,
    shown: markdownToText(body.body),
    signature: body.signature_text,
    attachments: attachmentsOf(body),
    to: body.to,
    cc: body.cc,
    legacy: [...legacy.legacy_to, ...legacy.legacy_cc].map(({ name, address }) => `${name} <${address}>`.trim()),
    names: legacy.names,
    date: body.date_sent,
  };
}

const typesOf = (part: Part): string[] => {
  const children = part.kind === 'multipart' ? part.children : [];
  return [`${part.type}/${part.subtype}`, ...children.flatMap(typesOf)];
};
/** What matters of a text that was written as HTML and read again: its words and marks, not where its lines end. */
const words = (body: EmailBody): string =>
  `${markdownToText(body.body)}\n${body.signature_text ?? ''}`
    .replace(/^(?:-- |`{3,})$/gm, '')
    .replace(/[\s\u00a0>]+/g, ' ')
    .trim();

test('every message has its expectation, every expectation its message', () => {
  expect(EXPECTED_NAMES).toEqual(CORPUS_NAMES);
  expect(CORPUS_NAMES.length).toBeGreaterThanOrEqual(300);
});

describe('read', () => {
  test.each(CORPUS_NAMES)('%s', async (name) => {
    const { raw, expected } = corpusMail(name);
    const { what, includes = [], excludes = [], parts, downgraded: _downgraded, ...exact } = expected;
    const body = await toEmail(raw);
    expect(await toEmail(raw)).toEqual(body);
    expect(seen(body), what).toMatchObject(exact);
    for (const piece of includes) expect(body.body, what).toContain(piece);
    for (const piece of excludes) expect(`${body.body} ${JSON.stringify(body.attachments)}`, what).not.toContain(piece);
    if (parts !== undefined) expect(typesOf(indexMessage(renderEmail(body)).structure), what).toEqual(parts);
  });
});

describe('given to a mail program and read again', () => {
  test.each(CORPUS_NAMES)('%s', async (name) => {
    const { raw, expected } = corpusMail(name);
    const once = await toEmail(raw);
    const twice = await toEmail(renderEmail(once));
    expect(unsafeHtml(markdownToHtml(once.body, once.signature_text, { citing: true })), expected.what).toBeNull();
    expect(words(twice), expected.what).toBe(words(once));
    const { subject, attachments, to, cc, legacy, names, date } = seen(once);
    const again = seen(twice);
    expect(again, expected.what).toMatchObject({ subject, to, cc, names, date });
    const files = expected.downgraded === true ? attachments.map(({ type: _type, ...file }) => file) : attachments;
    expect(again.attachments, expected.what).toMatchObject(files);
    expect(again.attachments).toHaveLength(attachments.length);
    if (expected.downgraded !== true) expect(again.legacy, expected.what).toEqual(legacy);
  });
});
