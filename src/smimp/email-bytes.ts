/**
 * The JSON of a body with attachments of tens of megabytes, written into one buffer: `JSON.stringify` would make a string of the
 * whole first, twice as large when one letter of it is not Latin-1. The bytes are the same as by `JSON.stringify`.
 */
import { Buffer } from 'node:buffer';
import { randomBytes } from './crypto.ts';
import { type EmailBody, emailBodySchema } from './email.ts';
import { parseFields } from './fields.ts';

/** What stands for a large value until it is written. Random, so that no text can contain it. */
function newMark(): string {
  return `large-${randomBytes(16).toString('hex')}-`;
}

/** As `serializeBody('email', body)`, and throws like it. */
export function emailBytes(body: EmailBody): Buffer {
  const checked = parseFields(emailBodySchema, body);
  if (checked.attachments.length === 0) return Buffer.from(JSON.stringify(checked));
  const mark = newMark();
  const attachments = checked.attachments.map((attachment) => ({ ...attachment, content: mark }));
  const skeleton = JSON.stringify({ ...checked, attachments });
  const contents = checked.attachments.map(({ content }) => content);
  return fill(skeleton.split(mark), contents);
}

/** The texts with the values between them. */
function fill(texts: readonly string[], values: readonly string[]): Buffer {
  const sizeBytes =
    texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0) + values.reduce((sum, { length }) => sum + length, 0);
  const out = Buffer.allocUnsafe(sizeBytes);
  let at = 0;
  texts.forEach((text, i) => {
    at += out.write(text, at, 'utf8');
    at += out.write(values[i] ?? '', at, 'latin1');
  });
  return out;
}
