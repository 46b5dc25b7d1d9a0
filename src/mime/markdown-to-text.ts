/**
 * Markdown as plain text, for the text/plain part. Line breaks and the number of blank lines are taken from
 * the source, so that text which came in as text/plain goes out the same (see text-to-markdown.ts).
 */
import { decodeEntities } from './entities.ts';
import { parseMarkdown, type Token, type Tokens } from './markdown-parser.ts';

/** Text with `\n` line ends, no line end at its end. Of Markdown that is not safe to parse, the lines without escapes. */
export function markdownToText(markdown: string): string {
  const tokens = parseMarkdown(markdown);
  const text = tokens === null ? unescapeLines(markdown) : renderBlocks(tokens);
  return text.replace(/(?<![ \t])[ \t]+$/gm, '').replace(/^\n+|(?<!\n)\n+$/g, '');
}

const ESCAPED = /\\([!-/:-@[-`{-~])|<((?:https?|ftp):\/\/[^\s<>]+)>|(&#?\w+;)/gi;

/** Undoes what text-to-markdown.ts writes, line by line, so that a text of any size comes out as it went in. */
export function unescapeLines(markdown: string): string {
  const lines = markdown.split('\n').map((line) => {
    const shown = line.replace(/(^|[^\\])((?:\\\\)*)\\$/, '$1$2').replace(/^((?:> )*)&nbsp;/, '$1 ');
    return shown.replace(ESCAPED, (_all, mark, url, reference) => mark ?? url ?? decodeEntities(reference));
  });
  return lines.join('\n');
}

function renderBlocks(tokens: readonly Token[]): string {
  return tokens.map((token, index) => renderBlock(token, tokens[index + 1]) + trailingBreaks(token)).join('');
}

/** Line ends that follow a block in the source. White space between blocks is nothing but these. */
function trailingBreaks(token: Token): string {
  const source = token.type === 'space' ? token.raw : token.raw.slice(token.raw.trimEnd().length);
  return source.replace(/[^\n]/g, '');
}

function renderBlock(token: Token, next: Token | undefined): string {
  const known = token as Tokens.Generic & Token;
  switch (known.type) {
    case 'space':
    case 'def':
      return '';
    case 'blockquote':
      return renderQuote(known as Tokens.Blockquote, next);
    case 'list':
      return renderList(known as Tokens.List);
    case 'table':
      return renderTable(known as Tokens.Table);
    case 'code':
      return (known as Tokens.Code).text;
    case 'hr':
      return '----------';
    case 'html':
      return known.raw.trimEnd();
    default:
      return renderInline(known.tokens ?? [known]);
  }
}

/** A last `>` line only closes the quote when text follows at once. */
function renderQuote(token: Tokens.Blockquote, next: Token | undefined): string {
  const followed = next !== undefined && next.type !== 'space' && trailingBreaks(token) === '\n';
  const inner = renderBlocks(token.tokens);
  const shown = followed ? inner.replace(/\n$/, '') : inner;
  return shown
    .split('\n')
    .map((line) => (line.trimEnd() === '' ? '>' : `> ${line}`))
    .join('\n');
}

function renderList(token: Tokens.List): string {
  const start = token.start === '' ? 1 : token.start;
  return token.items
    .map((item, index) => {
      const marker = token.ordered ? `${start + index}. ` : '- ';
      const text = renderBlocks(item.tokens).replace(/(?<!\n)\n+$/, '');
      const body = text.split('\n').join(`\n${' '.repeat(marker.length)}`);
      return marker + body + (index < token.items.length - 1 ? trailingBreaks(item) || '\n' : '');
    })
    .join('');
}

function renderTable(token: Tokens.Table): string {
  const rows = [token.header, ...token.rows];
  return rows.map((row) => row.map((cell) => renderInline(cell.tokens)).join(' | ')).join('\n');
}

function renderInline(tokens: readonly Token[]): string {
  return tokens.map(renderSpan).join('');
}

function renderSpan(token: Token): string {
  const known = token as Tokens.Generic & Token;
  switch (known.type) {
    case 'text':
      return known.tokens === undefined ? spanText(known as Tokens.Text) : renderInline(known.tokens);
    case 'strong':
      return `*${renderInline(known.tokens ?? [])}*`;
    case 'em':
      return `_${renderInline(known.tokens ?? [])}_`;
    case 'br':
      return '\n';
    case 'link':
      return renderLink(known as Tokens.Link);
    case 'image':
      return renderImage(known as Tokens.Image);
    case 'checkbox':
      return (known as Tokens.Checkbox).checked ? '[x] ' : '[ ] ';
    case 'html':
      return known.raw;
    case 'escape':
    case 'codespan':
      return String(known.text);
    default:
      return known.tokens === undefined ? decodeEntities(known.raw) : renderInline(known.tokens);
  }
}

/** The entity that keeps the indent of a line stands for a common space; every other one is what it names. */
function spanText(token: Tokens.Text): string {
  return decodeEntities(token.text.replace(/(^|\n)&nbsp;/g, '$1 '));
}

function renderLink(token: Tokens.Link): string {
  if (token.autolink === true) return token.text;
  const text = renderInline(token.tokens);
  return text === token.href || `mailto:${text}` === token.href ? text : `${text} <${token.href}>`;
}

function renderImage(token: Tokens.Image): string {
  const name = token.text === '' ? 'image' : decodeEntities(token.text);
  return /^cid:/i.test(token.href) ? `[${name}]` : `[${name}] <${token.href}>`;
}
