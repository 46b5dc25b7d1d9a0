/**
 * What a picture is, by its bytes: PNG (its chunks) or JPEG (its segments), whole, of bounded size, with nothing behind its
 * end that a program could take for something else. Pixels are not decoded.
 */
import { Buffer } from 'node:buffer';

/** More is no avatar; 2,048² pixels take 16 MiB in whoever shows them. */
export const MAX_AVATAR_SIDE = 2_048;

export type ImageType = 'image/png' | 'image/jpeg';
type Size = { width: number; height: number };

/** Whether the bytes are a picture of that type. */
export function isImage(bytes: Buffer, type: ImageType): boolean {
  const size = type === 'image/png' ? pngSize(bytes) : jpegSize(bytes);
  return size !== null && isSide(size.width) && isSide(size.height);
}

const isSide = (pixels: number): boolean => pixels >= 1 && pixels <= MAX_AVATAR_SIDE;

const PNG_SIGNATURE = Buffer.from('\x89PNG\r\n\x1a\n', 'latin1');
/** Length, type and checksum. */
const PNG_CHUNK_OVERHEAD = 12;
const IHDR_BYTES = 13;

/** Null when the chunks are not those of a whole PNG: IHDR first, IDAT among them, an empty IEND at the very end. */
function pngSize(bytes: Buffer): Size | null {
  if (!bytes.subarray(0, PNG_SIGNATURE.length).equals(PNG_SIGNATURE)) return null;
  const types: string[] = [];
  let at = PNG_SIGNATURE.length;
  while (at + PNG_CHUNK_OVERHEAD <= bytes.length) {
    const length = bytes.readUInt32BE(at);
    const type = bytes.toString('latin1', at + 4, at + 8);
    if (types.length === 0 && (type !== 'IHDR' || length !== IHDR_BYTES)) return null;
    types.push(type);
    at += PNG_CHUNK_OVERHEAD + length;
    if (type === 'IEND') {
      if (length !== 0) return null;
      break;
    }
  }
  if (at !== bytes.length || types.at(-1) !== 'IEND' || !types.includes('IDAT')) return null;
  const header = PNG_SIGNATURE.length + 8;
  return { width: bytes.readUInt32BE(header), height: bytes.readUInt32BE(header + 4) };
}

const MARKER = 0xff;
const [SOI, EOI, SOS] = [0xd8, 0xd9, 0xda];
/** Start of frame C0 … CF, of which three are other things: DHT, JPG, DAC. */
const isFrame = (code: number): boolean => code >= 0xc0 && code <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(code);
/** Length, precision, height, width. */
const FRAME_BYTES = 7;

/** Null when the segments are not those of a whole JPEG: SOI, a frame, a scan, EOI at the very end. */
function jpegSize(bytes: Buffer): Size | null {
  if (bytes.length < 4 || bytes[0] !== MARKER || bytes[1] !== SOI) return null;
  let size: Size | null = null;
  let hasScan = false;
  for (let at = 2; at + 2 <= bytes.length; ) {
    const code = bytes[at + 1] ?? 0;
    if (bytes[at] !== MARKER) return null;
    if (code === EOI) return hasScan && at + 2 === bytes.length ? size : null;
    if (at + 4 > bytes.length) return null;
    const length = bytes.readUInt16BE(at + 2);
    if (length < 2) return null;
    if (isFrame(code)) {
      if (length < FRAME_BYTES || at + 2 + FRAME_BYTES > bytes.length) return null;
      size ??= { height: bytes.readUInt16BE(at + 5), width: bytes.readUInt16BE(at + 7) };
    }
    at += 2 + length;
    if (code !== SOS) continue;
    hasScan = true;
    at = scanEnd(bytes, at);
  }
  return null;
}

/** The next marker that is neither a stuffed byte nor a restart within the scan. */
function scanEnd(bytes: Buffer, from: number): number {
  for (let at = bytes.indexOf(MARKER, from); at >= 0; at = bytes.indexOf(MARKER, at + 1)) {
    const code = bytes[at + 1] ?? 0;
    const isWithin = code === 0 || code === MARKER || (code >= 0xd0 && code <= 0xd7);
    if (!isWithin) return at;
  }
  return bytes.length;
}
