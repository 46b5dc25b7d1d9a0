/**
 * Bytes of a legacy message to a tree of parts (RFC 5322, RFC 2045 to 2049), by mailparser under limits of
 * our own. Ugly mail never fails: what cannot be taken apart within the limits is kept whole, as one part,
 * and `degraded` says why.
 */
import { Buffer } from 'node:buffer';
import { Readable } from 'node:stream';
import { type AttachmentStream, MailParser } from 'mailparser';
import { type CleanPart, cleanPart } from './clean-parts.ts';
import { type HeaderBlock, MAX_HEADER_BYTES, readHeaderBlock } from './header-block.ts';
import { decodeParameters, parseRawField, type RawField } from './headers.ts';
import { parsePartTree } from './structure/part-tree.ts';
import { DEFAULT_STRUCTURE_LIMITS, type Part } from './structure/types.ts';
import { cleanLine } from './text.ts';

/** What a server advertises at most, base64 and headers included, with room for growth. */
export const MAX_MESSAGE_BYTES = 64 * 1024 * 1024;
/** mailsplit stops here; no person sends that many parts. */
export const MAX_PARTS = 1_000;
/** Forwards of forwards reach about ten. */
export const MAX_DEPTH = 100;
/** Few pieces for one long line, yet no copy of the whole message at once. */
const CHUNK_BYTES = 1024 * 1024;

export type MimeErrorCode = 'too-large';

export class MimeError extends Error {
  readonly code: MimeErrorCode;

  constructor(code: MimeErrorCode, options?: { cause?: unknown }) {
    super(code, options);
    this.name = 'MimeError';
    this.code = code;
  }
}

/** One part. `content` is decoded from its transfer encoding, not from its character set. */
export type MailPart = {
  contentType: string;
  parameters: ReadonlyMap<string, string>;
  disposition: 'inline' | 'attachment' | null;
  fileName: string | null;
  /** Without angle brackets. */
  contentId: string | null;
  children: MailPart[];
  content: Buffer;
};

export type Degraded = 'too-many-parts' | 'too-deep' | 'no-parts' | 'unreadable';

export type ParsedMail = {
  /** Fields of the top header, in order, bounded. */
  fields: RawField[];
  root: MailPart;
  /** What the text says it is in; header fields of raw bytes are taken for the same. */
  charset: string | null;
  /** Not null: `root` is one part that holds the message as it came. */
  degraded: Degraded | null;
};

/** Nodes of mailparser's tree: it keeps them on the parser, but its declarations do not name them. */
type ParserNode = {
  contentType: string | false;
  headers: AttachmentStream['headers'];
  headerLines: { key: string; line: string }[];
  children: ParserNode[];
};
type ParserInside = { textTypes: string[]; tree: ParserNode | false };

/** Parses one message of at most `maxBytes`. Throws `too-large`, nothing else. */
export async function parseMail(message: Uint8Array, options: { maxBytes?: number } = {}): Promise<ParsedMail> {
  if (message.length > (options.maxBytes ?? MAX_MESSAGE_BYTES)) throw new MimeError('too-large');
  const bytes = withLines(Buffer.from(message.buffer, message.byteOffset, message.length));
  const block = readHeaderBlock(bytes);
  const body = bytes.subarray(block.bodyStart);
  const split = await splitParts(block, body);
  const { fields } = block;
  if ('failed' in split) return { fields, root: keptWhole(bytes), charset: null, degraded: split.failed };
  const { root, charset } = split;
  if (isEmptyMultipart(root)) return { fields, root: textPart(body), charset, degraded: null };
  const degraded = findFault(root);
  if (degraded !== null) return { fields, root: keptWhole(bytes), charset, degraded };
  emptyWhatIsEmpty(root, bytes);
  return { fields, root, charset, degraded: null };
}

const LF = 0x0a;
const CR = 0x0d;

/** A message whose every line ends with CR alone, as old Macs wrote, has no lines for anybody else. */
function withLines(bytes: Buffer): Buffer {
  if (bytes.includes(LF) || !bytes.includes(CR)) return bytes;
  return bytes.map((byte) => (byte === CR ? LF : byte)) as Buffer;
}

type SplitResult = { root: MailPart; charset: string | null } | { failed: Degraded };

async function splitParts({ structure }: HeaderBlock, body: Buffer): Promise<SplitResult> {
  const clean = splitClean(structure, body);
  if (clean !== null) return clean;
  const parser = new MailParser({
    ...{ skipHtmlToText: true, skipTextToHtml: true, skipTextLinks: true, skipImageLinks: true },
    ...{ checksumAlgo: false, ignoreEmbedded: true, maxChildNodes: MAX_PARTS, maxHeadSize: 2 * MAX_HEADER_BYTES },
  });
  const inside = parser as unknown as ParserInside;
  // With no type counted as text, every leaf comes out as bytes: the order of alternatives, the character
  // sets and format=flowed are decided in one place, select.ts, and not by how mailparser joins texts.
  inside.textTypes = [];
  try {
    const contents = await readLeaves(Readable.from(chunksOf(structure, body)).pipe(parser));
    if (inside.tree === false) return { root: textPart(body), charset: null };
    return splitResult(inside.tree, contents);
  } catch (error) {
    return { failed: isLengthError(error) ? 'too-many-parts' : 'unreadable' };
  }
}

function splitResult(tree: ParserNode, contents: ReadonlyMap<AttachmentStream['headers'], Buffer>): SplitResult {
  const charset = charsetOf(tree);
  return { root: toPart(tree, contents, charset), charset };
}

/** Nobody looks at another field, so with one the parser is asked. */
const PLAIN_FIELD = /^content-(?:type|transfer-encoding)[ \t]*:/i;

/** Taken apart without the parser, where it would make the same of it. */
function splitClean(structure: readonly string[], body: Buffer): SplitResult | null {
  const clean = structure.every((field) => PLAIN_FIELD.test(field)) ? cleanPart(structure, body) : null;
  if (clean === null) return null;
  const contents = new Map<AttachmentStream['headers'], Buffer>();
  return splitResult(nodeOf(clean, contents), contents);
}

function nodeOf(part: CleanPart, contents: Map<AttachmentStream['headers'], Buffer>): ParserNode {
  const { contentType, headerLines, content } = part;
  const headers: ParserNode['headers'] = new Map();
  contents.set(headers, content);
  return { contentType, headers, headerLines, children: part.children.map((child) => nodeOf(child, contents)) };
}

/** The other fields of the top header are read elsewhere. */
function* chunksOf(structure: readonly string[], body: Buffer): Generator<Buffer> {
  yield Buffer.from(`${structure.map(withLineEnd).join('')}\r\n`, 'latin1');
  for (let offset = 0; offset < body.length; offset += CHUNK_BYTES) yield body.subarray(offset, offset + CHUNK_BYTES);
}

const withLineEnd = (field: string): string => (field.endsWith('\n') ? field : `${field}\r\n`);

function isLengthError(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'EMAXLEN';
}

/** The bytes of each leaf, under the parser's own header map of that leaf. */
async function readLeaves(parser: MailParser): Promise<Map<AttachmentStream['headers'], Buffer>> {
  const contents = new Map<AttachmentStream['headers'], Buffer>();
  for await (const item of parser) {
    if (item.type !== 'attachment') continue;
    const chunks: Buffer[] = await item.content.toArray();
    contents.set(item.headers, chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks));
    item.release();
  }
  return contents;
}

/** Recursion is as deep as the parts are nested, at most MAX_PARTS. */
function toPart(
  node: ParserNode,
  contents: ReadonlyMap<AttachmentStream['headers'], Buffer>,
  hint: string | null,
  inDigest = false,
): MailPart {
  const fields = fieldsOf(node);
  const type = decodeParameters(firstValue(fields, 'content-type'), hint);
  const disposition = decodeParameters(firstValue(fields, 'content-disposition'), hint);
  const name = disposition.parameters.get('filename') || type.parameters.get('name') || null;
  const id = firstValue(fields, 'content-id').replace(/^<|>$/g, '');
  return {
    contentType: typeOf(node, name, inDigest),
    parameters: type.parameters,
    disposition: dispositionOf(disposition.value),
    fileName: name,
    contentId: /^[\x21-\x3b\x3d\x3f-\x7e]{1,400}$/.test(id) ? id : null,
    children: node.children.map((child) => toPart(child, contents, hint, node.contentType === 'multipart/digest')),
    content: contents.get(node.headers) ?? Buffer.alloc(0),
  };
}

const TYPE = /^[^\s/;,"]+\/[^\s/;,"]+$/;

/** RFC 2046 §5.1.5 and RFC 2045 §5.2: what a part is that does not say, or says what is no type. */
function typeOf(node: ParserNode, name: string | null, inDigest: boolean): string {
  const declared = node.headerLines.some(({ key }) => key === 'content-type');
  if (!declared && inDigest) return 'message/rfc822';
  const type = cleanLine(node.contentType || '');
  if (TYPE.test(type)) return type;
  return declared && name !== null ? 'application/octet-stream' : 'text/plain';
}

function fieldsOf(node: ParserNode): RawField[] {
  return node.headerLines.map((line) => parseRawField(line.line)).filter((field) => field !== null);
}

/** What the first text that names its character set says: raw bytes in header fields are in it as well. */
function charsetOf(node: ParserNode): string | null {
  const own = decodeParameters(firstValue(fieldsOf(node), 'content-type')).parameters.get('charset');
  if (own !== undefined && !/^(?:us-)?ascii$/i.test(own)) return own;
  return node.children.map(charsetOf).find((charset) => charset !== null) ?? null;
}

function firstValue(fields: readonly RawField[], name: string): string {
  return fields.find((field) => field.name === name)?.value ?? '';
}

/** RFC 2183 §2.8: an unknown disposition is an attachment. */
function dispositionOf(value: string): MailPart['disposition'] {
  if (value === '') return null;
  return value === 'inline' ? 'inline' : 'attachment';
}

export function isMultipart(part: MailPart): boolean {
  return part.contentType.startsWith('multipart/');
}

/** A multipart whose boundary is missing or never comes: its text would be lost as preamble. */
function isEmptyMultipart(part: MailPart): boolean {
  return isMultipart(part) && part.children.length === 0;
}

function findFault(root: MailPart): Degraded | null {
  let level: MailPart[] = [root];
  for (let depth = 0; level.length > 0; depth += 1) {
    if (depth > MAX_DEPTH) return 'too-deep';
    if (level.some(isEmptyMultipart)) return 'no-parts';
    level = level.flatMap((part) => part.children);
  }
  return null;
}

const isLineEnd = (content: Buffer): boolean => content.length <= 2 && /^\r?\n$/.test(content.toString('latin1'));

/** The splitter gives a part of no bytes the line end that belongs to the boundary behind it; the index tells the two apart. */
function emptyWhatIsEmpty(root: MailPart, bytes: Buffer): void {
  const leaves = leavesOf(root, isMultipart);
  if (!leaves.some(({ content }) => isLineEnd(content))) return;
  const ranges = leavesOf<Part>(
    parsePartTree(bytes, DEFAULT_STRUCTURE_LIMITS).root,
    ({ kind }) => kind === 'multipart',
  );
  if (ranges.length !== leaves.length) return;
  for (const [at, leaf] of leaves.entries()) {
    const range = ranges[at];
    if (isLineEnd(leaf.content) && range?.bodyStart === range?.bodyEnd) leaf.content = Buffer.alloc(0);
  }
}

/** Recursion is as deep as the parts are nested, at most MAX_PARTS. */
function leavesOf<Node extends object>(node: Node, isParent: (node: Node) => boolean): Node[] {
  if (!isParent(node) || !('children' in node)) return [node];
  return (node.children as Node[]).flatMap((child) => leavesOf(child, isParent));
}

const NO_PARAMETERS: ReadonlyMap<string, string> = new Map();

function textPart(content: Buffer): MailPart {
  const shared = { parameters: NO_PARAMETERS, disposition: null, fileName: null, contentId: null, children: [] };
  return { contentType: 'text/plain', ...shared, content };
}

/** The message as one part. Not as message/rfc822, which the next reader would try to take apart again. */
function keptWhole(bytes: Buffer): MailPart {
  const shared = { parameters: NO_PARAMETERS, contentId: null, children: [] };
  return {
    contentType: 'application/octet-stream',
    ...shared,
    disposition: 'attachment',
    fileName: 'original.eml',
    content: bytes,
  };
}
