/** The bounds of what a sender may make a reader do, each at its edge. */
import { Buffer } from 'node:buffer';
import { deflateRawSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import {
  FREE_EXPANSION_BYTES,
  MAX_EXCEPTIONS,
  MAX_EXPANSION,
  MAX_LINE_RUNS,
  MAX_PACKED_BYTES,
  MAX_QUOTED_BYTES,
  MAX_REFERENCES,
  MAX_SKELETON_BYTES,
  MAX_ZONE_MINUTES,
  ORIGINAL_FORMAT,
} from '../src/mime/original/format.ts';
import { isHonest, parseOriginal, rebuildOriginal } from '../src/mime/original/rebuild.ts';
import { hash, randomBytes } from '../src/smimp/crypto.ts';
import { toBase64, toHex } from '../src/smimp/encoding.ts';

type Members = { skeleton?: Buffer; packed?: Buffer; size?: number; message?: Buffer; references?: object[] };

function rebuild(members: Members, contents: readonly Buffer[] = []): Buffer {
  const { skeleton = Buffer.alloc(0), message = skeleton, references = [] } = members;
  const original = {
    format: ORIGINAL_FORMAT,
    size: members.size ?? message.length,
    hash: toHex(hash(message)),
    skeleton: (members.packed ?? deflateRawSync(skeleton)).toString('base64'),
    references,
    internal_date: null,
  };
  return rebuildOriginal(
    parseOriginal(original),
    contents.map((content) => ({ content: toBase64(content) })),
  );
}
const refused = (code: string) => expect.objectContaining({ code });

describe('the date of mail that its owner put in', () => {
  const dated = (unix_seconds: number, zone_minutes: number) => () =>
    parseOriginal({
      ...{ format: ORIGINAL_FORMAT, size: 0, hash: 'ab'.repeat(32), skeleton: '', references: [] },
      internal_date: { unix_seconds, zone_minutes },
    });

  it('is one that IMAP can say', () => {
    for (const zone of [-MAX_ZONE_MINUTES, MAX_ZONE_MINUTES]) expect(dated(253_402_300_799, zone)).not.toThrow();
    expect(dated(0, MAX_ZONE_MINUTES + 1)).toThrow(refused('form'));
    expect(dated(0, -MAX_ZONE_MINUTES - 1)).toThrow(refused('form'));
    expect(dated(8_640_000_000_001, 0)).toThrow(refused('form'));
    expect(dated(-62_167_305_601, 0)).toThrow(refused('form'));
  });
});

describe('a skeleton', () => {
  it('is packed into no more than it may be', () => {
    // Blocks that are stored as they are: five bytes more for each.
    const stored = (bytes: number): Members => {
      const skeleton = Buffer.alloc(bytes, 'x');
      return { skeleton, packed: deflateRawSync(skeleton, { level: 0 }) };
    };
    const fits = stored(MAX_PACKED_BYTES - 1_000);
    expect(fits.packed?.length).toBeLessThanOrEqual(MAX_PACKED_BYTES);
    expect(rebuild(fits).length).toBe(MAX_PACKED_BYTES - 1_000);
    expect(() => rebuild(stored(MAX_PACKED_BYTES))).toThrow(refused('too-large'));
  });

  it('unfolds to no more than honest text would', () => {
    expect(isHonest(10, FREE_EXPANSION_BYTES + 10 * MAX_EXPANSION)).toBe(true);
    expect(isHonest(10, FREE_EXPANSION_BYTES + 10 * MAX_EXPANSION + 1)).toBe(false);
    expect(rebuild({ skeleton: Buffer.alloc(FREE_EXPANSION_BYTES) }).length).toBe(FREE_EXPANSION_BYTES);
    expect(() => rebuild({ skeleton: Buffer.alloc(2 * FREE_EXPANSION_BYTES) })).toThrow(refused('too-large'));
  });

  it('unfolds to no more than a message may be', () => {
    const size = MAX_SKELETON_BYTES + 1;
    expect(() => rebuild({ packed: Buffer.alloc(MAX_PACKED_BYTES), size })).toThrow(refused('too-large'));
    expect(() => rebuild({ packed: Buffer.alloc(MAX_PACKED_BYTES), size: size - 1 })).toThrow(refused('skeleton'));
  });
});

describe('references', () => {
  const one = Buffer.from('attachment');
  const many = (count: number): Members => ({
    message: Buffer.from('attachment'.repeat(count)),
    references: Array.from({ length: count }, () => ({ at: 0, attachment: 0, encoding: 'identity' })),
  });

  it('are no more than a message has parts', () => {
    expect(rebuild(many(MAX_REFERENCES), [one]).length).toBe(MAX_REFERENCES * one.length);
    expect(() => rebuild(many(MAX_REFERENCES + 1), [one])).toThrow(refused('form'));
  });

  it('cannot make a large message of a small one', () => {
    const large = Buffer.alloc(1024 * 1024, 'x');
    const references = Array.from({ length: 65 }, () => ({ at: 0, attachment: 0, encoding: 'identity' }));
    expect(() => rebuild({ size: 65 * large.length, references }, [large])).toThrow(refused('too-large'));
    expect(() => rebuild({ size: 64 * large.length, references }, [large])).toThrow(refused('reference'));
  });

  it('have no more runs of lines than anybody writes', () => {
    const content = Buffer.alloc(3 * (MAX_LINE_RUNS + 1), 'x');
    const withRuns = (runs: number): Members => {
      const letters = content.subarray(0, 3 * runs).toString('base64');
      const lines = Array.from({ length: runs }, () => [4, 1]);
      return {
        message: Buffer.from(letters),
        references: [{ at: 0, attachment: 0, encoding: 'base64', line_end: '', lines }],
      };
    };
    const most = content.subarray(0, 3 * MAX_LINE_RUNS);
    expect(rebuild(withRuns(MAX_LINE_RUNS), [most]).length).toBe(4 * MAX_LINE_RUNS);
    expect(() => rebuild(withRuns(MAX_LINE_RUNS + 1), [content])).toThrow(refused('form'));
  });
});

describe('quoted-printable', () => {
  const quoted = (content: Buffer, changes: object = {}): Members => ({
    skeleton: Buffer.from([0]),
    message: content,
    references: [
      {
        ...{
          at: 0,
          attachment: 0,
          encoding: 'quoted-printable',
          bytes: content.length,
          line_end: '',
          upper_case: true,
        },
        ...{ escaped: '00'.repeat(32), exceptions: [], lines: 1, ...changes },
      },
    ],
  });

  it('is for text of a bounded size', () => {
    const text = Buffer.alloc(MAX_QUOTED_BYTES, 'x');
    expect(rebuild(quoted(text), [text]).equals(text)).toBe(true);
    const more = Buffer.alloc(MAX_QUOTED_BYTES + 1, 'x');
    expect(() => rebuild(quoted(more), [more])).toThrow(refused('too-large'));
  });

  it('has a bounded number of exceptions', () => {
    const text = Buffer.alloc(1_000, 'x');
    const exceptions = Array.from({ length: MAX_EXCEPTIONS + 1 }, (_, n) => n);
    expect(() => rebuild(quoted(text, { exceptions }), [text])).toThrow(refused('form'));
    const most = { exceptions: exceptions.slice(1), bytes: 1_000 + 2 * MAX_EXCEPTIONS };
    const message = Buffer.from(`x${'=78'.repeat(MAX_EXCEPTIONS)}${'x'.repeat(1_000 - MAX_EXCEPTIONS - 1)}`);
    expect(rebuild({ ...quoted(text, most), message }, [text]).equals(message)).toBe(true);
  });

  it('ignores exceptions behind its end, and never reads what is not there', () => {
    const text = randomBytes(10);
    text.fill('y');
    expect(rebuild(quoted(text, { exceptions: [10, 2 ** 40] }), [text]).equals(text)).toBe(true);
  });
});
