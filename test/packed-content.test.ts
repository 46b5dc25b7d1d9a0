/** What is listed of a message, packed: every value comes back, what was stored before can be read, and sizes tell nothing. */
import { describe, expect, it } from 'vitest';
import { contentOf } from '../src/mailbox/contents.ts';
import { packContent, unpackContent } from '../src/mailbox/packed-content.ts';
import { RENDERER_VERSION } from '../src/mime/from-email.ts';
import { paddedLength } from '../src/smimp/payload.ts';

const RAW = Buffer.from(
  'From: "A, B" <a@b.test>\r\nSubject: =?utf-8?q?K=C3=B6ln?= \xff\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n' +
    '--x\r\n\r\none\r\n--x\r\nContent-Type: text/html\r\n\r\n<p>two</p>\r\n--x--\r\n',
  'latin1',
);
const content = contentOf(RAW, {
  internalDate: { unixSeconds: 1_768_000_000, zoneMinutes: -330 },
  cautions: ['retired-key'],
});

describe('a packed content', () => {
  it('gives back what went in', () => {
    const unpacked = unpackContent(packContent(content), RENDERER_VERSION);
    const { version, sizeBytes, headerBytes, header, envelope, structure } = unpacked.index;
    expect({ version, sizeBytes, headerBytes, header, envelope, structure }).toEqual(content.index);
    expect(unpacked.internalDate).toEqual(content.internalDate);
    expect(unpacked.cautions).toEqual(content.cautions);
    expect(unpacked.preview).toBe(content.preview);
    expect(unpacked.version).toBe(RENDERER_VERSION);
    expect(unpacked.originals).toBeUndefined();
    const attaches = packContent({ ...content, originals: 'attach' });
    expect(unpackContent(attaches, RENDERER_VERSION).originals).toBe('attach');
  });

  it('without its header, which was too large, or with an instant before 1970, too', () => {
    const other = {
      ...content,
      index: { ...content.index, header: null },
      internalDate: { unixSeconds: -1, zoneMinutes: 60 },
    };
    const unpacked = unpackContent(packContent(other), null);
    expect(unpacked.index.header).toBeNull();
    expect(unpacked.index.headerBytes).toBe(content.index.headerBytes);
    expect(unpacked.internalDate).toEqual(other.internalDate);
    expect(unpacked.index.structure).toEqual(content.index.structure);
  });

  it('is read from JSON, as it was stored before', () => {
    const { index, internalDate, cautions } = content;
    const json = Buffer.from(`${JSON.stringify({ index, internalDate, cautions })}   `);
    const unpacked = unpackContent(json, 2);
    expect(unpacked.index.header).toBe(index.header);
    expect(unpacked.index.structure).toEqual(index.structure);
    expect([unpacked.preview, unpacked.version]).toEqual([undefined, 2]);
  });

  it('has a length that many have', () => {
    for (const length of [0, 1, 100, 3_000]) {
      const longer = contentOf(Buffer.concat([Buffer.from(`X: ${'y'.repeat(length)}\r\n`), RAW]), content);
      const packed = packContent(longer);
      expect(paddedLength(packed.length)).toBe(packed.length);
    }
  });
});
