/**
 * The frame inside a message (SMIMP 0.1 §4.1): 0x01 ‖ LE32 header ‖ LE32 body ‖ zero padding up to max(256, Padmé).
 * One length is right for a content; every other total, and every byte of padding that is not zero, is refused.
 */
import { Buffer } from 'node:buffer';
import { view } from './encoding.ts';
import { ProfileError } from './errors.ts';

const FRAME_VERSION = 1;
const LENGTH_BYTES = 4;
/** Version byte and two lengths. */
const OVERHEAD_BYTES = 1 + 2 * LENGTH_BYTES;
/** Shorter contents all look alike. */
export const MIN_PAYLOAD_BYTES = 256;

/** Padmé(L): L rounded up so that only ⌊log₂ ⌊log₂ L⌋⌋ + 2 leading bits carry information. */
export function padme(length: number): number {
  if (length < 2) return length;
  const exponent = length.toString(2).length - 1;
  const mantissaBits = exponent.toString(2).length;
  const step = 2 ** (exponent - mantissaBits);
  return Math.ceil(length / step) * step;
}

/** Total length of the frame around `contentBytes` used bytes. */
export function paddedLength(contentBytes: number): number {
  return Math.max(MIN_PAYLOAD_BYTES, padme(contentBytes));
}

/** Length of the whole frame, padding included. */
export function frameLength(header: Uint8Array, body: Uint8Array): number {
  return paddedLength(OVERHEAD_BYTES + header.byteLength + body.byteLength);
}

/** Writes the frame into `out`, which is zeroed and has exactly `frameLength` bytes. */
export function writeFrame(out: Buffer, header: Uint8Array, body: Uint8Array): void {
  out[0] = FRAME_VERSION;
  out.writeUInt32LE(header.byteLength, 1);
  out.set(header, 1 + LENGTH_BYTES);
  const bodyLengthAt = 1 + LENGTH_BYTES + header.byteLength;
  out.writeUInt32LE(body.byteLength, bodyLengthAt);
  out.set(body, bodyLengthAt + LENGTH_BYTES);
}

export function framePayload(header: Uint8Array, body: Uint8Array): Buffer {
  const out = Buffer.alloc(frameLength(header, body));
  writeFrame(out, header, body);
  return out;
}

/** The field whose LE32 length stands at `at`. Throws `payload-form` when it reaches past the end. */
function field(plain: Buffer, at: number): Buffer {
  const start = at + LENGTH_BYTES;
  if (start > plain.byteLength) throw new ProfileError('payload-form');
  const end = start + plain.readUInt32LE(at);
  if (end > plain.byteLength) throw new ProfileError('payload-form');
  return plain.subarray(start, end);
}

function isZero(bytes: Uint8Array): boolean {
  for (let i = 0; i < bytes.length; i++) if (bytes[i] !== 0) return false;
  return true;
}

/** Header and body of a frame, as views. Throws `payload-form`, `payload-padding`. */
export function unframePayload(payload: Uint8Array): { header: Buffer; body: Buffer } {
  const plain = view(payload);
  if (plain[0] !== FRAME_VERSION) throw new ProfileError('payload-form');
  const header = field(plain, 1);
  const bodyAt = 1 + LENGTH_BYTES + header.byteLength;
  const body = field(plain, bodyAt);
  const used = bodyAt + LENGTH_BYTES + body.byteLength;
  if (plain.byteLength !== paddedLength(used)) throw new ProfileError('payload-form');
  if (!isZero(plain.subarray(used))) throw new ProfileError('payload-padding');
  return { header, body };
}
