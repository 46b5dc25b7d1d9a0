/**
 * Plain text as Markdown (CommonMark with the GFM extensions) that shows exactly that text. Escapes are
 * backslashes; the one entity is for the white space at the start of a line, which Markdown would drop.
 */

/** URLs that Markdown links by itself; inside one no escape works, so one with marks is put in `<…>`. */
const LINKED = /(?:https?|ftp):\/\/[^\s<>"'`\\]+|www\.[^\s<>"'`\\]+/gi;
const URL_END = /(?<![.,;:!?)\]}*_~])[.,;:!?)\]}*_~]+$/;
/** Marks of spans, and what would make a link of text that holds escapes: in a link they would be seen. */
const SPECIAL = /[\\`*[\]~]|_|<(?=[A-Za-z/!?<]|$)|&(?=[#\w]|$)|:(?=\/\/)|(?<=www)\./gi;
const WORD_CHAR = /[\p{L}\p{N}]/u;
/** Starts of blocks: heading, list, quote, thematic break, underline of a heading, delimiter row of a table. */
const BLOCK_START = /^(?:#{1,6}(?=\s|$)|[-+](?=\s|$)|>|[-|:=](?:[-|:=\s]*)$)/;
const ORDERED_START = /^(\d{1,9})([.)])(?=\s|$)/;

/** One of these is in each mark and in each address that is linked. */
const MARKED = /[\\`*[\]~_<&:.]/;

/** Text within one line. */
export function escapeInline(text: string): string {
  if (!MARKED.test(text)) return text;
  let escaped = '';
  let from = 0;
  for (const match of text.matchAll(LINKED)) {
    const url = match[0].replace(URL_END, '');
    const end = match.index + url.length;
    const alone = /^\s?$/.test(text.charAt(match.index - 1)) && /\s/.test(text.charAt(end));
    escaped += escapeMarks(text, from, match.index) + escapeUrl(text, match.index, end, alone);
    from = end;
  }
  return escaped + escapeMarks(text, from, text.length);
}

/** A whole line: its start as well. */
export function escapeLine(line: string): string {
  const first = line.charAt(0);
  if (first === ' ') return `&nbsp;${escapeInline(line.slice(1))}`;
  if (first === '\t') return `&#9;${escapeInline(line.slice(1))}`;
  const escaped = escapeInline(line);
  if (BLOCK_START.test(line) && !escaped.startsWith('\\')) return `\\${escaped}`;
  return escaped.replace(ORDERED_START, '$1\\$2');
}

function escapeMarks(text: string, from: number, to: number): string {
  return text.slice(from, to).replace(SPECIAL, (mark, offset: number) => {
    const at = from + offset;
    return isPlainMark(mark, text, at) ? mark : `\\${mark}`;
  });
}

/** `snake_case` is no emphasis, and `AT&T` no character reference. */
function isPlainMark(mark: string, text: string, at: number): boolean {
  if (mark === '&') return at + 1 < text.length && !/^&#?\w+;/.test(text.slice(at, at + 40));
  return mark === '_' && isWordChar(text, at - 1) && isWordChar(text, at + 1);
}

function isWordChar(text: string, at: number): boolean {
  return WORD_CHAR.test(text.charAt(at));
}

/** A bare URL when nothing in or next to it disturbs, else `<url>`, else no link at all. */
function escapeUrl(text: string, from: number, to: number, alone: boolean): string {
  const url = text.slice(from, to);
  if (alone && /^[A-Za-z0-9.:/?=%#+,;@-]+$/.test(url)) return url;
  const bracketable = /^[a-z]+:\/\//i.test(url) && !/&#?\w+;/.test(url);
  return bracketable ? `<${url}>` : escapeMarks(text, from, to);
}
