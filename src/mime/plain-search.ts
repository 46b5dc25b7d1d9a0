/**
 * A quick look before a message is decoded to be searched. Most text is ASCII that stands for itself: it needs neither a
 * charset nor a parser of words. Where that is not certain the answer is null, and the whole way is gone.
 */
import { isAscii } from 'node:buffer';
import { textFields } from './structure/header-fields.ts';

/** Escape: charsets of seven bits switch with it. */
const ESCAPE = 0x1b;
/** In these ASCII stands for itself; null: the part does not say. */
const ASCII_CHARSET = /^(?:us-ascii|ascii|utf-?8|latin1|iso-8859-\d{1,2}|windows-125\d)$/i;
const IDENTITY = /^(?:7bit|8bit|binary)$/i;
const QUOTED = /^quoted-printable$/i;
const SOFT_BREAK = /=[ \t]*\r?\n/g;
const ENCODED_ASCII = /=([0-7][0-9A-Fa-f])/g;

/** The text of a part, when it is ASCII in a charset that has it. */
export function plainText(body: Buffer, encoding: string, charset: string | null): string | null {
  if (charset !== null && !ASCII_CHARSET.test(charset)) return null;
  if (!isAscii(body) || body.includes(ESCAPE)) return null;
  if (IDENTITY.test(encoding)) return body.toString('latin1');
  return QUOTED.test(encoding) ? plainQuoted(body.toString('latin1')) : null;
}

/** Quoted-printable that stands for ASCII; null when it may stand for more, or is damaged. */
function plainQuoted(text: string): string | null {
  const joined = text.replace(SOFT_BREAK, '');
  const decoded = joined.replace(ENCODED_ASCII, (_all, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  const equals = joined.match(/=/g)?.length ?? 0;
  const understood = joined.match(ENCODED_ASCII)?.length ?? 0;
  return equals === understood && !decoded.includes('\x1b') ? decoded : null;
}

/** The values of the fields with a name, given in lower case, unfolded and trimmed, read up to `maxBytes`. */
export function fieldValues(header: string, name: string, maxBytes: number): string[] {
  const values: string[] = [];
  for (const field of textFields(header, name)) {
    const start = header.indexOf(':', field.start) + 1;
    const value = header.slice(start, Math.min(field.end, start + maxBytes));
    values.push(value.replace(/[\r\n]+/g, '').trim());
  }
  return values;
}
