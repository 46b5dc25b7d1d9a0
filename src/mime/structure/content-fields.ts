/**
 * Content-Type, Content-Disposition and Content-Language (RFC 2045 §5.1, RFC 2183 §2, RFC 3282 §2), read liberally and
 * in linear time. Values stay as sent: parameters of RFC 2231 are neither joined nor decoded.
 */
import type { ByteString, Disposition, Parameter } from './types.ts';

export interface ContentType {
  /** Lower case. */
  type: ByteString;
  /** Lower case. */
  subtype: ByteString;
  params: Parameter[];
}

const TYPE = /^([^\x00-\x20()<>@,;:\\"/[\]?=]+)\/([^\x00-\x20()<>@,;:\\"/[\]?=]+)$/;
const QUOTED = '"';
/** Matches from every quote, closed or not: an expression that can fail behind a quote would start over at the next. */
const QUOTED_TEXT = /"((?:[^"\\]|\\.?)*)"?/gs;

/** The value, or null when it names no type; RFC 2045 §5.2 says what then holds. */
export function parseContentType(value: string, maxParams: number): ContentType | null {
  const [head = '', ...rest] = splitOutsideQuotes(value, ';', maxParams + 1);
  const match = TYPE.exec(withoutComments(head).replace(/\s/g, ''));
  if (match === null) return null;
  return { type: lower(match[1]), subtype: lower(match[2]), params: parseParameters(rest) };
}

/** The value, or null when it is empty. */
export function parseDisposition(value: string, maxParams: number): Disposition | null {
  const [head = '', ...rest] = splitOutsideQuotes(value, ';', maxParams + 1);
  const type = withoutComments(head).trim();
  return type === '' ? null : { type: type as ByteString, params: parseParameters(rest) };
}

export function parseLanguages(value: string, maxLanguages: number): ByteString[] {
  const tags = splitOutsideQuotes(withoutComments(value), ',', maxLanguages);
  return tags.map((tag) => tag.trim() as ByteString).filter((tag) => tag !== '');
}

/** The value of a parameter, its name in any case; null when there is none. */
export function parameterValue(params: readonly Parameter[], name: string): ByteString | null {
  return params.find(([candidate]) => candidate.toLowerCase() === name)?.[1] ?? null;
}

/** Removes comments (RFC 5322 §3.2.2), nested ones too. An unclosed one runs to the end. */
export function withoutComments(text: string): string {
  if (!text.includes('(')) return text;
  const kept: string[] = [];
  let depth = 0;
  let quoted = false;
  for (let index = 0; index < text.length; index += 1) {
    const character = text.charAt(index);
    const escaped = character === '\\' && (quoted || depth > 0);
    if (character === QUOTED && depth === 0) quoted = !quoted;
    if (character === '(' && !quoted) depth += 1;
    if (depth === 0) kept.push(escaped ? text.slice(index, index + 2) : character);
    if (character === ')' && !quoted && depth > 0) depth -= 1;
    if (escaped) index += 1;
  }
  return kept.join('');
}

/** Removes quotes and the backslashes within them; text outside quotes is kept. */
export function unquoted(text: string): string {
  return text.replace(QUOTED_TEXT, (_whole, inner: string) => inner.replace(/\\(.)/gs, '$1'));
}

function parseParameters(texts: readonly string[]): Parameter[] {
  const params: Parameter[] = [];
  for (const text of texts) {
    const equals = text.indexOf('=');
    const name = withoutComments(text.slice(0, Math.max(equals, 0))).trim();
    if (name === '') continue;
    params.push([name as ByteString, parameterText(text.slice(equals + 1).trim())]);
  }
  return params;
}

/** A quoted value ends with its quote. A bare one may hold spaces and, unless one stands before it, a parenthesis. */
function parameterText(text: string): ByteString {
  const quoted = /^"(?:[^"\\]|\\.?)*"?/s.exec(text);
  if (quoted !== null) return unquoted(quoted[0]) as ByteString;
  const comment = /\s\(|^\(/.exec(text);
  return (comment === null ? text : text.slice(0, comment.index)).trimEnd() as ByteString;
}

/** Splits into `maxPieces` pieces at most and drops the rest. Separators within quotes do not count. */
function splitOutsideQuotes(text: string, separator: string, maxPieces: number): string[] {
  const pieces: string[] = [];
  let start = 0;
  let quoted = false;
  for (let index = 0; index < text.length && pieces.length < maxPieces; index += 1) {
    const character = text.charAt(index);
    if (character === '\\' && quoted) index += 1;
    else if (character === QUOTED) quoted = !quoted;
    else if (character === separator && !quoted) {
      pieces.push(text.slice(start, index));
      start = index + 1;
    }
  }
  if (pieces.length < maxPieces) pieces.push(text.slice(start));
  return pieces;
}

function lower(text: string | undefined): ByteString {
  return (text ?? '').toLowerCase() as ByteString;
}
