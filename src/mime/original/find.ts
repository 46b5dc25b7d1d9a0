/**
 * Where the attachments of a body stand in the message that it came from: the bytes are looked for, whatever the structure
 * around them, and compared to the last one. What is not found this way is carried as it is.
 */
import { Buffer } from 'node:buffer';
import type { Attachment } from '../../smimp/email.ts';
import { parsePartTree } from '../structure/part-tree.ts';
import { DEFAULT_STRUCTURE_LIMITS, type Part } from '../structure/types.ts';
import { decodedBytes, encodedBytes, encodedPieces, wholeLetters } from './encoded.ts';
import { MAX_QUOTED_BYTES, MAX_REFERENCES, type Reference } from './format.ts';
import { measureLayout } from './layout.ts';
import { measureQuoted } from './quoted.ts';

/** `start` and `end` are offsets into the message; `layout` goes into the skeleton in its place. */
export type Found = { start: number; end: number; reference: Reference; layout: Buffer };

/** A reference takes about as many bytes itself. */
const MIN_BYTES = 96;
/** What an attachment begins with, in letters of base64: enough to tell it from others, less than most lines have. */
const NEEDLE_LETTERS = 24;
/** Whole bytes, so none is shorter in practice. */
const SHORTEST_LINE_LETTERS = 4;
/** Looking outside of parts, and comparing in vain, may cost so many passes over the message. */
const MAX_PASSES = 8;
const NO_LAYOUT = Buffer.alloc(0);

type Needles = { attachment: number; content: string; letters: Buffer; bytes: Buffer };

/** In the order of their places, none within another. `at` of a reference is not set yet. */
export function findAttachments(raw: Buffer, attachments: readonly Pick<Attachment, 'content'>[]): Found[] {
  if (!attachments.some(isLookedFor)) return [];
  const search = new Search(raw);
  for (const [attachment, one] of attachments.entries()) {
    if (search.found.length === MAX_REFERENCES) break;
    if (isLookedFor(one)) search.add(needlesOf(attachment, one.content));
  }
  return search.found.sort((a, b) => a.start - b.start);
}

const isLookedFor = ({ content }: Pick<Attachment, 'content'>): boolean => decodedBytes(content) >= MIN_BYTES;

function needlesOf(attachment: number, content: string): Needles {
  const beginning = content.slice(0, NEEDLE_LETTERS);
  return {
    ...{ attachment, content },
    letters: Buffer.from(beginning, 'latin1'),
    bytes: Buffer.from(beginning, 'base64'),
  };
}

class Search {
  readonly found: Found[] = [];
  readonly #raw: Buffer;
  /** Where contents of parts begin, those of outer parts before those within. */
  readonly #starts: readonly ContentStart[];
  /** The attachments of a body come in the order of the parts. */
  #nextStart = 0;
  #bytesLeft: number;

  constructor(raw: Buffer) {
    this.#raw = raw;
    this.#bytesLeft = MAX_PASSES * raw.length;
    this.#starts = contentStarts(raw);
  }

  add(needles: Needles): void {
    const found = this.#inParts(needles) ?? this.#anywhere(needles);
    if (found !== null) this.found.push(found);
  }

  #inParts(needles: Needles): Found | null {
    for (let index = this.#nextStart; index < this.#starts.length; index += 1) {
      const start = this.#starts[index];
      const found = start && (start.quoted ? this.#quotedAt(needles, start.at) : this.#at(needles, start.at));
      if (found == null) continue;
      this.#nextStart = index + 1;
      return found;
    }
    return null;
  }

  /** Pictures in HTML stand in the middle of its text. */
  #anywhere(needles: Needles): Found | null {
    for (const needle of [needles.letters, needles.bytes]) {
      for (let from = 0; this.#bytesLeft > 0; ) {
        const at = this.#raw.indexOf(needle, from);
        this.#bytesLeft -= (at < 0 ? this.#raw.length : at) - from;
        if (at < 0) break;
        const found = this.#at(needles, at);
        if (found !== null) return found;
        from = at + 1;
      }
    }
    return null;
  }

  #at(needles: Needles, start: number): Found | null {
    const { attachment, content, letters, bytes } = needles;
    if (startsWith(this.#raw, start, letters.subarray(0, SHORTEST_LINE_LETTERS))) {
      const layout = measureLayout(this.#raw, start, wholeLetters(content));
      const reference = layout && { at: 0, attachment, encoding: 'base64' as const, ...layout };
      const found = reference && this.#verified(start, reference, content);
      if (found !== null) return found;
    }
    if (!startsWith(this.#raw, start, bytes)) return null;
    return this.#verified(start, { at: 0, attachment, encoding: 'identity' }, content);
  }

  /** Every byte compared. */
  #verified(start: number, reference: Reference, content: string): Found | null {
    const end = start + encodedBytes(reference, content);
    if (!this.#isFree(start, end)) return null;
    let at = start;
    for (const piece of encodedPieces(reference, content, NO_LAYOUT)) {
      this.#bytesLeft -= piece.length;
      if (!startsWith(this.#raw, at, piece)) return null;
      at += piece.length;
    }
    return at === end ? { start, end, reference, layout: NO_LAYOUT } : null;
  }

  #quotedAt({ attachment, content }: Needles, start: number): Found | null {
    if (decodedBytes(content) > MAX_QUOTED_BYTES || this.#bytesLeft <= 0) return null;
    const measured = measureQuoted(this.#raw, start, Buffer.from(content, 'base64'));
    this.#bytesLeft -= content.length;
    if (measured === null || !this.#isFree(start, measured.end)) return null;
    const reference = { at: 0, attachment, encoding: 'quoted-printable' as const, ...measured.layout };
    return { start, end: measured.end, reference, layout: measured.breaks };
  }

  #isFree(start: number, end: number): boolean {
    if (end > this.#raw.length || this.#bytesLeft <= 0) return false;
    return !this.found.some((other) => overlap(other, { start, end }));
  }
}

function startsWith(raw: Buffer, at: number, bytes: Buffer): boolean {
  return at + bytes.length <= raw.length && raw.compare(bytes, 0, bytes.length, at, at + bytes.length) === 0;
}

function overlap(a: { start: number; end: number }, b: { start: number; end: number }): boolean {
  return a.start < b.end && b.start < a.end;
}

type ContentStart = { at: number; quoted: boolean };

/** The message itself is one: it is an attachment where it could not be taken apart. */
function contentStarts(raw: Buffer): ContentStart[] {
  const starts = [{ at: 0, quoted: false }];
  const visit = (part: Part): void => {
    const { bodyStart, bodyEnd } = part;
    starts.push({ at: bodyStart, quoted: /^quoted-printable$/i.test(part.encoding) });
    starts.push({ at: afterSpace(raw, bodyStart, bodyEnd), quoted: false });
    if (part.kind === 'multipart') part.children.forEach(visit);
    if (part.kind === 'message') visit(part.message);
  };
  visit(parsePartTree(raw, DEFAULT_STRUCTURE_LIMITS).root);
  return starts;
}

/** Base64 may begin behind empty lines. */
function afterSpace(raw: Buffer, start: number, end: number): number {
  let at = start;
  while (at < end && (raw[at] === 0x0a || raw[at] === 0x0d || raw[at] === 0x20 || raw[at] === 0x09)) at += 1;
  return at;
}
