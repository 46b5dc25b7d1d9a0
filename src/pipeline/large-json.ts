/**
 * JSON with base64 of tens of megabytes in it, written into one buffer or in pieces: `JSON.stringify` would make a string of the whole
 * first, twice as large when one letter of it is not Latin-1. The bytes are the same as by `JSON.stringify`.
 */

import type { StreamedBody } from '../remote/https.ts';
import { randomBytes } from '../smimp/crypto.ts';
import { type EmailBody, emailBodySchema } from '../smimp/email.ts';
import { view } from '../smimp/encoding.ts';
import type { SentEnvelope } from '../smimp/envelope.ts';
import { parseFields } from '../smimp/fields.ts';

/** Three bytes become four letters, so pieces of a multiple of three join without padding. */
const PIECE_BYTES = 3 * 64 * 1024;

/** What stands for a large value until it is written. Random, so that no text can contain it. */
function newMark(): string {
  return `large-${randomBytes(16).toString('hex')}-`;
}

/** As `serializeBody('email', body)`, and throws like it. */
export function emailBytes(body: EmailBody): Buffer {
  const checked = parseFields(emailBodySchema, body);
  const mark = newMark();
  const attachments = checked.attachments.map((attachment, i) => ({ ...attachment, content: `${mark}${i}` }));
  const skeleton = JSON.stringify({ ...checked, attachments });
  const contents = checked.attachments.map(({ content }) => content);
  return fill(skeleton, mark, contents);
}

function fill(skeleton: string, mark: string, values: readonly string[]): Buffer {
  const texts = skeleton.split(new RegExp(`${mark}\\d+`));
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

/** The JSON of an envelope whose `message` is `ciphertext`, piece by piece as it is sent. */
export function envelopeJson(envelope: Omit<SentEnvelope, 'message'>, ciphertext: Uint8Array): StreamedBody {
  const start = Buffer.from('{"message":"');
  const end = Buffer.from(`",${JSON.stringify(envelope).slice(1)}`);
  const bytes = view(ciphertext);
  return {
    sizeBytes: start.length + 4 * Math.ceil(bytes.length / 3) + end.length,
    *pieces() {
      yield start;
      for (let from = 0; from < bytes.length; from += PIECE_BYTES)
        yield Buffer.from(bytes.toString('base64', from, from + PIECE_BYTES), 'latin1');
      yield end;
    },
  };
}
