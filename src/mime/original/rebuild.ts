/** The message again from its original and the attachments of the body, into one buffer of known size. */
import { Buffer } from 'node:buffer';
import { inflateRawSync } from 'node:zlib';
import { equal, hash } from '../../smimp/crypto.ts';
import type { Attachment } from '../../smimp/email.ts';
import { type Base64, parseHex } from '../../smimp/encoding.ts';
import { decodedBytes, encodedBytes, encodedPieces, layoutBytes } from './encoded.ts';
import {
  FREE_EXPANSION_BYTES,
  MAX_EXPANSION,
  MAX_ORIGINAL_BYTES,
  MAX_PACKED_BYTES,
  MAX_SKELETON_BYTES,
  type Original,
  OriginalError,
  originalSchema,
} from './format.ts';

type Contents = readonly Pick<Attachment, 'content'>[];

const HASH_BYTES = 32;
const NOTHING = { content: '' as Base64 };

/** The original, checked as far as it can be without the body. Throws OriginalError `form`. */
export function parseOriginal(value: unknown): Original {
  const parsed = originalSchema.safeParse(value);
  if (!parsed.success) throw new OriginalError('form', { cause: parsed.error });
  return parsed.data;
}

/** Throws OriginalError. */
export function rebuildOriginal(original: Original, attachments: Contents): Buffer {
  const skeleton = unfold(original, skeletonBytes(original, attachments));
  const out = Buffer.allocUnsafe(original.size);
  let at = 0;
  for (const piece of piecesOf(original, skeleton, attachments)) at += piece.copy(out, at);
  if (!equal(hash(out), parseHex(original.hash, HASH_BYTES))) throw new OriginalError('hash');
  return out;
}

/** What the skeleton must unfold to, by the size of the message and of what is referred to. */
function skeletonBytes({ size, references }: Original, attachments: Contents): number {
  if (size > MAX_ORIGINAL_BYTES) throw new OriginalError('too-large');
  let bytes = size;
  let from = 0;
  for (const reference of references) {
    const attachment = attachments[reference.attachment];
    if (attachment === undefined || reference.at < from) throw new OriginalError('reference');
    from = reference.at + layoutBytes(reference);
    bytes += layoutBytes(reference) - encodedBytes(reference, attachment.content);
  }
  if (bytes < from) throw new OriginalError('reference');
  if (bytes > MAX_SKELETON_BYTES) throw new OriginalError('too-large');
  return bytes;
}

/** Never into more than is said, nor into more than honest text takes. */
function unfold({ skeleton }: Original, sizeBytes: number): Buffer {
  if (decodedBytes(skeleton) > MAX_PACKED_BYTES) throw new OriginalError('too-large');
  const packed = Buffer.from(skeleton, 'base64');
  if (!isHonest(packed.length, sizeBytes)) throw new OriginalError('too-large');
  try {
    const bytes = inflateRawSync(packed, { maxOutputLength: Math.max(sizeBytes, 1) });
    if (bytes.length === sizeBytes) return bytes;
  } catch (cause) {
    throw new OriginalError('skeleton', { cause });
  }
  throw new OriginalError('skeleton');
}

/** Whether so much may have been packed into so little. */
export function isHonest(packedBytes: number, unfoldedBytes: number): boolean {
  return unfoldedBytes <= FREE_EXPANSION_BYTES + MAX_EXPANSION * packedBytes;
}

/** The message in its order; each piece may be overwritten by the next. */
export function* piecesOf(
  { references }: Pick<Original, 'references'>,
  skeleton: Buffer,
  attachments: Contents,
): Generator<Buffer> {
  let from = 0;
  for (const reference of references) {
    yield skeleton.subarray(from, reference.at);
    from = reference.at + layoutBytes(reference);
    const { content } = attachments[reference.attachment] ?? NOTHING;
    yield* encodedPieces(reference, content, skeleton.subarray(reference.at, from));
  }
  yield skeleton.subarray(from);
}
