/**
 * An attachment as it stood in the message: written again piece by piece from the base64 of the body, never as a whole. Of
 * base64 only groups of three bytes are written; a rest, the padding and the last line end stand in the skeleton.
 */
import { Buffer } from 'node:buffer';
import {
  type Base64Layout,
  type LineRun,
  MAX_QUOTED_BYTES,
  OriginalError,
  type QuotedLayout,
  type Reference,
} from './format.ts';
import { isPossible, writeQuoted } from './quoted.ts';

/** A multiple of four letters, so that pieces of base64 decode by themselves. */
const PIECE_BYTES = 64 * 1024;
const GROUP_LETTERS = 4;
const GROUP_BYTES = 3;

/** How many bytes canonical base64 stands for. */
export function decodedBytes(content: string): number {
  const padding = content.endsWith('==') ? 2 : content.endsWith('=') ? 1 : 0;
  return (content.length / GROUP_LETTERS) * GROUP_BYTES - padding;
}

/** Letters of the whole groups of three bytes. */
export function wholeLetters(content: string): number {
  return Math.floor(decodedBytes(content) / GROUP_BYTES) * GROUP_LETTERS;
}

/** Bytes that the attachment takes up in the message. Throws `lines`. */
export function encodedBytes(reference: Reference, content: string): number {
  if (reference.encoding === 'identity') return decodedBytes(content);
  if (reference.encoding === 'quoted-printable') return quotedBytes(reference, content);
  return base64Bytes(reference, content);
}

function base64Bytes({ line_end: lineEnd, lines }: Base64Layout, content: string): number {
  const letters = wholeLetters(content);
  return letters + (countLines(lines, letters) - 1) * lineEnd.length;
}

function quotedBytes(layout: QuotedLayout, content: string): number {
  const contentBytes = decodedBytes(content);
  if (contentBytes > MAX_QUOTED_BYTES) throw new OriginalError('too-large');
  if (!isPossible(layout, contentBytes)) throw new OriginalError('lines');
  return layout.bytes;
}

/** Bytes of the skeleton that say how the attachment is written, and are not written themselves. */
export function layoutBytes(reference: Reference): number {
  return reference.encoding === 'quoted-printable' ? reference.lines : 0;
}

/** The runs give exactly so many letters. */
function countLines(runs: readonly LineRun[], letters: number): number {
  let left = letters;
  let lines = 0;
  for (const [length, times] of runs) {
    lines += times;
    left -= length * times;
  }
  if (left !== 0) throw new OriginalError('lines');
  return lines;
}

/**
 * The bytes, in pieces that are overwritten by the next. The reference has passed `encodedBytes`; `layout`: its bytes of the
 * skeleton. Throws `lines`.
 */
export function encodedPieces(reference: Reference, content: string, layout: Buffer): Iterable<Buffer> {
  if (reference.encoding === 'base64') return base64Pieces(reference, content);
  if (reference.encoding === 'identity') return identityPieces(content);
  return [writeQuoted(reference, Buffer.from(content, 'base64'), layout)];
}

function* identityPieces(content: string): Generator<Buffer> {
  for (let at = 0; at < content.length; at += PIECE_BYTES)
    yield Buffer.from(content.slice(at, at + PIECE_BYTES), 'base64');
}

function* base64Pieces(layout: Base64Layout, content: string): Generator<Buffer> {
  const { line_end: lineEnd, lines } = layout;
  const out = Buffer.allocUnsafe(Math.min(PIECE_BYTES, base64Bytes(layout, content)));
  let filled = 0;
  for (const { from, to, ends } of textPieces(lines, wholeLetters(content))) {
    if (filled + (to - from) + (ends ? lineEnd.length : 0) > out.length) {
      yield out.subarray(0, filled);
      filled = 0;
    }
    filled += out.write(content.slice(from, to), filled, 'latin1');
    if (ends) filled += out.write(lineEnd, filled, 'latin1');
  }
  yield out.subarray(0, filled);
}

/** Lines, the very long ones in pieces. `ends`: a line end follows. */
function* textPieces(
  lines: readonly LineRun[],
  letters: number,
): Generator<{ from: number; to: number; ends: boolean }> {
  let from = 0;
  for (const [length, times] of lines) {
    for (let line = 0; line < times; line += 1) {
      const end = from + length;
      for (; end - from > PIECE_BYTES / 2; from += PIECE_BYTES / 2)
        yield { from, to: from + PIECE_BYTES / 2, ends: false };
      yield { from, to: end, ends: end < letters };
      from = end;
    }
  }
}
