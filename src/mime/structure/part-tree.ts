/**
 * The tree of a message's parts (RFC 2046 §5.1) in one pass over its lines. All open boundaries are in one table, so a
 * line costs the same however deep the nesting is. Damage is taken as it comes: a part without end ends where an outer
 * one does, and a header without blank line ends at a boundary.
 */
import { BoundaryTable } from './boundary-table.ts';
import { buildEnvelope } from './envelope.ts';
import { isBlankLine, lineEnd } from './header-fields.ts';
import {
  boundaryOf,
  type DefaultType,
  describePart,
  emptyDescription,
  type HeaderValues,
  type PartDescription,
  readHeader,
} from './part-description.ts';
import type { ByteString, LeafPart, MessagePart, MultipartPart, Part, StructureLimits } from './types.ts';

const CR = 0x0d;
const LF = 0x0a;
const NO_VALUES: HeaderValues = new Map();
const IDENTITY_ENCODING = /^(?:7bit|8bit|binary)$/i;

/** A part whose end is not found yet. */
interface OpenPart {
  headerStart: number;
  /** -1 until the blank line of the header. */
  bodyStart: number;
  /** Line ends before `bodyStart`. */
  newlinesBefore: number;
  defaultType: DefaultType;
  kind: Part['kind'];
  description: PartDescription;
  values: HeaderValues;
  children: Part[];
  /** Header of the last child: the embedded message's, where the part is one. */
  childValues: HeaderValues;
}

/** The message as a part. Linear in the size of `raw`. */
export function parsePartTree(raw: Buffer, limits: StructureLimits): { root: Part; rootValues: HeaderValues } {
  return new PartScanner(raw, limits).scan();
}

class PartScanner {
  readonly #raw: Buffer;
  readonly #limits: StructureLimits;
  readonly #open: OpenPart[] = [];
  readonly #boundaries = new BoundaryTable();
  #parts = 0;
  #newlines = 0;
  #rootValues: HeaderValues = NO_VALUES;

  constructor(raw: Buffer, limits: StructureLimits) {
    this.#raw = raw;
    this.#limits = limits;
  }

  scan(): { root: Part; rootValues: HeaderValues } {
    const end = this.#raw.length;
    this.#begin(0, 'text');
    for (let position = 0; position < end; ) {
      const next = lineEnd(this.#raw, position, end);
      this.#line(position, next);
      position = next;
    }
    const root = this.#closeDownTo(0, end, end);
    return { root, rootValues: this.#rootValues };
  }

  #line(start: number, end: number): void {
    const boundary = this.#parts < this.#limits.parts ? this.#boundaries.match(this.#raw, start, end) : null;
    if (boundary !== null) this.#delimiter(start, boundary.depth, boundary.closing);
    if (this.#raw[end - 1] === LF) this.#newlines += 1;
    if (boundary !== null) {
      if (!boundary.closing)
        this.#begin(end, this.#open[boundary.depth]?.description.subtype === 'digest' ? 'digest' : 'text');
      return;
    }
    if (this.#top().bodyStart < 0 && isBlankLine(this.#raw, start, end)) this.#endHeader(end);
  }

  #delimiter(start: number, depth: number, closing: boolean): void {
    if (this.#open.length > depth + 1) this.#closeDownTo(depth + 1, start, this.#beforeLineEnd(start));
    if (closing) this.#boundaries.remove(depth);
  }

  #begin(headerStart: number, defaultType: DefaultType): void {
    this.#parts += 1;
    this.#open.push({
      headerStart,
      bodyStart: -1,
      newlinesBefore: 0,
      defaultType,
      kind: 'leaf',
      description: emptyDescription(this.#limits),
      values: NO_VALUES,
      children: [],
      childValues: NO_VALUES,
    });
  }

  #endHeader(bodyStart: number): void {
    const part = this.#top();
    const depth = this.#open.length - 1;
    part.bodyStart = bodyStart;
    part.newlinesBefore = this.#newlines;
    part.values = readHeader(this.#raw, part.headerStart, bodyStart, this.#limits);
    if (depth === 0) this.#rootValues = part.values;
    part.description = describePart(part.values, part.defaultType, this.#limits);
    part.kind = kindOf(part.description);
    if (part.kind === 'leaf') return;
    if (depth >= this.#limits.depth || this.#parts >= this.#limits.parts) part.kind = 'leaf';
    else if (part.kind === 'message') this.#begin(bodyStart, 'text');
    else this.#boundaries.add(boundaryOf(part.description.params) ?? '', depth);
  }

  /** Closes every open part from the top down to `depth`, and gives the last one closed. */
  #closeDownTo(depth: number, scanned: number, bodyEnd: number): Part {
    while (this.#top().bodyStart < 0) this.#endHeader(scanned);
    let closed = this.#closeTop(scanned, bodyEnd);
    while (this.#open.length > depth) closed = this.#closeTop(scanned, bodyEnd);
    return closed;
  }

  #closeTop(scanned: number, boundaryEnd: number): Part {
    const part = this.#top();
    this.#open.pop();
    this.#boundaries.remove(this.#open.length);
    const bodyEnd = Math.max(part.bodyStart, boundaryEnd);
    const span = { headerStart: part.headerStart, bodyStart: part.bodyStart, bodyEnd };
    const closed = finished(part, { ...span, lines: this.#countLines(part, scanned, bodyEnd) }, this.#limits);
    const parent = this.#open.at(-1);
    parent?.children.push(closed);
    if (parent !== undefined) parent.childValues = part.values;
    return closed;
  }

  #countLines(part: OpenPart, scanned: number, bodyEnd: number): number {
    if (bodyEnd <= part.bodyStart) return 0;
    const newlines = this.#newlines - part.newlinesBefore - (bodyEnd < scanned ? 1 : 0);
    return newlines + (this.#raw[bodyEnd - 1] === LF ? 0 : 1);
  }

  /** The line end before a boundary belongs to the boundary (RFC 2046 §5.1.1). */
  #beforeLineEnd(start: number): number {
    if (this.#raw[start - 1] !== LF) return start;
    return this.#raw[start - 2] === CR ? start - 2 : start - 1;
  }

  #top(): OpenPart {
    const part = this.#open.at(-1);
    if (part === undefined) throw new RangeError('No part is open');
    return part;
  }
}

/**
 * Neither may be encoded (RFC 2046 §5.2.1, RFC 2045 §6.4). Multiparts that claim to be are not, in practice; messages
 * are, and cannot be looked into by offsets.
 */
function kindOf(description: PartDescription): Part['kind'] {
  if (isMessage(description)) return IDENTITY_ENCODING.test(description.encoding) ? 'message' : 'leaf';
  return description.type === 'multipart' && boundaryOf(description.params) !== null ? 'multipart' : 'leaf';
}

type Span = Pick<LeafPart, 'headerStart' | 'bodyStart' | 'bodyEnd' | 'lines'>;

function finished(part: OpenPart, span: Span, limits: StructureLimits): Part {
  const [child] = part.children;
  if (part.kind === 'multipart') return multipart(part, span, limits);
  if (part.kind === 'message' && child !== undefined) return embedded(part, span, child, limits);
  return leaf(part.description, span);
}

/** A client can make nothing of a multipart without parts, so it is shown one that is empty. */
function multipart(part: OpenPart, span: Span, limits: StructureLimits): MultipartPart {
  const { bodyEnd } = span;
  const empty = { headerStart: bodyEnd, bodyStart: bodyEnd, bodyEnd, lines: 0 };
  const children = part.children.length > 0 ? part.children : [leaf(emptyDescription(limits), empty)];
  return { kind: 'multipart', ...part.description, ...span, children };
}

function embedded(part: OpenPart, span: Span, message: Part, limits: StructureLimits): MessagePart {
  const envelope = buildEnvelope(part.childValues, limits);
  return { kind: 'message', ...part.description, ...span, envelope, message };
}

/** Types that promise a structure which is not there are shown as bytes. */
function leaf(description: PartDescription, span: Span): LeafPart {
  const promising = description.type === 'multipart' || isMessage(description);
  if (!promising) return { kind: 'leaf', ...description, ...span, opaque: false };
  const type = 'application' as ByteString;
  return { kind: 'leaf', ...description, type, subtype: 'octet-stream' as ByteString, ...span, opaque: true };
}

function isMessage({ type, subtype }: PartDescription): boolean {
  return type === 'message' && (subtype === 'rfc822' || subtype === 'global');
}
