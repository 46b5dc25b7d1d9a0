/**
 * Rendered bytes of a small message as they are kept at rest, before they are sealed. Most mail is text, which deflate makes a
 * third of; less is written for each message, and less is read for each that is fetched. Zeros behind it bring it to a length
 * that many have, as with the ciphertext.
 *
 *   u32 size ‖ the message ‖ zeros, or u32 2³¹ + size ‖ u32 bytes of what follows ‖ the message by raw deflate ‖ zeros
 */
import { Buffer } from 'node:buffer';
import { deflateWhole, inflateWhole } from '../mime/original/deflate.ts';
import { paddedLength } from '../smimp/payload.ts';
import { MailboxError } from './errors.ts';

/** Rendered bytes of messages up to this are kept at rest: nearly all there are. A larger one is opened each time. */
export const KEPT_RENDERED_BYTES = 64 * 1024;
const LENGTH_BYTES = 4;
const DEFLATED = 0x8000_0000;

/** `deflated`: the same by `deflateWhole`, where somebody did that already. */
export interface Rendered {
  readonly raw: Buffer;
  readonly deflated: Buffer | null;
}

export function packRendered({ raw, deflated }: Rendered): Buffer {
  const packed = deflated ?? deflateWhole(raw);
  const isSmaller = LENGTH_BYTES + packed.length < raw.length;
  const lengths = isSmaller ? [raw.length + DEFLATED, packed.length] : [raw.length];
  const bytes = isSmaller ? packed : raw;
  const start = lengths.length * LENGTH_BYTES;
  const out = Buffer.alloc(paddedLength(start + bytes.length));
  for (const [n, length] of lengths.entries()) out.writeUInt32LE(length, n * LENGTH_BYTES);
  bytes.copy(out, start);
  return out;
}

/** A view into `kept`, or a buffer of its own. Throws MailboxError `unreadable` for what no version of this wrote. */
export function unpackRendered(kept: Buffer): Buffer {
  const first = kept.readUInt32LE(0);
  if (first < DEFLATED) return kept.subarray(LENGTH_BYTES, LENGTH_BYTES + first);
  const size = first - DEFLATED;
  const start = 2 * LENGTH_BYTES;
  const packed = kept.subarray(start, start + kept.readUInt32LE(LENGTH_BYTES));
  const raw = size > KEPT_RENDERED_BYTES ? null : inflateWhole(packed, size);
  if (raw === null) throw new MailboxError('unreadable');
  return raw;
}
