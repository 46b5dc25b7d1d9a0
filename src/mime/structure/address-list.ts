/**
 * Address lists (RFC 5322 §3.4, obsolete forms of §4.4) as IMAP shows them (RFC 3501 §7.4.2): names and local parts
 * without quoting, groups as a start and an end entry. One pass over tokens; ugly lists give what can be read.
 */
import type { ByteString, EnvelopeAddress } from './types.ts';

interface Token {
  kind: 'word' | 'comment' | 'special';
  /** Quoting removed. */
  text: string;
  /** White space stood before it. */
  spaced: boolean;
}

const TOKENS = /(\s+)|"((?:[^"\\]|\\.?)*)"?|([<>,:;@])|(\[[^\]]*\]?)|([^\s"<>,:;@()[]+)|([()])/gsy;
const ESCAPED = /\\(.)/gs;

/** Reads at most `maxAddresses` entries. */
export function parseAddressList(value: string, maxAddresses: number): EnvelopeAddress[] {
  const reader = new AddressReader(maxAddresses);
  for (const token of tokens(value)) {
    if (reader.full) break;
    reader.take(token);
  }
  return reader.finish();
}

class AddressReader {
  readonly #max: number;
  readonly #entries: EnvelopeAddress[] = [];
  #words: Token[] = [];
  #comments: string[] = [];
  /** Tokens between angle brackets, once one opened. */
  #angle: Token[] | null = null;
  #angleOpen = false;
  #inGroup = false;

  constructor(max: number) {
    this.#max = max;
  }

  get full(): boolean {
    return this.#entries.length >= this.#max;
  }

  take(token: Token): void {
    if (token.kind === 'comment') this.#comments.push(token.text);
    else if (token.kind === 'word') this.#current().push(token);
    else if (this.#angleOpen && token.text !== '>') this.#current().push(token);
    else this.#takeSpecial(token);
  }

  finish(): EnvelopeAddress[] {
    this.#endAddress();
    this.#endGroup();
    return this.#entries;
  }

  #takeSpecial(token: Token): void {
    switch (token.text) {
      case ',':
        this.#endAddress();
        return;
      case '<':
        this.#angle ??= [];
        this.#angleOpen = true;
        return;
      case '>':
        this.#angleOpen = false;
        return;
      case ':':
        this.#startGroup();
        return;
      case ';':
        this.#endAddress();
        this.#endGroup();
        return;
      default:
        this.#words.push(token);
    }
  }

  #current(): Token[] {
    return this.#angleOpen && this.#angle !== null ? this.#angle : this.#words;
  }

  #startGroup(): void {
    if (this.#inGroup) return;
    const name = phrase(this.#words);
    this.#reset();
    this.#inGroup = true;
    this.#entries.push({ name: null, route: null, mailbox: bytes(name), host: null });
  }

  #endGroup(): void {
    if (this.#inGroup) this.#entries.push({ name: null, route: null, mailbox: null, host: null });
    this.#inGroup = false;
  }

  #endAddress(): void {
    const address = this.#angle === null ? bareAddress(this.#words) : angleAddress(this.#angle);
    if (address !== null) {
      const name = (this.#angle === null ? '' : phrase(this.#words)) || this.#comments.join(' ');
      this.#entries.push({ name: name === '' ? null : bytes(name), ...address });
    }
    this.#reset();
  }

  #reset(): void {
    this.#words = [];
    this.#comments = [];
    this.#angle = null;
    this.#angleOpen = false;
  }
}

type Target = Omit<EnvelopeAddress, 'name'>;

function bareAddress(words: readonly Token[]): Target | null {
  return words.length === 0 ? null : target(words, null);
}

/** `<@a,@b:user@host>`; the empty path gives an empty mailbox. */
function angleAddress(tokens: readonly Token[]): Target {
  const colon = tokens.findIndex(({ text, kind }) => kind === 'special' && text === ':');
  if (colon < 0 || tokens[0]?.text !== '@') return target(tokens, null);
  return target(tokens.slice(colon + 1), joined(tokens.slice(0, colon)));
}

/** A host that is missing is empty rather than null, since null would start a group. */
function target(tokens: readonly Token[], route: string | null): Target {
  const at = tokens.findLastIndex(({ text, kind }) => kind === 'special' && text === '@');
  const local = at < 0 ? tokens : tokens.slice(0, at);
  const host = at < 0 ? [] : tokens.slice(at + 1);
  return { route: route === null ? null : bytes(route), mailbox: bytes(joined(local)), host: bytes(joined(host)) };
}

/** Words with one space where the sender had any white space. */
function phrase(words: readonly Token[]): string {
  return words.map(({ text, spaced }, index) => (spaced && index > 0 ? ` ${text}` : text)).join('');
}

function joined(tokens: readonly Token[]): string {
  return tokens.map(({ text }) => text).join('');
}

function* tokens(value: string): Generator<Token> {
  const expression = new RegExp(TOKENS);
  let spaced = false;
  for (let match = expression.exec(value); match !== null; match = expression.exec(value)) {
    const [whole, space, quoted, special, literal, atom] = match;
    if (whole === '(') {
      const end = commentEnd(value, expression.lastIndex);
      yield { kind: 'comment', text: value.slice(expression.lastIndex, end).replace(ESCAPED, '$1').trim(), spaced };
      expression.lastIndex = end + 1;
    } else if (quoted !== undefined) yield { kind: 'word', text: quoted.replace(ESCAPED, '$1'), spaced };
    else if (special !== undefined) yield { kind: 'special', text: special, spaced };
    else if (space === undefined && whole !== ')') yield { kind: 'word', text: literal ?? atom ?? '', spaced };
    spaced = space !== undefined || whole === '(';
  }
}

/** Position of the parenthesis that closes the comment, or the end of the text. */
function commentEnd(value: string, start: number): number {
  let depth = 1;
  for (let index = start; index < value.length; index += 1) {
    const character = value.charAt(index);
    if (character === '\\') index += 1;
    else if (character === '(') depth += 1;
    else if (character === ')' && --depth === 0) return index;
  }
  return value.length;
}

function bytes(text: string): ByteString {
  return text as ByteString;
}
