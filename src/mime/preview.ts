/**
 * The first words of a message, for a list of messages (RFC 8970 §3.3): plain text on one line, without markup, quotations
 * and signature. The same bytes give the same words.
 */
import { htmlToBareText } from './html-text.ts';
import type { LeafPart, MessageIndex, Part } from './structure/types.ts';
import { decodeTextPart } from './text-search.ts';

/** RFC 8970 §3.3: so many characters suffice in any language. */
export const PREVIEW_CHARS = 200;
/** Of two for each character, where there is one of them more. */
const LOOKED_AT_CHARS = 2 * PREVIEW_CHARS + 2;
/** Encoded bytes that are looked at: newsletters have this much of styles before their first word. */
const LOOKED_AT_BYTES = 256 * 1024;

const QUOTED_LINE = /^\s*[>|]/;
/** What programs write above a quotation: `On …, Alice wrote:`. */
const INTRODUCTION = /^.{0,200}:\s*$/;
const SIGNATURE = /^-- ?$/;
const CONTROLS = /\p{Cc}+/gu;
/** What nobody sees: newsletters fill their first lines with it. Joiners between letters stay. */
const UNSEEN = /[\u00ad\u200b\u2060\ufeff]|\u034f|[\u200c\u200d](?=\u034f|[\s\u200b-\u200d]|$)/gu;

/** Empty when there is no text to show. `raw` is the message that `index` describes. */
export function previewOf(raw: Buffer, index: MessageIndex): string {
  const part = textPart(index.structure);
  if (part === null) return '';
  const text = decodeTextPart(raw, part, LOOKED_AT_BYTES);
  return firstWords(part.subtype === 'html' ? htmlToBareText(text) : text);
}

/** The text that people read first: plain where there is a choice. What is encrypted or attached has none. */
function textPart(part: Part): LeafPart | null {
  if (part.kind === 'message' || part.disposition?.type.toLowerCase() === 'attachment') return null;
  if (part.kind === 'leaf') return isText(part) ? part : null;
  if (part.subtype === 'encrypted') return null;
  const found = part.children.map(textPart).filter((child) => child !== null);
  const plain = part.subtype === 'alternative' ? found.find(({ subtype }) => subtype !== 'html') : undefined;
  return plain ?? found[0] ?? null;
}

function isText({ type, subtype, opaque }: LeafPart): boolean {
  return type === 'text' && !opaque && (subtype === 'plain' || subtype === 'html' || subtype === 'markdown');
}

function firstWords(text: string): string {
  // Whole lines; the last of them only tells whether it is introduced by the one before.
  const first = linesOf(text.slice(0, FIRST_CHARS)).slice(0, -1);
  const begun = onOneLine(ownLines(first, first.length - 1));
  if (isEnough(begun)) return cut(begun);
  const lines = linesOf(text);
  const words = onOneLine(ownLines(lines));
  return cut(words === '' ? onOneLine(beforeSignature(lines).map((line) => line.replace(/^[\s>|]+/, ''))) : words);
}

const linesOf = (text: string): string[] => text.split(/\r\n|\r|\n/);

/** Of the first `count` of them. */
function ownLines(lines: readonly string[], count = lines.length): string[] {
  const before = beforeSignature(lines);
  return before.filter((line, n) => n < count && !QUOTED_LINE.test(line) && !introduces(line, before[n + 1]));
}

function beforeSignature(lines: readonly string[]): readonly string[] {
  const at = lines.findIndex((line) => SIGNATURE.test(line));
  return at <= 0 ? lines : lines.slice(0, at);
}

const introduces = (line: string, next: string | undefined): boolean =>
  next !== undefined && QUOTED_LINE.test(next) && INTRODUCTION.test(line);

/** In so much of nearly every text there are the words of a preview. */
const FIRST_CHARS = 4 * PREVIEW_CHARS;
/** What follows so many changes the last one of them at most. */
const isEnough = (words: string): boolean => words.length > LOOKED_AT_CHARS;

function onOneLine(lines: readonly string[]): string {
  const text = lines.join(' ');
  const first = tidied(text.slice(0, FIRST_CHARS));
  return isEnough(first) ? first : tidied(text);
}

const tidied = (text: string): string => text.replace(UNSEEN, '').replace(CONTROLS, ' ').replace(/\s+/g, ' ').trim();

/** Whole characters only. */
function cut(text: string): string {
  const characters = Array.from(text.slice(0, LOOKED_AT_CHARS));
  return characters.slice(0, PREVIEW_CHARS).join('').trimEnd();
}
