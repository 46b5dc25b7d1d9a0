/** Rendered bytes as they are kept at rest. */
import { deflateRawSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { KEPT_RENDERED_BYTES, packRendered, unpackRendered } from '../src/mailbox/kept-rendered.ts';
import { deflateWhole } from '../src/mime/original/deflate.ts';
import { randomBytes } from '../src/smimp/crypto.ts';
import { paddedLength } from '../src/smimp/payload.ts';

const words = (bytes: number): Buffer => Buffer.from('some words of a letter, '.repeat(bytes / 8)).subarray(0, bytes);
const unreadable = expect.objectContaining({ code: 'unreadable' });

describe('rendered bytes', () => {
  it.each([0, 1, 5, 63, 64, 1000, 8191, 8192, 8193, 32_769, KEPT_RENDERED_BYTES])('of %i come back', (size) => {
    for (const raw of [words(size), randomBytes(size), Buffer.alloc(size)]) {
      for (const deflated of [null, deflateWhole(raw)]) {
        const packed = packRendered({ raw, deflated });
        expect(unpackRendered(packed).equals(raw)).toBe(true);
        expect(packed).toHaveLength(paddedLength(packed.length));
        expect(packed.length).toBeLessThanOrEqual(paddedLength(4 + size));
      }
    }
  });

  it('take less where they are text, and no more where they are not', () => {
    expect(packRendered({ raw: words(5000), deflated: null }).length).toBeLessThan(1000);
    expect(packRendered({ raw: randomBytes(5000), deflated: null })).toHaveLength(paddedLength(5004));
  });

  it('of before there was deflate are read', () => {
    const raw = words(300);
    const kept = Buffer.alloc(paddedLength(304));
    kept.writeUInt32LE(300);
    raw.copy(kept, 4);
    expect(unpackRendered(kept).equals(raw)).toBe(true);
  });

  it.each<[string, number, Buffer]>([
    ['of another size', 299, deflateRawSync(words(300))],
    ['of far more', 10, deflateRawSync(Buffer.alloc(1_000_000))],
    ['of no deflate', 300, Buffer.alloc(40, 0xff)],
    ['cut off', 300, deflateRawSync(words(300)).subarray(0, 12)],
    ['larger than any that is kept', KEPT_RENDERED_BYTES + 1, deflateRawSync(words(KEPT_RENDERED_BYTES + 1))],
  ])('%s are refused', (_name, size, packed) => {
    const kept = Buffer.alloc(8 + packed.length);
    kept.writeUInt32LE(0x8000_0000 + size);
    kept.writeUInt32LE(packed.length, 4);
    packed.copy(kept, 8);
    expect(() => unpackRendered(kept)).toThrow(unreadable);
  });
});
