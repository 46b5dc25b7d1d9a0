/**
 * The original of a message whose body has been made (docs/original.md). Nothing is packed that would not come back: it is put
 * together again, as far as its hash, before anybody relies on it.
 */
import { Buffer } from 'node:buffer';
import { equal, hash, hashPieces } from '../../smimp/crypto.ts';
import type { Attachment } from '../../smimp/email.ts';
import { toBase64, toHex } from '../../smimp/encoding.ts';
import { deflateWhole } from './deflate.ts';
import { type Found, findAttachments } from './find.ts';
import {
  MAX_ORIGINAL_BYTES,
  MAX_PACKED_BYTES,
  MAX_SKELETON_BYTES,
  ORIGINAL_FORMAT,
  type Original,
  OriginalError,
  type Reference,
} from './format.ts';
import { isHonest, piecesOf } from './rebuild.ts';

export interface ToPack {
  raw: Buffer;
  /** Of the body that was made of it. */
  attachments: readonly Pick<Attachment, 'content'>[];
  /** Of mail that its owner puts in herself. */
  internalDate?: Original['internal_date'];
}

/** Null: it is too large to travel beside the body, which then stands alone. `raw` is only read. */
export function packOriginal(message: ToPack): Original | null {
  const { raw, attachments } = message;
  if (raw.length > MAX_ORIGINAL_BYTES) return null;
  return packWith(message, findAttachments(raw, attachments)) ?? packWith(message, []);
}

function packWith({ raw, attachments, internalDate = null }: ToPack, found: readonly Found[]): Original | null {
  const { skeleton, references } = cutOut(raw, found);
  if (skeleton.length > MAX_SKELETON_BYTES) return null;
  const packed = deflateWhole(skeleton);
  if (packed.length > MAX_PACKED_BYTES || !isHonest(packed.length, skeleton.length)) return null;
  const digest = hash(raw);
  // Where nothing was cut out, the skeleton is the message.
  if (skeleton !== raw && !equal(digestOfPieces(references, skeleton, attachments), digest)) return null;
  return {
    format: ORIGINAL_FORMAT,
    size: raw.length,
    hash: toHex(digest),
    skeleton: toBase64(packed),
    references,
    internal_date: internalDate,
  };
}

/** The whole message, deflated, where it is all in the skeleton. */
export function deflatedWhole({ skeleton, references }: Original): Buffer | null {
  return references.length === 0 ? Buffer.from(skeleton, 'base64') : null;
}

/** Of what would come back; of nothing where nothing would. */
function digestOfPieces(references: Reference[], skeleton: Buffer, attachments: ToPack['attachments']): Buffer {
  try {
    return hashPieces(piecesOf({ references }, skeleton, attachments));
  } catch (error) {
    if (error instanceof OriginalError) return Buffer.alloc(0);
    throw error;
  }
}

/** Body and original of one message: padded and in base64 they stay below the 56 MiB that a server takes (SMIMP 0.1 §5). */
export const MAX_CONTENT_BYTES = 40 * 1024 * 1024;

/** Null where both together are more than a message may hold; then the body goes alone. */
export function fitBeside(original: Original | null, bodyBytes: number): Original | null {
  if (original === null) return null;
  return bodyBytes + JSON.stringify(original).length <= MAX_CONTENT_BYTES ? original : null;
}

/** The message without what was found, and where that stood. */
function cutOut(raw: Buffer, found: readonly Found[]): { skeleton: Buffer; references: Reference[] } {
  const kept: Buffer[] = [];
  const references: Reference[] = [];
  let from = 0;
  let at = 0;
  for (const { start, end, reference, layout } of found) {
    kept.push(raw.subarray(from, start), layout);
    at += start - from;
    references.push({ ...reference, at });
    at += layout.length;
    from = end;
  }
  if (references.length === 0) return { skeleton: raw, references };
  return { skeleton: Buffer.concat([...kept, raw.subarray(from)]), references };
}
