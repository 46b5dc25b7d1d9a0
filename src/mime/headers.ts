/**
 * Header fields, both ways: unfolding, encoded words (RFC 2047), parameters (RFC 2231), address lists
 * (RFC 5322 §3.4), folding. What is written here is ASCII, CRLF-ended and at most 998 bytes a line,
 * whatever the values hold: no value can start a field of its own.
 */
import { Buffer } from 'node:buffer';
import { domainToASCII } from 'node:url';
import libmime from 'libmime';
import addressparser from 'nodemailer/lib/addressparser';
import { decodeWords } from './encoded-words.ts';
import { cleanLine, cleanText, decodeBytes, truncate } from './text.ts';

/** A person as legacy mail names one. `address` is `local@domain`, `name` may be empty. */
export type Mailbox = { name: string; address: string };
/** One field as it came: lowercase name, unfolded value whose characters are its bytes. */
export type RawField = { name: string; value: string };

/** More addresses than any submission may have recipients; the rest of a list is dropped. */
export const MAX_MAILBOXES = 2_000;
/** RFC 5322 §2.1.1 recommends 78; one is kept for a margin. */
const FOLD_COLUMN = 76;
/** Longest run of ASCII that is left as it is; longer ones become encoded words, so that they fold. */
const MAX_PLAIN_WORD_CHARS = 60;
/** With `=?UTF-8?B?…?=` 52 characters: beside any common name of a field still the 76 a line may have (RFC 2047 §2). */
const ENCODED_WORD_BYTES = 30;
/** A longer name or subject is no use to a reader and no client shows it. */
const MAX_VALUE_CHARS = 4_000;
/** Longest value of which words are decoded; nothing shown to people comes near it. */
const MAX_DECODED_CHARS = 64 * 1024;

/** `Name: folded\r\n value` as bytes-in-a-string, to a field; `null` when it has no colon or a name that cannot be one. */
export function parseRawField(line: string): RawField | null {
  const colon = line.indexOf(':');
  if (colon < 1) return null;
  const name = line.slice(0, colon).trim().toLowerCase();
  if (/[\x00-\x1f]/.test(name)) return null;
  return {
    name,
    value: line
      .slice(colon + 1)
      .replace(/\r?\n/g, '')
      // A bare CR ends lines for some readers: no value may hold one.
      .replaceAll('\r', ' ')
      .trim(),
  };
}

/** The characters of a value whose characters are bytes. Raw 8-bit values are UTF-8, or in the character set of the text. */
function decodeRaw(value: string, hint: string | null): string {
  return decodeBytes(Buffer.from(truncate(value, MAX_DECODED_CHARS), 'latin1'), null, hint);
}

/** The text of an unstructured field such as Subject. `hint`: what the text of the message says it is in. */
export function decodeText(value: string, hint: string | null = null): string {
  return cleanLine(decodeWords(decodeRaw(value, hint)));
}

/** The mailboxes of an address field, groups flattened, in order, each once per mention. */
export function decodeMailboxes(value: string, hint: string | null = null): Mailbox[] {
  const parsed = addressparser(decodeRaw(value, hint).replace(/\0/g, ''), { flatten: true });
  const mailboxes: Mailbox[] = [];
  for (const entry of parsed.slice(0, MAX_MAILBOXES)) {
    const written = cleanLine(entry.address ?? '');
    const address = withAsciiDomain(written.startsWith('"') ? written : written.replace(/ /g, ''));
    if (address !== '') mailboxes.push({ name: truncate(decodeName(entry.name ?? ''), MAX_VALUE_CHARS), address });
  }
  return mailboxes;
}

/** Domains of other letters are known by their A-labels (SMIMP 0.1 §1.2). */
function withAsciiDomain(address: string): string {
  if (/^[\x00-\x7f]*$/.test(address)) return address;
  const at = address.lastIndexOf('@') + 1;
  return address.slice(0, at) + (domainToASCII(address.slice(at)) || address.slice(at));
}

function decodeName(name: string): string {
  return cleanLine(decodeWords(name));
}

/** Message-IDs in a value, angle brackets included. A bare word counts when there are no brackets at all. */
export function decodeMessageIds(value: string): string[] {
  const ids = [...value.matchAll(/<([^<>\s]{1,900})>/g)].map((match) => cleanText(`<${match[1]}>`));
  if (ids.length > 0) return ids;
  const bare = /^[^<>\s]{1,900}$/.exec(value.trim());
  return bare === null ? [] : [cleanText(`<${bare[0]}>`)];
}

const WELL_FORMED_ID = /^<[\x21-\x3b\x3d\x3f-\x7e]{1,240}@[\x21-\x3b\x3d\x3f-\x7e]{1,240}>$/;

/** Whether a Message-ID may be written into a header as it is. */
export function isMessageId(id: string): boolean {
  return WELL_FORMED_ID.test(id);
}

/** A value with its parameters, RFC 2231 and 2047 decoded. */
export function decodeParameters(
  value: string,
  hint: string | null = null,
): { value: string; parameters: ReadonlyMap<string, string> } {
  const parsed = libmime.parseHeaderValue(decodeRaw(value, hint), { stripComments: true });
  const parameters = new Map<string, string>();
  for (const [name, text] of Object.entries(parsed.params)) {
    // Decoded once only: what RFC 2231 gave may look like encoded words and be none.
    const decoded = parsed.decodedParams?.includes(name) === true ? text : decodeWords(text);
    parameters.set(name.toLowerCase(), cleanLine(decoded));
  }
  return { value: cleanLine(parsed.value).toLowerCase(), parameters };
}

/** Text of an unstructured field, as words to fold between. */
function encodeWords(text: string): string[] {
  const clean = truncate(cleanLine(text), MAX_VALUE_CHARS);
  const words = clean.split(' ');
  const plain =
    /^[\x20-\x7e]*$/.test(clean) && !clean.includes('=?') && words.every((w) => w.length <= MAX_PLAIN_WORD_CHARS);
  return plain ? words : encodedWords(clean);
}

/** Encoded words (RFC 2047 §5), each a whole number of characters. */
function encodedWords(text: string): string[] {
  return byteChunks(text, ENCODED_WORD_BYTES).map(
    (chunk) => `=?UTF-8?B?${Buffer.from(chunk, 'utf8').toString('base64')}?=`,
  );
}

function byteChunks(text: string, maxBytes: number): string[] {
  const chunks: string[] = [];
  let chunk = '';
  let size = 0;
  for (const char of text) {
    const charBytes = Buffer.byteLength(char, 'utf8');
    if (size + charBytes > maxBytes) {
      chunks.push(chunk);
      chunk = '';
      size = 0;
    }
    chunk += char;
    size += charBytes;
  }
  if (chunk !== '') chunks.push(chunk);
  return chunks;
}

/** Words joined by single spaces, broken before the column. No word is ever split. */
function fold(name: string, words: readonly string[]): string {
  const lines: string[] = [];
  let line = `${name}:`;
  for (const word of words) {
    if (line.length + 1 + word.length > FOLD_COLUMN && line !== `${name}:` && line.trim() !== '' && word !== '') {
      lines.push(line);
      line = '';
    }
    line += ` ${word}`;
  }
  lines.push(line.trimEnd());
  return `${lines.join('\r\n')}\r\n`;
}

/** One field of text. `name` is ours, never the sender's. */
export function textField(name: string, text: string): string {
  return fold(name, encodeWords(text));
}

/** One field of tokens that are ASCII and free of spaces already, such as Message-IDs or a date. */
export function tokenField(name: string, tokens: readonly string[]): string {
  return fold(
    name,
    tokens.map((token) => token.replace(/[^\x21-\x7e]/g, '')).filter((token) => token !== '' && token.length < 900),
  );
}

/** An address field. An empty list gives the empty group that RFC 5322 §3.4 allows. */
export function addressField(name: string, mailboxes: readonly Mailbox[], form: RegExp = ADDRESS): string {
  if (mailboxes.length === 0) return `${name}: undisclosed-recipients:;\r\n`;
  const last = mailboxes.length - 1;
  return fold(
    name,
    mailboxes.flatMap((mailbox, index) => withComma(mailboxWords(mailbox, form), index < last)),
  );
}

function withComma(words: string[], more: boolean): string[] {
  return more ? [...words.slice(0, -1), `${words.at(-1)},`] : words;
}

const ADDRESS = /^[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,255}@[a-z0-9.-]{1,253}$/;

/** Also quoted local parts and address literals: written since version 3 of the renderer. */
export const ANY_ADDRESS =
  /^(?:[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,255}|"(?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\[\x20-\x7e]){1,255}")@(?:[a-z0-9.-]{1,253}|\[[\x21-\x5a\x5e-\x7e]{1,253}\])$/;

/** A mailbox as words. What cannot be an address in ASCII is shown as an empty group that names it. */
function mailboxWords(mailbox: Mailbox, form: RegExp): string[] {
  const address = asciiAddress(mailbox.address, form);
  if (address === null) return withSuffix(phraseWords(`${mailbox.name} ${mailbox.address}`), ':;');
  return mailbox.name === '' ? [address] : [...phraseWords(mailbox.name), `<${address}>`];
}

function withSuffix(words: string[], suffix: string): string[] {
  return [...words.slice(0, -1), `${words.at(-1)}${suffix}`];
}

function asciiAddress(address: string, form: RegExp): string | null {
  const at = address.lastIndexOf('@');
  const domain = address.slice(at + 1);
  const ascii = `${address.slice(0, at)}@${domain.startsWith('[') ? domain : domainToASCII(domain)}`;
  return form.test(ascii) ? ascii : null;
}

/** A display name (RFC 5322 `phrase`): one quoted string when short and ASCII, else encoded words. */
function phraseWords(text: string): string[] {
  const clean = truncate(cleanLine(text), MAX_VALUE_CHARS);
  if (/^[A-Za-z0-9 -]+$/.test(clean) && clean.length <= MAX_PLAIN_WORD_CHARS) return clean.split(/ +/);
  const quotable = /^[\x20-\x7e]+$/.test(clean) && !clean.includes('=?') && clean.length <= MAX_PLAIN_WORD_CHARS;
  if (quotable) return [`"${clean.replace(/["\\]/g, '\\$&')}"`];
  return clean === '' ? ['""'] : encodedWords(clean);
}

/**
 * A MIME field with parameters: `Content-Type: text/plain; charset=utf-8`. A value that is not short ASCII is
 * written by RFC 2231, or as encoded words where `style` is `words`: old clients read only those in `name`.
 */
export function parameterField(
  field: string,
  value: string,
  parameters: readonly { name: string; value: string; style?: 'rfc2231' | 'words' }[],
): string {
  const lines = parameters.flatMap(({ name, value: text, style }) => parameterPieces(name, text, style ?? 'rfc2231'));
  return `${[`${field}: ${value}`, ...lines.map((line) => ` ${line}`)].join(';\r\n')}\r\n`;
}

function parameterPieces(name: string, text: string, style: 'rfc2231' | 'words'): string[] {
  const clean = cleanLine(text);
  const short = clean.length <= MAX_PLAIN_WORD_CHARS && !clean.includes('=?');
  if (short && /^[A-Za-z0-9._+-]+$/.test(clean)) return [`${name}=${clean}`];
  if (short && /^[\x20-\x7e]*$/.test(clean)) return [`${name}="${clean.replace(/["\\]/g, '\\$&')}"`];
  if (style === 'words') return [`${name}="${encodedWords(clean).join('\r\n ')}"`];
  return continuations(name, clean);
}

/** RFC 2231 §3 and §4.1: `name*0*=utf-8''…`, each piece short enough for one line. */
function continuations(name: string, text: string): string[] {
  const chunks = byteChunks(text, 18).map(percentEncode);
  if (chunks.length === 1) return [`${name}*=utf-8''${chunks[0]}`];
  return chunks.map((chunk, index) => `${name}*${index}*=${index === 0 ? "utf-8''" : ''}${chunk}`);
}

function percentEncode(text: string): string {
  return encodeURIComponent(text).replace(/['()*!]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);
}
