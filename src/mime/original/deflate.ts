/** Raw deflate (RFC 1951) of whole messages. */
import type { Buffer } from 'node:buffer';
import { deflateRawSync, inflateRawSync, type ZlibOptions } from 'node:zlib';

const SHORT_BYTES = 8 * 1024;
/** What does not become smaller becomes a little larger. */
const SLACK_BYTES = 64;
const SHORT_WINDOW: ZlibOptions = { windowBits: Math.log2(SHORT_BYTES) };

/**
 * Most mail is short: what looks back no farther than the message is long, takes memory for no more, and does not look long for
 * the last hundredth of the size.
 */
export function deflateWhole(bytes: Buffer): Buffer {
  const isShort = bytes.length <= SHORT_BYTES;
  return deflateRawSync(bytes, isShort ? { ...SHORT_WINDOW, level: 3, chunkSize: bytes.length + SLACK_BYTES } : {});
}

/** What was deflated, of known size. Null for anything else. */
export function inflateWhole(packed: Buffer, sizeBytes: number): Buffer | null {
  const isShort = sizeBytes <= SHORT_BYTES;
  const mostBytes = sizeBytes + SLACK_BYTES;
  try {
    const window = isShort ? SHORT_WINDOW : {};
    const bytes = inflateRawSync(packed, { ...window, maxOutputLength: mostBytes, chunkSize: mostBytes });
    return bytes.length === sizeBytes ? bytes : null;
  } catch (error) {
    if (error instanceof Error && 'code' in error) return null;
    throw error;
  }
}
