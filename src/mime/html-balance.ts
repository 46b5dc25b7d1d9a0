/**
 * HTML of strangers brought to a form in which every element that begins also ends, in order and not too deep, so that no two
 * parsers can disagree about its tree: an end tag that hides in an attribute, a comment or a script opens nothing here and
 * closes nothing there. What no reader sees is left out.
 */
import sanitizeHtml from 'sanitize-html';
import { MAX_HTML_DEPTH } from './html-text.ts';

const TEXT =
  'a abbr acronym address b bdi bdo big br cite code del dfn em font i img ins kbd mark nobr q s samp small'.split(' ');
const MORE_TEXT = 'span strike strong sub sup time tt u var wbr input label'.split(' ');
const BLOCKS =
  'article aside blockquote body center dd details dir div dl dt fieldset figcaption figure footer form'.split(' ');
const MORE_BLOCKS = 'h1 h2 h3 h4 h5 h6 header hr html legend li main nav ol p pre section summary ul'.split(' ');
const TABLES = 'caption col colgroup table tbody td tfoot th thead tr'.split(' ');

const BALANCED: sanitizeHtml.IOptions = {
  allowedTags: [...TEXT, ...MORE_TEXT, ...BLOCKS, ...MORE_BLOCKS, ...TABLES],
  allowedAttributes: {
    '*': ['style', 'class', 'width', 'height', 'align', 'colspan', 'rowspan', 'role'],
    a: ['href'],
    img: ['src', 'alt'],
    ol: ['start'],
  },
  // Which targets are harmless is decided where they are written as Markdown.
  allowedSchemesAppliedToAttributes: [],
  parseStyleAttributes: false,
  nonTextTags: [
    'script',
    'style',
    'textarea',
    'noscript',
    'head',
    'title',
    'template',
    'object',
    'embed',
    'iframe',
    'svg',
    'math',
  ],
  nestingLimit: MAX_HTML_DEPTH,
};

export function balancedHtml(html: string): string {
  return sanitizeHtml(html, BALANCED);
}

/** White space on end within preformatted text, where it is not layout. Longer is an attack, or fills a line that nobody has. */
const MAX_BLANKS = 1_000;
const PIECE = /<[^>]*>|\s+|[^<\s]+/g;

/**
 * Balanced HTML whose runs of white space are of bounded length, across elements too: looking for the end of one takes time
 * that grows with the square of its length. Outside of preformatted text they are collapsed later.
 */
export function withShortBlanks(html: string): string {
  if (!/<pre[\s>]/.test(html)) return html;
  let blanks = 0;
  return html.replace(PIECE, (piece) => {
    if (piece.startsWith('<')) return piece;
    if (piece.trim() !== '') {
      blanks = 0;
      return piece;
    }
    const kept = piece.slice(0, MAX_BLANKS - blanks);
    blanks += kept.length;
    return kept;
  });
}
