/** How elements of mail become Markdown: turndown with rules for text, links, pictures, tables and preformatted text. */
import TurndownService from 'turndown';
import { captionToMarkdown, cellToMarkdown, isInDataTable, tableToMarkdown } from './html-table.ts';
import type { HtmlElement } from './html-tree.ts';
import { escapeInline, escapeLine } from './markdown-escape.ts';
import { MAX_QUOTE_DEPTH, textToMarkdown } from './text-to-markdown.ts';

const LINK_SCHEMES = /^(?:https?:|mailto:|tel:|ftp:|xmpp:|sip:)/i;
/** text/plain that mail programs put in an element of its own. */
const PLAIN_CLASS = /\bmoz-(?:quote-pre|signature)\b/;
/** Longer targets are data, not places. */
const MAX_TARGET_CHARS = 8_000;
/** Stands for <br> until it is known what follows. A noncharacter, which no cleaned text holds. */
export const BREAK = '\ufdd0';

type Replacement = (content: string, element: HtmlElement) => string;

/** What is not here is done by turndown's own rules, if they are for it, or is a plain element. */
const REPLACEMENTS: ReadonlyMap<string, Replacement> = new Map<string, Replacement>([
  ...rule(['EM', 'I'], (content) => marked(content, '*')),
  ...rule(['STRONG', 'B'], (content) => marked(content, '**')),
  ...rule(['DEL', 'S'], (content) => marked(content, '~~')),
  ...rule(['A'], linkMarkdown),
  ...rule(['IMG'], (_content, image) => imageMarkdown(image)),
  ...rule(['PRE'], (_content, pre) => preformatted(pre)),
  ...rule(['H1', 'H2', 'H3', 'H4', 'H5', 'H6'], heading),
  // Tables of data become tables; those of layout are taken apart into blocks.
  ...rule(['TD', 'TH'], (content, cell) =>
    isInDataTable(cell) ? cellToMarkdown(content.replaceAll(BREAK, '')) : asBlock(content),
  ),
  ...rule(['TR'], (content, row) => (isInDataTable(row) ? `\n|${content.replace(/\n/g, '')}` : content)),
  ...rule(['CAPTION'], (content, caption) =>
    isInDataTable(caption) ? captionToMarkdown(content.replaceAll(BREAK, '')) : content,
  ),
  ...rule(['THEAD', 'TBODY', 'TFOOT'], (content) => content),
  ...rule(['TABLE'], (content, table) => asBlock(isInDataTable(table) ? tableToMarkdown(content) : content)),
  // A term in bold, what it means as an item below it: Markdown has no lists of definitions.
  ...rule(['DT'], term),
  ...rule(['DD'], meaning),
]);
/** Turndown's own rules are for these. */
const LEFT_TO_TURNDOWN = new Set(['P', 'BR', 'BLOCKQUOTE', 'UL', 'OL', 'LI', 'HR', 'CODE']);

function rule(names: readonly string[], replacement: Replacement): [string, Replacement][] {
  return names.map((name) => [name, replacement]);
}

const asBlock = (content: string): string => `\n\n${content}\n\n`;

/** What became of the one element in a root. */
const results = new WeakMap<HtmlElement, string>();
const service = createService();

/** Turndown trims its result in time that grows with the square of a run of white space: it is given nothing to trim. */
export function turnedDown({ root, whole }: { root: HtmlElement; whole: HtmlElement }): string {
  service.turndown(root as unknown as TurndownService.Node);
  return (results.get(whole) ?? '').trimEnd();
}

/** One for all: its rules keep nothing of a text. */
function createService(): TurndownService {
  const turndown = new TurndownService({
    headingStyle: 'atx',
    hr: '* * *',
    bulletListMarker: '-',
    codeBlockStyle: 'fenced',
    emDelimiter: '*',
    strongDelimiter: '**',
    linkStyle: 'inlined',
    br: BREAK,
  });
  turndown.escape = escapeTextNode;
  addRule(turndown, 'flattened', isTooDeep, asBlock);
  addRule(turndown, 'own', (element) => !LEFT_TO_TURNDOWN.has(element.nodeName) || element.isUnseen(), replaced);
  addRule(
    turndown,
    'whole',
    ({ parentNode }) => parentNode?.parentNode === null,
    (content, whole) => {
      results.set(whole, content);
      return '';
    },
  );
  return turndown;
}

/** Turndown asks the rule that was added last first. */
function addRule(
  turndown: TurndownService,
  name: string,
  filter: (element: HtmlElement) => boolean,
  replacement: Replacement,
): void {
  turndown.addRule(name, {
    filter: (node) => filter(node as unknown as HtmlElement),
    replacement: (content, node) => replacement(content, node as unknown as HtmlElement),
  });
}

function replaced(content: string, element: HtmlElement): string {
  if (element.isUnseen()) return '';
  const own = REPLACEMENTS.get(element.nodeName);
  if (own !== undefined) return own(content, element);
  return element.isBlock ? asBlock(content) : content;
}

/**
 * Quotes and lists beyond the depth that readers of Markdown follow become plain blocks: each level would be written again
 * before every line of what is inside.
 */
function isTooDeep(node: HtmlElement): boolean {
  if (!NESTING.has(node.nodeName)) return false;
  let levels = 0;
  for (let above = node.parentNode; above !== null; above = above.parentNode)
    if (NESTING.has(above.nodeName)) levels += 1;
  return levels >= MAX_QUOTE_DEPTH;
}

/** Each writes something before every line of what is inside. */
const NESTING = new Set(['BLOCKQUOTE', 'LI', 'DD']);

/** A text node may stand at the start of a line or within one. White space around it is layout. */
function escapeTextNode(text: string): string {
  const body = text.trimStart();
  const lead = text.slice(0, text.length - body.length);
  return lead + (body.startsWith('\u00a0') ? escapeInline(body) : escapeLine(body));
}

/** Marks must touch the text: what is around it, breaks too, is left outside. */
function marked(content: string, mark: string): string {
  let [from, to] = [0, content.length];
  while (from < to && GAP.test(content.charAt(from))) from += 1;
  while (to > from && GAP.test(content.charAt(to - 1))) to -= 1;
  return from === to ? content : content.slice(0, from) + mark + content.slice(from, to) + mark + content.slice(to);
}

const GAP = /[\s\ufdd0]/;

function linkMarkdown(content: string, node: HtmlElement): string {
  const href = node.attribute('href');
  const place = target(href);
  if (!LINK_SCHEMES.test(href) || place === null || content.trim() === '') return content;
  if (href === node.textContent.trim() && isSelfNaming(href)) return `<${href}>`;
  const text = content.replaceAll(BREAK, ' ').replace(/\s+/g, ' ').trim();
  if (text === `<${place}>` || `mailto:${text}` === place) return text;
  return `[${withoutLinks(text)}](${place})`;
}

/** Whether `<url>` in Markdown is a link that shows itself. */
function isSelfNaming(url: string): boolean {
  return /^(?:https?|ftp):\/\/[^\s<>\\`]+$/i.test(url) && !/&#?\w+;/.test(url);
}

/** A link cannot hold another: URLs in its text are no links of their own. */
function withoutLinks(text: string): string {
  return text
    .replace(/<((?:https?|ftp):\/\/[^\s<>]+)>/gi, (_all, url: string) => url.replace(/[\\`*_[\]~&]/g, '\\$&'))
    .replace(/(https?|ftp):\/\//gi, '$1\\://');
}

function imageMarkdown(node: HtmlElement): string {
  const source = node.attribute('src');
  const text = escapeInline(node.attribute('alt').replace(/\s+/g, ' '));
  const place = target(source);
  if (place !== null && /^cid:/i.test(source)) return `![${withoutLinks(text)}](${place})`;
  const named = text === '' ? 'image' : withoutLinks(text);
  if (place === null || !/^https?:/i.test(source)) return text;
  // Within a link there is no room for a second one; what it shows is its text.
  return node.closest('a') === null ? `[${named}](${place})` : named;
}

/** A link target that Markdown reads back as it is. */
function target(url: string): string | null {
  const place = url.replace(/[\s<>()\\\x00-\x1f\ufdd0]/g, (char) =>
    char === '(' ? '%28' : char === ')' ? '%29' : encodeURIComponent(char.toWellFormed()),
  );
  return place === '' || place.length > MAX_TARGET_CHARS ? null : place;
}

function heading(content: string, { nodeName }: HtmlElement): string {
  const text = content.replaceAll(BREAK, ' ').replace(/\s+/g, ' ').trim();
  return text === '' ? '' : asBlock(`${'#'.repeat(Number(nodeName.charAt(1)))} ${text}`);
}

function preformatted(node: HtmlElement): string {
  const text = node.textContent.replace(/^\n|\n+$/g, '');
  if (PLAIN_CLASS.test(node.attribute('class'))) return asBlock(textToMarkdown(text));
  const longest = (text.match(/`+/g) ?? []).reduce((most, run) => Math.max(most, run.length), 2);
  const fence = '`'.repeat(longest + 1);
  return asBlock(`${fence}\n${text}\n${fence}`);
}

function term(content: string): string {
  const text = content.replaceAll(BREAK, ' ').replace(/\s+/g, ' ').trim();
  return text === '' ? '' : asBlock(`**${text.replaceAll('**', '')}**`);
}

function meaning(content: string, element: HtmlElement): string {
  return asBlock(isTooDeep(element) ? content : `-   ${content.trim().replace(/\n(?=.)/g, '\n    ')}`);
}
