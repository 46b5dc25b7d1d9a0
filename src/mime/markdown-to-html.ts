/**
 * Markdown to HTML that is safe to show: no HTML of the sender's, no script, nothing loaded from elsewhere. Pictures of
 * the message itself (`cid:`) are shown, pictures of other places become links.
 */
import { Marked, type Tokens } from 'marked';
import sanitizeHtml from 'sanitize-html';
import { escapeHtml } from './entities.ts';
import { parseMarkdown } from './markdown-parser.ts';

const SAFE_LINK = /^(?:https?:|mailto:|tel:|xmpp:|sip:)/i;

const renderer = new Marked({ gfm: true, breaks: true, async: false }).use({
  renderer: {
    html: ({ text }: Tokens.HTML | Tokens.Tag) => escapeHtml(text),
    text(token: Tokens.Text | Tokens.Escape) {
      return 'tokens' in token && token.tokens !== undefined
        ? this.parser.parseInline(token.tokens)
        : keepSpaces('escaped' in token && token.escaped ? token.text : escapeText(token.text));
    },
    image: ({ href, text }: Tokens.Image) => {
      if (/^cid:[^\s"'<>]{1,400}$/i.test(href)) return `<img src="${escapeHtml(href)}" alt="${escapeHtml(text)}">`;
      return SAFE_LINK.test(href) ? `<a href="${escapeHtml(href)}">${escapeHtml(text)}</a>` : escapeHtml(text);
    },
  },
});

/** Columns in plain text depend on runs of spaces and on tabs, which HTML would fold. */
function keepSpaces(html: string): string {
  return html
    .replace(/\t|&#9;/g, '&nbsp;&nbsp;&nbsp; ')
    .replace(/ {2,}/g, (run) => `${'&nbsp;'.repeat(run.length - 1)} `);
}

/** As HTML, but character references of the source stay what they are. */
function escapeText(text: string): string {
  return text.replace(/&(?!#?\w{1,12};)|[<>"']/g, escapeHtml);
}

const POLICY: sanitizeHtml.IOptions = {
  allowedTags: [
    ...['h1', 'h2', 'h3', 'h4', 'h5', 'h6', 'p', 'br', 'hr', 'blockquote', 'pre', 'code', 'em', 'strong', 'del'],
    ...['ul', 'ol', 'li', 'a', 'img', 'table', 'thead', 'tbody', 'tr', 'th', 'td', 'input'],
  ],
  allowedAttributes: {
    a: ['href'],
    img: ['src', 'alt'],
    ol: ['start'],
    th: ['align'],
    td: ['align'],
    input: [{ name: 'type', values: ['checkbox'] }, 'checked', 'disabled'],
  },
  allowedSchemes: ['http', 'https', 'mailto', 'tel', 'xmpp', 'sip'],
  allowedSchemesByTag: { img: ['cid'] },
  allowProtocolRelative: false,
};

/** Quotes as mail programs mark them, so that they show their levels. */
const CITING: sanitizeHtml.IOptions = {
  ...POLICY,
  allowedAttributes: { ...POLICY.allowedAttributes, blockquote: [{ name: 'type', values: ['cite'] }] },
  transformTags: { blockquote: sanitizeHtml.simpleTransform('blockquote', { type: 'cite' }) },
};

/** A whole document. Deterministic. `citing`: since version 3 of the renderer. */
export function markdownToHtml(
  markdown: string,
  signature: string | null,
  { citing }: { citing: boolean } = { citing: false },
): string {
  const tokens = parseMarkdown(markdown);
  const policy = citing ? CITING : POLICY;
  const html = tokens === null ? `<pre>${escapeHtml(markdown)}</pre>\n` : sanitizeHtml(renderer.parser(tokens), policy);
  const signed = signature === null ? '' : `<pre>-- \n${escapeHtml(signature)}</pre>\n`;
  return `<!DOCTYPE html>\n<html><head><meta charset="utf-8"></head><body>\n${html}${signed}</body></html>\n`;
}
