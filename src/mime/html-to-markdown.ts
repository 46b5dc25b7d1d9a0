/**
 * HTML of mail to Markdown without HTML (SMIMP 0.1 §4.1): headings, emphasis, lists, quotes, links, code, tables. What
 * is not safe to take apart (too large, too deep) becomes its text.
 */
import TurndownService from 'turndown';
import { decodeEntities } from './entities.ts';
import { textToMarkdown } from './text-to-markdown.ts';

/** Newsletters reach a few hundred KB. */
const MAX_HTML_CHARS = 2 * 1024 * 1024;
/** Tables within tables within tables of newsletters reach forty; the DOM is walked by recursion. */
const MAX_HTML_DEPTH = 200;
const MAX_HTML_ELEMENTS = 50_000;
const VOID = new Set(['area', 'base', 'br', 'col', 'embed', 'hr', 'img', 'input', 'link', 'meta', 'source', 'wbr']);
const SAFE_LINK = /^(?:https?:|mailto:|tel:|cid:|xmpp:|sip:)/i;

export function htmlToMarkdown(html: string): string {
  if (!isSafe(html)) return textToMarkdown(htmlToText(html));
  return createService()
    .turndown(html)
    .replace(/\n{3,}/g, '\n\n')
    .trim();
}

/** Only what a person would read, with line ends where blocks end. */
function htmlToText(html: string): string {
  const readable = html
    .slice(0, MAX_HTML_CHARS)
    .replace(/<(script|style|head|title)\b[^>]{0,1000}>[\s\S]{0,200000}?<\/\1\s*>/gi, '')
    .replace(/<!--[\s\S]{0,200000}?-->/g, '')
    .replace(/<(?:br|\/p|\/div|\/tr|\/li|\/h[1-6])\b[^<>]{0,1000}>/gi, '\n')
    .replace(/<[^<>]{0,10000}>/g, '');
  return decodeEntities(readable)
    .replace(/\n{3,}/g, '\n\n')
    .trim();
}

function isSafe(html: string): boolean {
  if (html.length > MAX_HTML_CHARS) return false;
  let depth = 0;
  let elements = 0;
  for (const [, closing, name = ''] of html.matchAll(/<(\/?)([a-zA-Z][a-zA-Z0-9]*)/g)) {
    elements += 1;
    if (closing === '/') depth = Math.max(0, depth - 1);
    else if (!VOID.has(name.toLowerCase())) depth += 1;
    if (depth > MAX_HTML_DEPTH || elements > MAX_HTML_ELEMENTS) return false;
  }
  return true;
}

function createService(): TurndownService {
  const service = new TurndownService({
    headingStyle: 'atx',
    hr: '* * *',
    bulletListMarker: '-',
    codeBlockStyle: 'fenced',
    emDelimiter: '*',
    strongDelimiter: '**',
    linkStyle: 'inlined',
    blankReplacement: (_content, node) => ((node as unknown as { isBlock: boolean }).isBlock ? '\n\n' : ''),
  });
  service.remove(['script', 'style', 'head', 'title', 'noscript', 'template']);
  service.addRule('link', { filter: 'a', replacement: linkMarkdown });
  service.addRule('image', {
    filter: 'img',
    replacement: (_content, node) => imageMarkdown(node as unknown as Attributes),
  });
  service.addRule('table', {
    filter: isDataTable,
    replacement: (_content, node) => tableMarkdown(service, node),
  });
  service.addRule('strike', {
    filter: ['del', 's'],
    replacement: (content) => (content.trim() === '' ? content : `~~${content}~~`),
  });
  return service;
}

type Attributes = { getAttribute(name: string): string | null };

function linkMarkdown(content: string, node: unknown): string {
  const href = ((node as Attributes).getAttribute('href') ?? '').trim();
  if (!SAFE_LINK.test(href) || content.trim() === '') return content;
  const text = content.replace(/\s+/g, ' ').trim();
  return `[${text}](${target(href)})`;
}

function imageMarkdown(node: Attributes): string {
  const source = (node.getAttribute('src') ?? '').trim();
  const text = (node.getAttribute('alt') ?? '').replace(/[[\]\\\s]+/g, ' ').trim();
  if (/^cid:/i.test(source)) return `![${text}](${target(source)})`;
  return SAFE_LINK.test(source) ? `[${text === '' ? 'image' : text}](${target(source)})` : text;
}

/** A link target that Markdown reads back as it is. */
function target(url: string): string {
  return url.replace(/[\s<>()\\\x00-\x1f]/g, (char) =>
    encodeURIComponent(char).replace('(', '%28').replace(')', '%29'),
  );
}

interface Element {
  nodeName: string;
  textContent: string | null;
  innerHTML: string;
  querySelectorAll(selector: string): ArrayLike<Element>;
}

/** Tables of newsletters are layout: only a simple one, with more than one column and no block inside, is data. */
function isDataTable(node: unknown): boolean {
  const table = node as Element;
  if (table.nodeName !== 'TABLE') return false;
  const rows = rowsOf(table);
  return (
    rows.length > 1 &&
    rows.every((cells) => cells.length === rows[0]?.length && cells.length > 1) &&
    table.querySelectorAll('table, div, p, ul, ol, img, h1, h2, h3, blockquote, pre').length === 0
  );
}

function rowsOf(table: Element): Element[][] {
  return Array.from(table.querySelectorAll('tr'), (row) => Array.from(row.querySelectorAll('th, td')));
}

function tableMarkdown(service: TurndownService, node: unknown): string {
  const cell = ({ innerHTML }: Element): string =>
    service.turndown(innerHTML).replace(/\s+/g, ' ').replace(/\|/g, '\\|').trim();
  const [head = [], ...rows] = rowsOf(node as Element).map((cells) => cells.map(cell));
  const line = (cells: string[]): string => `| ${cells.join(' | ')} |`;
  return `\n\n${[line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n')}\n\n`;
}
