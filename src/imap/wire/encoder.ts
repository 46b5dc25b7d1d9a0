/**
 * Building the lines of responses (RFC 3501 §7, §9): atoms, quoted strings, literals and NIL. A line is a list of
 * buffers, so that the body of a message goes out without being copied. Nothing here lets a value end its line early:
 * what holds a line end, a NUL or 8-bit bytes goes out as a literal; UTF-8 is quoted where the client takes it.
 */
import { isUtf8 } from 'node:buffer';
import { ASCII, type Dialect } from './dialect.ts';
import { encodeMailboxName } from './mailbox-name.ts';

const QUOTABLE = /^[\x01-\x09\x0b\x0c\x0e-\x7f]*$/;
const UTF8_QUOTABLE = /^[\x01-\x09\x0b\x0c\x0e-\xff]*$/;
const ATOM = /^[^\x00-\x20(){%*"\\\]\x7f-\xff]+$/;
/** Longer strings go out as literals, which clients read without scanning. */
const QUOTED_CHARS = 1024;
const CRLF = '\r\n';

/** Collects one response line; text given is one byte per character unless said otherwise. */
export class ResponseLine {
  readonly #pieces: (string | Buffer)[] = [];
  readonly #dialect: Dialect;
  #text = '';

  constructor(dialect: Dialect = ASCII) {
    this.#dialect = dialect;
  }

  /** Text of the grammar, written as it is. Throws RangeError for a line end: that would be a bug of the caller. */
  raw(text: string): this {
    if (/[\r\n]/.test(text)) throw new RangeError('Response text holds a line end');
    this.#text += text;
    return this;
  }

  /** Quoted string or literal of bytes, or of a string of bytes; null gives NIL. */
  nstring(value: string | Buffer | null): this {
    if (value === null) return this.raw('NIL');
    const text = typeof value === 'string' ? value : value.length <= QUOTED_CHARS ? value.toString('latin1') : null;
    if (text !== null && text.length <= QUOTED_CHARS && this.#isQuotable(text)) return this.raw(quote(text));
    return this.literal(typeof value === 'string' ? Buffer.from(value, 'latin1') : value);
  }

  /** A Unicode string in UTF-8; null gives NIL. */
  utf8(value: string | null): this {
    return this.nstring(value === null ? null : Buffer.from(value, 'utf8'));
  }

  /** An atom where the value is one, else as `nstring`. */
  astring(value: string): this {
    return ATOM.test(value) && value.toUpperCase() !== 'NIL' ? this.raw(value) : this.nstring(value);
  }

  /** A Unicode mailbox name, in UTF-8 or in modified UTF-7. */
  mailbox(name: string): this {
    return this.astring(this.#dialect.utf8 ? Buffer.from(name, 'utf8').toString('latin1') : encodeMailboxName(name));
  }

  #isQuotable(text: string): boolean {
    if (QUOTABLE.test(text)) return true;
    return this.#dialect.utf8 && UTF8_QUOTABLE.test(text) && isUtf8(Buffer.from(text, 'latin1'));
  }

  /** The bytes, or a string of bytes. Bytes are kept, not copied. */
  literal(bytes: Buffer | string): this {
    this.#text += `{${bytes.length}}${CRLF}`;
    if (typeof bytes === 'string') {
      this.#text += bytes;
      return this;
    }
    this.#flush();
    if (bytes.length > 0) this.#pieces.push(bytes);
    return this;
  }

  /** What another line wrote, literals and all. */
  written(text: string): this {
    this.#text += text;
    return this;
  }

  /** Bytes that may hold NULs (RFC 3516 §7: literal8). */
  literal8(bytes: Buffer): this {
    return this.raw('~').literal(bytes);
  }

  /** Parentheses around what `write` writes for each item, with spaces between. */
  list<T>(items: readonly T[], write: (item: T) => void, separator = ' '): this {
    this.#text += '(';
    let first = true;
    for (const item of items) {
      if (!first) this.#text += separator;
      first = false;
      write(item);
    }
    this.#text += ')';
    return this;
  }

  /** The whole line with its end, ready to be written in order. */
  end(): Buffer[] {
    return this.pieces().map((piece) => (typeof piece === 'string' ? Buffer.from(piece, 'latin1') : piece));
  }

  /** As `end`, before text becomes bytes. */
  pieces(): readonly (string | Buffer)[] {
    this.#text += CRLF;
    this.#flush();
    return this.#pieces;
  }

  /** All that was written so far, for `written`. */
  toText(): string {
    this.#flush();
    return this.#pieces.map((piece) => (typeof piece === 'string' ? piece : piece.toString('latin1'))).join('');
  }

  /** As `end`, in one buffer. */
  toBuffer(): Buffer {
    const buffers = this.end();
    return buffers.length === 1 && buffers[0] !== undefined ? buffers[0] : Buffer.concat(buffers);
  }

  #flush(): void {
    if (this.#text !== '') this.#pieces.push(this.#text);
    this.#text = '';
  }
}

/** A quoted string; the caller knows that `text` can be one. */
function quote(text: string): string {
  return `"${text.replace(/["\\]/g, '\\$&')}"`;
}
