/**
 * HTML of mail to Markdown without HTML (SMIMP 0.1 §4.1), by turndown with rules of our own for text, links, pictures,
 * tables and preformatted text. No scripts, styles or hidden text, no schemes but the harmless ones, and every `<` of
 * the text escaped. What is not safe to take apart (too large, too deep) becomes its text.
 */
import TurndownService from 'turndown';
import { balancedHtml, withShortBlanks } from './html-balance.ts';
import { cellToMarkdown, dataTables, type HtmlElement, tableToMarkdown } from './html-table.ts';
import { htmlToBareText, isModestHtml } from './html-text.ts';
import { escapeInline, escapeLine } from './markdown-escape.ts';
import { MAX_QUOTE_DEPTH, textToMarkdown } from './text-to-markdown.ts';

/** Called for a picture held in the HTML itself; answers with the content id it gets as an attachment. */
export type OnDataImage = (picture: { contentType: string; base64: string }) => string;

const LINK_SCHEMES = /^(?:https?:|mailto:|tel:|ftp:|xmpp:|sip:)/i;
const DATA_IMAGE = /^data:(image\/[a-z0-9.+-]{1,40});base64,([A-Za-z0-9+/=\s]+)$/i;
const UNSEEN = new Set(['SCRIPT', 'STYLE', 'HEAD', 'TITLE', 'NOSCRIPT', 'TEMPLATE', 'OBJECT', 'EMBED', 'IFRAME']);
/** text/plain that mail programs put in an element of its own. */
const PLAIN_CLASS = /\bmoz-(?:quote-pre|signature)\b/;
/** Longer targets are data, not places. */
const MAX_TARGET_CHARS = 8_000;
/** Stands for <br> until it is known what follows. A noncharacter, which no cleaned text holds. */
const BREAK = '\ufdd0';

/** Markdown of cleaned HTML (text.ts). Without `onDataImage`, pictures within the HTML leave their text. */
export function htmlToMarkdown(html: string, onDataImage?: OnDataImage): string {
  if (!isModestHtml(html)) return textToMarkdown(htmlToBareText(html));
  return placeBreaks(turnedDown(createService(onDataImage), withShortBlanks(balancedHtml(html)))).trim();
}

/** Turndown trims its result in time that grows with the square of a run of white space: it is given nothing to trim. */
function turnedDown(service: TurndownService, html: string): string {
  let markdown = '';
  service.addRule('whole', {
    filter: (node) => (node as unknown as HtmlElement).getAttribute('id') === WHOLE,
    replacement: (content) => {
      markdown = content;
      return '';
    },
  });
  service.turndown(`<section id="${WHOLE}">${html}</section>`);
  return markdown.trimEnd();
}

/** Balanced HTML has no ids. */
const WHOLE = 'whole';

/** A break before text is a hard one; before a blank line or the end it is nothing. Lines of no-break spaces are layout. */
function placeBreaks(markdown: string): string {
  const lines = markdown.split('\n').filter((line) => !/^\u00a0[\u00a0 ]*$/.test(line));
  const placed = lines.map((line, index) => {
    if (isEmpty(line)) return line.replaceAll(BREAK, '').trimEnd();
    const text =
      line.endsWith(BREAK) && !isEmpty(lines[index + 1] ?? '') ? `${line.replace(BREAKS_AT_END, '')}\\` : line;
    return text.replaceAll(BREAK, '');
  });
  return withoutGaps(placed).join('\n');
}

/** Empty paragraphs are layout: of several empty lines one stays, but for those within preformatted text. */
function withoutGaps(lines: readonly string[]): string[] {
  const kept: string[] = [];
  let fence: string | null = null;
  for (const line of lines) {
    const mark = /^[> ]*(`{3,})/.exec(line)?.[1] ?? null;
    if (fence === null) fence = mark;
    else if (mark === fence) fence = null;
    const last = kept.at(-1);
    if (fence !== null || line !== last || !/^[> ]*$/.test(line)) kept.push(line);
  }
  return kept;
}

const BREAKS_AT_END = /(?<![ \ufdd0])[ \ufdd0]+$/;
const isEmpty = (line: string): boolean => /^[> \ufdd0]*$/.test(line);

function createService(onDataImage: OnDataImage | undefined): TurndownService {
  const service = new TurndownService({
    headingStyle: 'atx',
    hr: '* * *',
    bulletListMarker: '-',
    codeBlockStyle: 'fenced',
    emDelimiter: '*',
    strongDelimiter: '**',
    linkStyle: 'inlined',
    br: BREAK,
  });
  service.escape = escapeTextNode;
  service.remove((node) => isUnseen(node as unknown as HtmlElement));
  addRule(service, 'strike', ['del', 's'], (content) => (content.trim() === '' ? content : `~~${content}~~`));
  addRule(service, 'link', ['a'], linkMarkdown);
  addRule(service, 'image', ['img'], (_content, node) => imageMarkdown(node, onDataImage));
  addRule(service, 'preformatted', ['pre'], (_content, node) => preformatted(node));
  addFlattening(service);
  addRule(service, 'heading', ['h1', 'h2', 'h3', 'h4', 'h5', 'h6'], heading);
  addTableRules(service);
  addDefinitionRules(service);
  return service;
}

function addRule(
  service: TurndownService,
  name: string,
  tags: readonly string[],
  replacement: (content: string, node: HtmlElement) => string,
): void {
  service.addRule(name, {
    filter: (node) => tags.includes((node as unknown as HtmlElement).nodeName.toLowerCase()),
    replacement: (content, node) => {
      const element = node as unknown as HtmlElement;
      return isUnseen(element) ? '' : replacement(content, element);
    },
  });
}

/**
 * Quotes and lists beyond the depth that readers of Markdown follow become plain blocks: each level would be written again
 * before every line of what is inside.
 */
function addFlattening(service: TurndownService): void {
  service.addRule('flattened', {
    filter: (node) => isTooDeep(node as unknown as HtmlElement),
    replacement: (content) => `\n\n${content}\n\n`,
  });
}

/** Each writes something before every line of what is inside. */
const NESTING = new Set(['BLOCKQUOTE', 'LI', 'DD']);

function isTooDeep(node: HtmlElement): boolean {
  if (!NESTING.has(node.nodeName)) return false;
  let levels = 0;
  for (let above = node.parentNode; above !== null; above = above.parentNode)
    if (NESTING.has(above.nodeName)) levels += 1;
  return levels >= MAX_QUOTE_DEPTH;
}

/** A text node may stand at the start of a line or within one. White space around it is layout. */
function escapeTextNode(text: string): string {
  const body = text.trimStart();
  const lead = text.slice(0, text.length - body.length);
  return lead + (body.startsWith('\u00a0') ? escapeInline(body) : escapeLine(body));
}

/** Text that is not shown, such as the preview of newsletters, and pictures that only count who reads. */
function isUnseen(node: HtmlElement): boolean {
  if (UNSEEN.has(node.nodeName)) return true;
  if (node.nodeName === 'IMG') return attribute(node, 'width') === '1' && attribute(node, 'height') === '1';
  return node.nodeName !== 'BODY' && /display\s*:\s*none|mso-hide\s*:\s*all/i.test(attribute(node, 'style'));
}

function attribute(node: HtmlElement, name: string): string {
  return (node.getAttribute(name) ?? '').trim();
}

function linkMarkdown(content: string, node: HtmlElement): string {
  const href = attribute(node, 'href');
  const place = target(href);
  if (!LINK_SCHEMES.test(href) || place === null || content.trim() === '') return content;
  if (href === (node.textContent ?? '').trim() && isSelfNaming(href)) return `<${href}>`;
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

function imageMarkdown(node: HtmlElement, onDataImage: OnDataImage | undefined): string {
  const source = attribute(node, 'src');
  const text = escapeInline(attribute(node, 'alt').replace(/\s+/g, ' '));
  const [, contentType, base64] = DATA_IMAGE.exec(source) ?? [];
  if (contentType !== undefined && base64 !== undefined && onDataImage !== undefined) {
    return `![${text}](cid:${onDataImage({ contentType: contentType.toLowerCase(), base64 })})`;
  }
  const place = target(source);
  if (place !== null && /^cid:/i.test(source)) return `![${withoutLinks(text)}](${place})`;
  const named = text === '' ? 'image' : withoutLinks(text);
  if (place === null || !/^https?:/i.test(source)) return text;
  // Within a link there is no room for a second one; what it shows is its text.
  return (node.closest('a') ?? null) === null ? `[${named}](${place})` : named;
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
  return text === '' ? '' : `\n\n${'#'.repeat(Number(nodeName.charAt(1)))} ${text}\n\n`;
}

function preformatted(node: HtmlElement): string {
  const text = (node.textContent ?? '').replace(/^\n|\n+$/g, '');
  if (PLAIN_CLASS.test(attribute(node, 'class'))) return `\n\n${textToMarkdown(text)}\n\n`;
  const longest = (text.match(/`+/g) ?? []).reduce((most, run) => Math.max(most, run.length), 2);
  const fence = '`'.repeat(longest + 1);
  return `\n\n${fence}\n${text}\n${fence}\n\n`;
}

/** Tables of data become tables; those of layout are taken apart into blocks. */
function addTableRules(service: TurndownService): void {
  const isData = dataTables();
  addRule(service, 'cell', ['td', 'th'], (content, node) =>
    isData(node) ? cellToMarkdown(content.replaceAll(BREAK, '')) : `\n\n${content}\n\n`,
  );
  addRule(service, 'row', ['tr'], (content, node) => (isData(node) ? `\n|${content.replace(/\n/g, '')}` : content));
  addRule(service, 'section', ['thead', 'tbody', 'tfoot'], (content) => content);
  addRule(service, 'table', ['table'], (content, node) =>
    isData(node) ? `\n\n${tableToMarkdown(content)}\n\n` : `\n\n${content}\n\n`,
  );
}

/** A term in bold, what it means as an item below it: Markdown has no lists of definitions. */
function addDefinitionRules(service: TurndownService): void {
  addRule(service, 'term', ['dt'], (content) => {
    const text = content.replaceAll(BREAK, ' ').replace(/\s+/g, ' ').trim();
    return text === '' ? '' : `\n\n**${text.replaceAll('**', '')}**\n\n`;
  });
  addRule(service, 'meaning', ['dd'], (content, node) => {
    if (isTooDeep(node)) return `\n\n${content}\n\n`;
    return `\n\n-   ${content.trim().replace(/\n(?=.)/g, '\n    ')}\n\n`;
  });
}
