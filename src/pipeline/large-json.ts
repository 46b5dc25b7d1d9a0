/**
 * The JSON of an envelope with base64 of tens of megabytes in it, piece by piece: `JSON.stringify` would make a string of the whole
 * first. The bytes are the same as by `JSON.stringify`.
 */

import type { StreamedBody } from '../remote/https.ts';
import { view } from '../smimp/encoding.ts';
import type { SentEnvelope } from '../smimp/envelope.ts';

/** Three bytes become four letters, so pieces of a multiple of three join without padding. */
const PIECE_BYTES = 3 * 64 * 1024;

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
