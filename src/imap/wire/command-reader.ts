/**
 * A cursor over one complete command: its lines and, between them, its literals. Reads the tokens of RFC 3501 §9 and
 * counts them and their nesting. Every method throws WireError `SYNTAX` where the token is not there.
 *
 * Lines are latin1 strings, one character per byte. The literal `n` stands at the end of line `n`.
 */
import { isUtf8 } from 'node:buffer';
import { ASCII, type Dialect } from './dialect.ts';
import type { DecoderLimits } from './limits.ts';
import { decodeListPattern, decodeMailboxName, decodeUtf8MailboxName, type MailboxName } from './mailbox-name.ts';
import { parseSequenceSet, SAVED, type SequenceSet } from './sets.ts';
import { WireError } from './wire-error.ts';

export interface Literal {
  bytes: Buffer;
  /** `~{n}`, RFC 3516 §4.4. */
  binary: boolean;
}

export interface CommandFrame {
  /** One more than there are literals. The `{n}` that announces a literal is not part of its line. */
  lines: string[];
  literals: Literal[];
}

const ATOM = /[^\x00-\x20(){%*"\\\]\x7f-\xff]+/y;
const ASTRING_ATOM = /[^\x00-\x20(){%*"\\\x7f-\xff]+/y;
const LIST_ATOM = /[^\x00-\x20(){"\\\x7f-\xff]+/y;
const TAG = /[^\x00-\x20(){%*"\\+\x7f-\xff]+/y;
const DIGITS = /\d+/y;
const SET = /[\d*:,]+/y;
const SPACES = / +/y;
const QUOTED = /"((?:[^"\\\r\n\0]|\\["\\])*)"/y;
const QUOTED_PAIR = /\\(["\\])/g;
/** A tag is echoed; nobody needs a long one. */
const TAG_CHARS = 128;

export class CommandReader {
  readonly #frame: CommandFrame;
  readonly #limits: DecoderLimits;
  readonly #dialect: Dialect;
  #segment = 0;
  #position = 0;
  #tokens = 0;
  #depth = 0;

  constructor(frame: CommandFrame, limits: DecoderLimits, dialect: Dialect = ASCII) {
    this.#frame = frame;
    this.#limits = limits;
    this.#dialect = dialect;
  }

  /** The next character, or an empty string before a literal and at the end. */
  peek(): string {
    return this.#line.charAt(this.#position);
  }

  /** The next character is consumed when it is `character`. */
  accept(character: string): boolean {
    if (this.peek() !== character) return false;
    this.#position += 1;
    return true;
  }

  expect(character: string): void {
    if (!this.accept(character)) throw this.syntax(`Expected "${character}"`);
  }

  /** One space or, harmlessly, more. */
  space(): void {
    if (!this.skipSpaces()) throw this.syntax('Expected a space');
  }

  skipSpaces(): boolean {
    return this.#match(SPACES) !== null;
  }

  /** Nothing but spaces may follow. */
  end(): void {
    this.skipSpaces();
    if (!this.atEnd()) throw this.syntax('Unexpected text after the command');
  }

  atEnd(): boolean {
    return this.#segment === this.#frame.literals.length && this.#position >= this.#line.length;
  }

  tag(): string {
    const tag = this.#match(TAG);
    if (tag === null || tag.length > TAG_CHARS) throw this.syntax('Invalid tag');
    return tag;
  }

  atom(): string {
    return this.#token(ATOM, 'an atom');
  }

  /** An atom in upper case: names of commands, keys and items. */
  keyword(): string {
    return this.atom().toUpperCase();
  }

  /** Consumes what the sticky expression matches, as one token. */
  pattern(expression: RegExp, what: string): string {
    return this.#token(expression, what);
  }

  /** Consumes what the sticky expression matches, if it stands here. */
  acceptPattern(expression: RegExp): boolean {
    this.#countToken();
    return this.#match(expression) !== null;
  }

  /** An unsigned 32-bit number. */
  number(): number {
    const value = Number(this.#token(DIGITS, 'a number'));
    if (value > 0xffff_ffff) throw this.syntax('Number out of range');
    return value;
  }

  /** An unsigned 63-bit number (RFC 9051 §9: number64). What no size of ours reaches is kept as the greatest. */
  number64(): number {
    return this.modSequence();
  }

  nonZeroNumber(): number {
    const value = this.number();
    if (value === 0) throw this.syntax('Number must not be zero');
    return value;
  }

  /** An unsigned 63-bit number (RFC 7162 §7: mod-sequence-valzer). What no counter of ours reaches is kept as the greatest. */
  modSequence(): number {
    const value = BigInt(this.#token(DIGITS, 'a mod-sequence'));
    if (value >= 1n << 63n) throw this.syntax('Mod-sequence out of range');
    return value > Number.MAX_SAFE_INTEGER ? Number.MAX_SAFE_INTEGER : Number(value);
  }

  /** `$` gives SAVED. */
  sequenceSet(): SequenceSet {
    if (this.accept('$')) return SAVED;
    return parseSequenceSet(this.#token(SET, 'a sequence set'));
  }

  /** `\Seen` or a keyword. */
  flag(): string {
    return this.accept('\\') ? `\\${this.atom()}` : this.atom();
  }

  /** A quoted string or a literal. */
  string(): Buffer {
    const value = this.#stringOrNull();
    if (value === null) throw this.syntax('Expected a string');
    return value;
  }

  /** NIL gives null. */
  nstring(): Buffer | null {
    const value = this.#stringOrNull();
    if (value !== null) return value;
    if (this.keyword() !== 'NIL') throw this.syntax('Expected a string or NIL');
    return null;
  }

  astring(): Buffer {
    return this.#stringOrNull() ?? Buffer.from(this.#token(ASTRING_ATOM, 'a string'), 'latin1');
  }

  /** An astring in UTF-8, for names and passwords. */
  text(): string {
    return this.astring().toString('utf8');
  }

  mailbox(): MailboxName {
    return this.#mailboxName(this.astring());
  }

  /** A mailbox name that may hold `*` and `%`, as LIST has it. */
  listMailbox(): MailboxName {
    const bytes = this.#stringOrNull() ?? Buffer.from(this.#token(LIST_ATOM, 'a mailbox pattern'), 'latin1');
    return decodeListPattern(bytes, (own) => this.#mailboxName(own));
  }

  #mailboxName(bytes: Buffer): MailboxName {
    return this.#dialect.utf8 ? decodeUtf8MailboxName(bytes) : decodeMailboxName(bytes);
  }

  /** The literal that must stand here; `binary` ones only where the caller allows them. */
  literal(allowBinary = false): Literal {
    const literal = this.#literalHere();
    if (literal === null || (literal.binary && !allowBinary)) throw this.syntax('Expected a literal');
    this.#countToken();
    this.#segment += 1;
    this.#position = 0;
    return literal;
  }

  /** `( item SP item … )`; extra spaces and an empty list are allowed. */
  list<T>(item: () => T): T[] {
    this.expect('(');
    this.skipSpaces();
    const items: T[] = [];
    this.nested(() => {
      while (!this.accept(')')) {
        items.push(item());
        if (!this.skipSpaces() && this.peek() !== ')') throw this.syntax('Expected a space or ")"');
      }
    });
    return items;
  }

  /** Runs `read` one level deeper. Throws WireError `TOO_DEEP`. */
  nested<T>(read: () => T): T {
    this.#depth += 1;
    if (this.#depth > this.#limits.depth) throw new WireError('TOO_DEEP', 'Command is nested too deeply');
    const result = read();
    this.#depth -= 1;
    return result;
  }

  syntax(message: string): WireError {
    return new WireError('SYNTAX', message);
  }

  get #line(): string {
    return this.#frame.lines[this.#segment] ?? '';
  }

  #literalHere(): Literal | null {
    if (this.#position < this.#line.length) return null;
    return this.#frame.literals[this.#segment] ?? null;
  }

  #stringOrNull(): Buffer | null {
    if (this.#literalHere() !== null) return this.literal().bytes;
    if (this.peek() !== '"') return null;
    const quoted = this.#token(QUOTED, 'a quoted string');
    const bytes = Buffer.from(quoted.slice(1, -1).replace(QUOTED_PAIR, '$1'), 'latin1');
    // RFC 6855 §3. From others any bytes are taken, because some programs send what they like.
    if (this.#dialect.utf8 && !isUtf8(bytes)) throw this.syntax('Quoted string is not UTF-8');
    return bytes;
  }

  #token(expression: RegExp, what: string): string {
    this.#countToken();
    const text = this.#match(expression);
    if (text === null) throw this.syntax(`Expected ${what}`);
    return text;
  }

  #countToken(): void {
    this.#tokens += 1;
    if (this.#tokens > this.#limits.tokens) throw new WireError('TOO_MANY_TOKENS', 'Command has too many parts');
  }

  #match(expression: RegExp): string | null {
    expression.lastIndex = this.#position;
    const match = expression.exec(this.#line);
    if (match === null) return null;
    this.#position += match[0].length;
    return match[0];
  }
}
