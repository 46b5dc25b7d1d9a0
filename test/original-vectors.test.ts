/** Every vector of the format of originals: the bytes, or the exact code; and whom an original is believed to be from. */
import { Buffer } from 'node:buffer';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { OriginalError, type OriginalErrorCode } from '../src/mime/original/format.ts';
import { packOriginal } from '../src/mime/original/pack.ts';
import { parseOriginal, rebuildOriginal } from '../src/mime/original/rebuild.ts';
import { originalIsFrom } from '../src/mime/original/trust.ts';
import type { Base64 } from '../src/smimp/encoding.ts';
import { parseStrictJson } from '../src/smimp/json.ts';

type Rebuild = {
  op: 'rebuild';
  attachments: Base64[];
  original: unknown;
  result: 'valid' | 'invalid';
  error: OriginalErrorCode | null;
  message: string | null;
};
type IsFrom = { op: 'is-from'; message: string; mailbox: string; any_sender?: boolean; result: 'valid' | 'invalid' };
type Vector = { comment: string } & (Rebuild | IsFrom);

const DIRECTORY = fileURLToPath(new URL('../fixtures/vectors/original/', import.meta.url));
const vectors = readdirSync(DIRECTORY).map((name): [string, Vector] => [
  name,
  parseStrictJson(readFileSync(`${DIRECTORY}${name}`)) as unknown as Vector,
]);

function rebuild({ attachments, original }: Rebuild): Pick<Rebuild, 'result' | 'error' | 'message'> {
  const contents = attachments.map((content) => ({ content }));
  try {
    const message = rebuildOriginal(parseOriginal(original), contents);
    return { result: 'valid', error: null, message: message.toString('base64') };
  } catch (error) {
    if (!(error instanceof OriginalError)) throw error;
    return { result: 'invalid', error: error.code, message: null };
  }
}

it.each(vectors)('%s', (_name, vector) => {
  if (vector.op === 'rebuild') {
    const { result, error, message } = vector;
    expect(rebuild(vector)).toEqual({ result, error, message });
  } else {
    const how = { anySender: vector.any_sender ?? false };
    const isFrom = originalIsFrom(Buffer.from(vector.message, 'base64'), vector.mailbox, how);
    expect(isFrom ? 'valid' : 'invalid').toBe(vector.result);
  }
});

describe('the vectors', () => {
  it('show every code', () => {
    const codes = vectors.flatMap(([, vector]) =>
      vector.op === 'rebuild' && vector.error !== null ? [vector.error] : [],
    );
    const all: Record<OriginalErrorCode, true> = {
      ...{ form: true, 'too-large': true, reference: true, lines: true, skeleton: true, hash: true },
    };
    expect([...new Set(codes)].sort()).toEqual(Object.keys(all).sort());
  });

  it('are packed again to what comes back', () => {
    for (const [name, vector] of vectors) {
      if (vector.op !== 'rebuild' || vector.message === null) continue;
      const raw = Buffer.from(vector.message, 'base64');
      const contents = vector.attachments.map((content) => ({ content }));
      const packed = packOriginal({ raw, attachments: contents });
      expect(packed && rebuildOriginal(packed, contents).equals(raw), name).toBe(true);
    }
  });
});
