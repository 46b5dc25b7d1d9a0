/**
 * Mail that is written to the letter of RFC 2045 and RFC 2046 §5.1, as nearly all programs do, taken apart without the
 * parser, which would make the same of it in many small steps. What is unusual in any way is not taken apart here.
 */
import { Buffer } from 'node:buffer';
import { parseRawField } from './headers.ts';
import { decodeTransferEncoding } from './text-search.ts';

/** A part as the parser gives it; `content` is decoded. */
export interface CleanPart {
  contentType: string;
  headerLines: { key: string; line: string }[];
  content: Buffer;
  children: CleanPart[];
}

/** Larger mail is taken apart in pieces, so that nobody holds all of it twice. */
const MAX_BYTES = 256 * 1024;
const MAX_DEPTH = 5;
const MAX_CHILDREN = 50;
const CRLF = '\r\n';
const LF = 0x0a;
const CR = 0x0d;
const BARE_CR = /\r(?!\n|$)/;
const TYPE = /^[a-z0-9.+-]+\/[a-z0-9.+-]+(?=;|$)/i;
const AS_IT_IS = /^(?:7bit|8bit|binary)?$/i;
const MULTIPART = /^multipart\/(?:mixed|alternative|related);[^(*\\]*$/i;
const BOUNDARY = /;\s*boundary="?([A-Za-z0-9'+_,./:=?-]{1,70})"?\s*(?=;|$)/i;
const QUOTED_PRINTABLE = /^(?:[\x21-\x3c\x3e-\x7e]|[\t ](?!\r|$)|=[0-9A-F]{2}|=?\r\n)*$/;
const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/;

/** `fields`: those of the header that say how the body is made. Null: not for here. */
export function cleanPart(fields: readonly string[], body: Buffer, depth = 0): CleanPart | null {
  if (body.length > MAX_BYTES || depth > MAX_DEPTH) return null;
  const parsed = fields.map((line) => ({ line, field: parseRawField(line) }));
  const values = (wanted: string) => parsed.flatMap(({ field }) => (field?.name === wanted ? [field.value] : []));
  const [types, encodings] = [values('content-type'), values('content-transfer-encoding')];
  const [type = 'text/plain', encoding = ''] = [types[0], encodings[0]];
  // Without a type the parser looks at the name of the file.
  const isGuessed = types.length === 0 && values('content-disposition').length > 0;
  const isBroken = fields.some((field) => BARE_CR.test(field));
  if (types.length > 1 || encodings.length > 1 || isGuessed || isBroken) return null;
  const contentType = TYPE.exec(type)?.[0].toLowerCase();
  if (contentType === undefined || contentType.startsWith('message/')) return null;
  const headerLines = parsed.map(({ line, field }) => ({ key: field?.name ?? '', line }));
  if (contentType.startsWith('multipart/')) {
    const children = AS_IT_IS.test(encoding) ? childrenOf(type, body, depth) : null;
    return children && { contentType, headerLines, children, content: Buffer.alloc(0) };
  }
  const content = decoded(body, encoding);
  return content && { contentType, headerLines, children: [], content };
}

function decoded(body: Buffer, encoding: string): Buffer | null {
  if (AS_IT_IS.test(encoding)) return body;
  const text = body.toString('latin1');
  if (encoding.toLowerCase() === 'quoted-printable')
    return QUOTED_PRINTABLE.test(text) ? decodeTransferEncoding(body, 'quoted-printable') : null;
  if (encoding.toLowerCase() !== 'base64') return null;
  const letters = text.replaceAll(CRLF, '');
  return letters.length % 4 === 0 && BASE64.test(letters) ? Buffer.from(letters, 'base64') : null;
}

function childrenOf(type: string, body: Buffer, depth: number): CleanPart[] | null {
  const boundary = MULTIPART.test(type) ? BOUNDARY.exec(type)?.[1] : undefined;
  if (boundary === undefined || type.toLowerCase().split('boundary').length !== 2) return null;
  const children: CleanPart[] = [];
  for (const piece of piecesOf(body, `--${boundary}`) ?? []) {
    const child = childOf(piece, depth);
    if (child === null || children.push(child) > MAX_CHILDREN) return null;
  }
  return children.length === 0 ? null : children;
}

/** What stands between the delimiters, each a whole line, the last of which closes. Nothing may come behind it. */
function piecesOf(body: Buffer, delimiter: string): Buffer[] | null {
  const pieces: Buffer[] = [];
  let start = -1;
  for (let at = 0; ; ) {
    const found = body.indexOf(delimiter, at, 'latin1');
    if (found < 0 || (found > 0 && (body[found - 1] !== LF || body[found - 2] !== CR))) return null;
    if (start >= 0 && start > found - CRLF.length) return null;
    if (start >= 0) pieces.push(body.subarray(start, found - CRLF.length));
    const behind = found + delimiter.length;
    const next = body.toString('latin1', behind, behind + CRLF.length);
    if (next === '--') return isAtEnd(body, behind + next.length) ? pieces : null;
    if (next !== CRLF) return null;
    start = behind + CRLF.length;
    at = start;
  }
}

const isAtEnd = (body: Buffer, at: number): boolean =>
  at === body.length || (at + CRLF.length === body.length && body.toString('latin1', at) === CRLF);

const UNUSUAL_LINE_END = /(?<!\r)\n|\r(?!\n)/;
const FIELD = /^[\x21-\x39\x3b-\x7e]+:/;

/** A part with its header. */
function childOf(piece: Buffer, depth: number): CleanPart | null {
  const end = piece.indexOf(CRLF + CRLF);
  if (end <= 0) return null;
  const header = piece.toString('latin1', 0, end);
  const fields = header.split(/\r\n(?![ \t])/);
  if (UNUSUAL_LINE_END.test(header) || !fields.every((field) => FIELD.test(field))) return null;
  return cleanPart(fields, piece.subarray(end + 2 * CRLF.length), depth + 1);
}
