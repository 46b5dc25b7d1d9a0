/**
 * Markdown to tokens, by marked, for text from strangers. Nesting and size are checked first: marked recurses
 * on containers and backtracks on some marks. What is refused here is shown as plain text by the callers.
 */
import { Marked, type Token, type Tokens } from 'marked';

/** Books are smaller; above it a body is shown as text without markup. */
export const MAX_MARKDOWN_CHARS = 1024 * 1024;
/** One line is a paragraph to many senders, not a book. */
const MAX_LINE_CHARS = 64 * 1024;
/** Containers (quotes, lists) in one another; twice what text-to-markdown.ts writes. */
const MAX_CONTAINERS = 24;
/** Marks such as `[[[[` or `*a_` cost marked time in the square of their number in a block. About 0.3 s. */
const MAX_WORK = 20_000_000;
/**
 * Below each line that could divide a table all lines up to the next empty one are read, and read again at the next such line:
 * characters in all. About a second. No text of people comes near, so nothing that was ever rendered looks otherwise.
 */
const MAX_TABLE_WORK = 200_000_000;

const markdown = new Marked({ gfm: true, breaks: false, async: false });

/** Tokens of the blocks, or `null` when the text is not safe to parse. Deterministic. */
export function parseMarkdown(text: string): Token[] | null {
  return isSafe(text) ? markdown.lexer(text) : null;
}

function isSafe(text: string): boolean {
  if (text.length > MAX_MARKDOWN_CHARS) return false;
  let openers = 0;
  let work = 0;
  let dividers = 0;
  let tableWork = 0;
  for (const line of text.split('\n')) {
    if (line.length > MAX_LINE_CHARS || containers(line) > MAX_CONTAINERS) return false;
    const more = countOpeners(line);
    work += more * (2 * openers + more);
    openers = line.trim() === '' ? 0 : openers + more;
    tableWork += dividers * line.length;
    dividers = line.trim() === '' ? 0 : dividers + Number(couldDivide(line));
    if (work > MAX_WORK || tableWork > MAX_TABLE_WORK) return false;
  }
  return true;
}

const couldDivide = (line: string): boolean => line.includes('-') && /^[ :|-]+$/.test(line);

/** Marks of containers at the start of a line; two columns of white space may be one more level. */
function containers(line: string): number {
  const prefix = /^(?:[ \t]|>|[-+*][ \t]|\d{1,9}[.)][ \t])*/.exec(line.slice(0, 4096))?.[0] ?? '';
  const marks = prefix.match(/[>+*.)-]/g)?.length ?? 0;
  const inList = /[-+*]|\d[.)]/.test(prefix) || /^[-+*>]|^\d{1,9}[.)]/.test(line.trimStart());
  return marks + (inList ? (prefix.match(/[ \t]{2}/g)?.length ?? 0) : 0);
}

/** Marks that may open a span; not the escaped ones, nor those within a word. */
function countOpeners(line: string): number {
  let openers = 0;
  for (const [mark] of line.matchAll(/\\.|[\p{L}\p{N}]_(?=[\p{L}\p{N}])|[[*_~`<]/gu))
    openers += mark.length === 1 ? 1 : 0;
  return openers;
}

export type { Token, Tokens };
