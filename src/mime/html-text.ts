/**
 * HTML of strangers: how deep and how large it is, and its bare text when it is too much for a real parser.
 * All by single scans; a DOM is built only from HTML that passed here.
 */
import { decodeEntities } from './entities.ts';

/** HTML of newsletters reaches 500 KiB. */
export const MAX_HTML_CHARS = 2 * 1024 * 1024;
export const MAX_HTML_TAGS = 30_000;
/** Browsers flatten at 512; layout tables of newsletters reach about 60. */
export const MAX_HTML_DEPTH = 200;

const VOID = new Set([
  'area',
  'base',
  'br',
  'col',
  'embed',
  'hr',
  'img',
  'input',
  'link',
  'meta',
  'param',
  'source',
  'wbr',
]);
/** Start tag or end tag, without its attributes. Parsers take all for the name up to a space, a slash or the end. */
const TAG = /<(\/?)([a-z][^\s/>]*)/gi;

/**
 * Whether a DOM may be built. Unclosed elements count as nested, and an end tag ends only what was begun under its name,
 * which errs on the safe side: `<p><b></p>` again and again nests ever deeper.
 */
export function isModestHtml(html: string): boolean {
  if (html.length > MAX_HTML_CHARS) return false;
  const open = new Map<string, number>();
  let depth = 0;
  let tags = 0;
  for (const [, slash, text = ''] of html.matchAll(TAG)) {
    const name = text.toLowerCase();
    tags += 1;
    if (tags > MAX_HTML_TAGS) return false;
    if (VOID.has(name) || IMPLIED_END.has(name)) continue;
    const begun = open.get(name) ?? 0;
    const change = slash === '' ? 1 : begun > 0 ? -1 : 0;
    open.set(name, begun + change);
    depth += change;
    if (depth > MAX_HTML_DEPTH) return false;
  }
  return true;
}

/** Closed by their next sibling, so an unclosed run of them does not nest. */
const IMPLIED_END = new Set(['p', 'li', 'dt', 'dd', 'tr', 'td', 'th', 'option', 'thead', 'tbody', 'tfoot']);
const SILENT = new Set(['script', 'style', 'head', 'title', 'noscript', 'template', 'object', 'iframe', 'svg']);
const BREAKING = /^(?:br|p|div|tr|li|h[1-6]|table|blockquote|pre|ul|ol|hr|section|article|header|footer)$/;

/** The text of any HTML: tags out, blocks on lines of their own, nothing of scripts and styles. Linear. */
export function htmlToBareText(html: string): string {
  const pieces: string[] = [];
  let at = 0;
  while (at < html.length) {
    const open = html.indexOf('<', at);
    const end = open < 0 ? html.length : open;
    pieces.push(html.slice(at, end).replace(/\s+/g, ' '));
    if (open < 0) break;
    const tag = readTag(html, open);
    pieces.push(tag.text);
    at = tag.end;
  }
  return decodeEntities(pieces.join(''))
    .replace(/[ \t]*\n[ \t]*/g, '\n')
    .replace(/\n{3,}/g, '\n\n')
    .trim();
}

function readTag(html: string, open: number): { text: string; end: number } {
  if (html.startsWith('<!--', open)) return { text: '', end: after(html, '-->', open + 4) };
  const name = /^<\/?([a-z][a-z0-9:-]{0,40})/i.exec(html.slice(open, open + 48))?.[1]?.toLowerCase();
  if (name === undefined && !/^<[!?]/.test(html.slice(open, open + 2))) return { text: '<', end: open + 1 };
  const end = after(html, '>', open);
  if (name !== undefined && SILENT.has(name) && html.charAt(open + 1) !== '/')
    return { text: '', end: skipSilent(html, name, end) };
  return { text: name !== undefined && BREAKING.test(name) ? '\n' : '', end };
}

function after(html: string, mark: string, from: number): number {
  const at = html.indexOf(mark, from);
  return at < 0 ? html.length : at + mark.length;
}

function skipSilent(html: string, name: string, from: number): number {
  const close = new RegExp(`</${name}[^>]{0,100}>`, 'gi');
  close.lastIndex = from;
  return close.exec(html) === null ? html.length : close.lastIndex;
}
