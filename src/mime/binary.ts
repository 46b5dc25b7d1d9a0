/**
 * Parts without their transfer encoding (RFC 3516 §4.2, RFC 2045 §6), and messages that hold NULs, which only a literal8 may
 * carry: they are kept in base64.
 */
import { headerFields } from './structure/header-fields.ts';
import { indexMessage } from './structure/message-index.ts';
import { findPart } from './structure/section.ts';
import type { LeafPart, MessageIndex, Part } from './structure/types.ts';
import { decodeTransferEncoding } from './text-search.ts';

const NUL = 0;
const BASE64_LINE = 76;
const IDENTITY = /^(?:7bit|8bit|binary)$/i;
const ENCODED = /^(?:base64|quoted-printable)$/i;
/** RFC 2045 §6.7: white space at the end of a line was added on the way. */
const TRAILING_SPACE = /[ \t]+(?=\r?\n|$)/g;

export type DecodedSection =
  | { readonly known: true; readonly bytes: Buffer }
  /** The transfer encoding is none that is known. */
  | { readonly known: false };

/** The part with these numbers, decoded; the message itself without numbers. Null when there is no such part. */
export function decodeSection(raw: Buffer, index: MessageIndex, numbers: readonly number[]): DecodedSection | null {
  if (numbers.length === 0) return { known: true, bytes: raw };
  const part = findPart(index, numbers);
  if (part === null) return null;
  const body = raw.subarray(part.bodyStart, part.bodyEnd);
  // What holds parts is not encoded itself (RFC 2045 §6.4).
  if (part.kind !== 'leaf' || IDENTITY.test(part.encoding)) return { known: true, bytes: body };
  return ENCODED.test(part.encoding) ? { known: true, bytes: decoded(body, part.encoding) } : { known: false };
}

function decoded(body: Buffer, encoding: string): Buffer {
  if (encoding.toLowerCase() === 'base64') return decodeTransferEncoding(body, encoding);
  const text = body.toString('latin1').replace(TRAILING_SPACE, '');
  return decodeTransferEncoding(Buffer.from(text, 'latin1'), encoding);
}

/** The message without NULs: parts that hold some are encoded in base64, others, which mean nothing, are left out. */
export function withoutNul(raw: Buffer): Buffer {
  if (!raw.includes(NUL)) return raw;
  const pieces: Buffer[] = [];
  let kept = 0;
  for (const part of leavesOf(indexMessage(raw).structure)) {
    const body = raw.subarray(part.bodyStart, part.bodyEnd);
    if (!body.includes(NUL) || !IDENTITY.test(part.encoding)) continue;
    pieces.push(stripped(raw.subarray(kept, part.headerStart)), stripped(encodedHeader(raw, part)), base64Lines(body));
    kept = part.bodyEnd;
  }
  return Buffer.concat([...pieces, stripped(raw.subarray(kept))]);
}

function leavesOf(part: Part): LeafPart[] {
  if (part.kind === 'leaf') return [part];
  return part.kind === 'message' ? leavesOf(part.message) : part.children.flatMap(leavesOf);
}

function encodedHeader(raw: Buffer, { headerStart, bodyStart }: LeafPart): Buffer {
  const fields = [...headerFields(raw, headerStart, bodyStart)].filter(
    ({ name }) => name !== 'content-transfer-encoding',
  );
  const kept = fields.map(({ start, end }) => raw.subarray(start, end));
  return Buffer.concat([...kept, Buffer.from('Content-Transfer-Encoding: base64\r\n\r\n')]);
}

function base64Lines(body: Buffer): Buffer {
  const text = body.toString('base64');
  const lines: string[] = [];
  for (let at = 0; at < text.length; at += BASE64_LINE) lines.push(text.slice(at, at + BASE64_LINE));
  return Buffer.from(lines.map((line) => `${line}\r\n`).join(''), 'latin1');
}

function stripped(bytes: Buffer): Buffer {
  return bytes.includes(NUL) ? (bytes.filter((byte) => byte !== NUL) as Buffer) : bytes;
}
