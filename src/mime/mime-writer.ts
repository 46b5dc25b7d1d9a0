/**
 * MIME entities to bytes, always the same for the same input: boundaries come from a hash of the content, so that no
 * content can hold its own boundary, and nothing depends on clock or chance (RFC 2045, RFC 2046).
 */
import { Buffer } from 'node:buffer';
import { hash } from '../smimp/crypto.ts';
import { toHex } from '../smimp/encoding.ts';
import { pae, text } from '../smimp/transcript.ts';
import { parameterField } from './headers.ts';

/** `fields`: whole header fields, each with its line end. */
export type Entity =
  | { fields: readonly string[]; body: Buffer | Base64Body }
  | { subtype: string; parameters?: readonly { name: string; value: string }[]; children: readonly Entity[] };

/** Base64 text that stands in lines of 76 characters once it is written. */
export class Base64Body {
  readonly #base64: string;
  readonly sizeBytes: number;

  constructor(base64: string) {
    this.#base64 = base64;
    this.sizeBytes = base64.length + CRLF.length * Math.ceil(base64.length / MAX_ENCODED_LINE);
  }

  /** Without decoding it. */
  writeTo(out: Buffer, start: number): void {
    const base64 = this.#base64;
    let at = start;
    for (let from = 0; from < base64.length; from += MAX_ENCODED_LINE) {
      at += out.write(base64.slice(from, from + MAX_ENCODED_LINE), at, 'latin1');
      at += out.write(CRLF, at, 'latin1');
    }
  }
}

const CRLF = '\r\n';
/** RFC 2045 §6.7 and §6.8. */
const MAX_ENCODED_LINE = 76;
/** RFC 5322 §2.1.1. */
const MAX_LINE_BYTES = 998;
const BOUNDARY_HEX_DIGITS = 32;

/** Header fields of the whole message come first, those of the root entity after them. */
export function writeMessage(fields: readonly string[], root: Entity, seed: Uint8Array): Buffer {
  const pieces: Piece[] = [Buffer.from(`${fields.join('')}MIME-Version: 1.0${CRLF}`, 'latin1')];
  writeEntity(root, { seed, count: 0 }, pieces);
  return joined(pieces);
}

type Piece = Buffer | Base64Body;

const sizeOf = (piece: Piece): number => (Buffer.isBuffer(piece) ? piece.length : piece.sizeBytes);

function joined(pieces: readonly Piece[]): Buffer {
  const out = Buffer.allocUnsafe(pieces.reduce((sum, piece) => sum + sizeOf(piece), 0));
  let at = 0;
  for (const piece of pieces) {
    if (Buffer.isBuffer(piece)) piece.copy(out, at);
    else piece.writeTo(out, at);
    at += sizeOf(piece);
  }
  return out;
}

type Boundaries = { seed: Uint8Array; count: number };

function writeEntity(entity: Entity, boundaries: Boundaries, pieces: Piece[]): void {
  if ('body' in entity) {
    pieces.push(Buffer.from(`${entity.fields.join('')}${CRLF}`, 'latin1'), entity.body);
    return;
  }
  const boundary = nextBoundary(boundaries);
  const parameters = [...(entity.parameters ?? []), { name: 'boundary', value: boundary }];
  pieces.push(
    Buffer.from(`${parameterField('Content-Type', `multipart/${entity.subtype}`, parameters)}${CRLF}`, 'latin1'),
  );
  for (const child of entity.children) {
    pieces.push(Buffer.from(`--${boundary}${CRLF}`, 'latin1'));
    writeEntity(child, boundaries, pieces);
    pieces.push(Buffer.from(CRLF, 'latin1'));
  }
  pieces.push(Buffer.from(`--${boundary}--${CRLF}`, 'latin1'));
}

function nextBoundary(boundaries: Boundaries): string {
  boundaries.count += 1;
  const digest = hash(pae([text('smimp-bridge/boundary/1'), boundaries.seed, text(String(boundaries.count))]));
  return `=_${toHex(digest).slice(0, BOUNDARY_HEX_DIGITS)}`;
}

/** Text of `\n` lines as a part. */
export function textEntity(
  type: string,
  content: string,
  parameters: readonly { name: string; value: string }[] = [],
): Entity {
  const bytes = Buffer.from(content.replace(/\r?\n/g, CRLF), 'utf8');
  const all = [{ name: 'charset', value: 'utf-8' }, ...parameters];
  const plain = isPlain(bytes);
  const encoding = plain ? '7bit' : 'quoted-printable';
  const fields = [parameterField('Content-Type', type, all), `Content-Transfer-Encoding: ${encoding}${CRLF}`];
  return { fields, body: plain ? bytes : quotedPrintable(bytes) };
}

/** Lines of ASCII that pass every relay as they are. */
function isPlain(bytes: Buffer): boolean {
  const ascii = bytes.toString('latin1');
  return (
    /^[\t\r\n\x20-\x7e]*$/.test(ascii) &&
    ascii.split(CRLF).every((line) => line.length <= MAX_LINE_BYTES && !/[\r\n]| $/.test(line))
  );
}

/** RFC 2045 §6.7. Input lines end in CRLF. */
export function quotedPrintable(bytes: Buffer): Buffer {
  const lines = bytes.toString('latin1').split(CRLF).map(quotedLine);
  return Buffer.from(lines.join(CRLF), 'latin1');
}

function quotedLine(line: string): string {
  const encode = (char: string): string => `=${char.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`;
  const escaped = line.replace(/[^\t\x20-\x3c\x3e-\x7e]/g, encode).replace(/[\t ]$/, encode);
  const out: string[] = [];
  let rest = escaped;
  while (rest.length > MAX_ENCODED_LINE) {
    let end = MAX_ENCODED_LINE - 1;
    // An escape is never cut in two.
    if (rest[end - 1] === '=') end -= 1;
    else if (rest[end - 2] === '=') end -= 2;
    out.push(`${rest.slice(0, end)}=`);
    rest = rest.slice(end);
  }
  return [...out, rest].join(CRLF);
}

/** Whether bytes may stand in a message without any encoding: CRLF lines of bounded length, no NUL. */
export function isSafeRaw(bytes: Buffer): boolean {
  for (let from = 0; from < bytes.length; ) {
    const end = bytes.indexOf('\n', from);
    const stop = end < 0 ? bytes.length : end;
    const length = stop - from;
    if (length > MAX_LINE_BYTES || (end >= 0 && bytes[end - 1] !== 0x0d)) return false;
    const line = bytes.subarray(from, end < 0 ? stop : stop - 1);
    if (line.includes(0) || line.includes(0x0d)) return false;
    from = stop + 1;
  }
  return true;
}
