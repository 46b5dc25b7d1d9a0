/**
 * HTML of strangers to a tree, in one parse, so that no two parsers can disagree about it. Only elements that mean something to
 * a reader of mail are kept, not too deep, and what no reader sees is left out.
 */
import { Parser } from 'htmlparser2';
import { ELEMENTS, SILENT } from './html-elements.ts';
import { HtmlFilling } from './html-filling.ts';
import { MAX_HTML_DEPTH } from './html-text.ts';
import { HtmlElement } from './html-tree.ts';

/** White space on end, also across elements, where it is not layout. Longer is an attack, or fills a line that nobody has. */
const MAX_BLANKS = 1_000;

/** The root, as turndown wants one, and the one element in it, in which all of `html` is. */
export function parseHtml(html: string): { root: HtmlElement; whole: HtmlElement } {
  const root = new HtmlElement('X-ROOT');
  const whole = new HtmlElement('SECTION');
  root.appendChild(whole);
  const parser = new Parser(new HtmlReader(new HtmlFilling(whole)));
  parser.write(html);
  parser.end();
  return { root, whole };
}

/** Hears what the parser finds. Every element that begins also ends, in order, but for the one in which the HTML breaks off. */
class HtmlReader {
  readonly #filling: HtmlFilling;
  /** How many elements are open whose text is not for readers, each in the one before it. */
  #silent = 0;
  /** Whether the outermost of them is the head. */
  #headBegan = false;
  /** From the first preformatted text on, white space is counted: looking for its end takes time in the square of its length. */
  #hasPre = false;
  #blanks = 0;
  #isAtPreStart = false;

  constructor(filling: HtmlFilling) {
    this.#filling = filling;
  }

  onopentag(name: string, attributes: Record<string, string>): void {
    if (this.#isInHead && name !== 'link' && ELEMENTS.has(name)) this.#endHead();
    if (this.#silent > 0) {
      this.#silent += 1;
      return;
    }
    if (SILENT.has(name)) {
      this.#silent = 1;
      this.#headBegan = name === 'head';
      return;
    }
    const known = ELEMENTS.get(name);
    this.#isAtPreStart = name === 'pre';
    this.#hasPre ||= name === 'pre';
    if (known === undefined || known.kind === 'around' || this.#filling.depth >= MAX_HTML_DEPTH)
      this.#filling.beginNothing();
    else this.#filling.begin(known.kind, new HtmlElement(known.nodeName, attributes));
  }

  onclosetag(): void {
    if (this.#silent > 0) this.#silent -= 1;
    else this.#filling.end();
  }

  ontext(data: string): void {
    if (this.#isInHead && /\S/.test(data)) this.#endHead();
    if (this.#silent > 0) return;
    this.#filling.text(this.#hasPre ? this.#withShortBlanks(data) : data);
  }

  onend(): void {
    this.#filling.finish();
  }

  /** Directly in the head. */
  get #isInHead(): boolean {
    return this.#headBegan && this.#silent === 1;
  }

  /** A head that does not end ends where text for readers begins. */
  #endHead(): void {
    this.#silent = 0;
    this.#filling.beginNothing();
  }

  /** The first line end in preformatted text is layout. */
  #withShortBlanks(data: string): string {
    const text = this.#isAtPreStart && data.startsWith('\n') ? data.slice(1) : data;
    this.#isAtPreStart = false;
    return text.replace(/\s+|\S+/g, (piece) => {
      const isBlank = piece.trim() === '';
      const kept = isBlank ? piece.slice(0, MAX_BLANKS - this.#blanks) : piece;
      this.#blanks = isBlank ? this.#blanks + kept.length : 0;
      return kept;
    });
  }
}
