/**
 * Puts elements and text where browsers put them (HTML, "tree construction") when they are nested as they must not be, as far
 * as that can be seen in Markdown: a block ends a paragraph, a row the row before it, text between cells stands before the
 * table. What begins and ends comes in order, as the parser gives it.
 */
import { INLINE, type Kind, NEVER_AROUND_BLOCKS } from './html-elements.ts';
import { HtmlElement, type HtmlNode, HtmlText } from './html-tree.ts';

const SECTIONS = new Set(['TBODY', 'THEAD', 'TFOOT']);
/** Directly in these stand only parts of a table. */
const WITHIN_TABLE = new Set(['TABLE', ...SECTIONS, 'TR']);
/** Beyond these no open paragraph is looked for. */
const BORDERS = new Set(['TABLE', 'CAPTION', 'TD', 'TH']);
/** No mark goes on from outside into one of these. */
const CELLS = new Set(['CAPTION', 'TD', 'TH']);
const HEADINGS = new Set(['H1', 'H2', 'H3', 'H4', 'H5', 'H6']);
const TERMS = new Set(['DT', 'DD']);
const ONE_LINE = new Set(['A', 'CODE']);
/** What an item ends that begins within it. */
const ENDED_BY: ReadonlyMap<string, ReadonlySet<string>> = new Map([
  ['LI', new Set(['LI'])],
  ['DT', TERMS],
  ['DD', TERMS],
]);
/** Blocks through which the search for that goes. */
const SEEN_THROUGH = new Set(['ADDRESS', 'DIV', 'P']);

export class HtmlFilling {
  /** Elements that are being filled, each in the one before it, but for those put before a table. */
  readonly #open: HtmlElement[];
  /** What has begun and not ended: the element made for it, null where there is none. */
  readonly #begun: (HtmlElement | null)[] = [];
  /** Where in `#begun` the marks are; of each name one, so that not many go on in each of many blocks. */
  #marks: number[] = [];
  /** For each open cell, the marks around its table. */
  readonly #marksAround = new Map<HtmlElement, number[]>();
  readonly #whole: HtmlElement;
  #text = '';

  constructor(whole: HtmlElement) {
    this.#whole = whole;
    this.#open = [whole];
  }

  /** How many have begun and not ended. */
  get depth(): number {
    return this.#begun.length;
  }

  /** Something without an element: what is in it stands as if it were not there. */
  beginNothing(): void {
    this.#begun.push(null);
  }

  begin(kind: Kind, element: HtmlElement): void {
    this.#placeText();
    this.#begun.push(this.#begin(kind, element));
  }

  end(): void {
    // Where nothing ends, text goes on. Text may be what a mark goes on with, which is then what ends.
    if (this.#begun.at(-1) !== null) this.#placeText();
    const element = this.#begun.pop() ?? null;
    if (this.#marks.at(-1) === this.#begun.length) this.#marks.pop();
    if (element === null) return;
    if (element.isOpen) this.#endFrom(this.#open.lastIndexOf(element));
    // A block ended it before. What follows is not in line with what is before.
    else if (element.nodeName === 'P') this.#put(new HtmlElement('P'));
  }

  /** Text comes in pieces. Where it stands shows when all of it is there. */
  text(text: string): void {
    this.#text += text;
  }

  /** No more comes. */
  finish(): void {
    this.#placeText();
  }

  #placeText(): void {
    if (this.#text === '') return;
    // Carriage returns come from character references only.
    const text = this.#text.includes('\r') ? this.#text.replace(/\r\n?/g, '\n') : this.#text;
    this.#text = '';
    if (isLayout(text)) {
      addText(text, this.#current, null);
      return;
    }
    this.#goOnWithMarks();
    const { parent, next } = this.#place();
    addText(text, parent, next);
  }

  get #current(): HtmlElement {
    return this.#open.at(-1) ?? this.#whole;
  }

  /** Where the innermost table is open, or -1. */
  get #table(): number {
    return this.#open.findLastIndex(({ nodeName }) => nodeName === 'TABLE');
  }

  /** What is to be filled from now on, or null. */
  #begin(kind: Kind, element: HtmlElement): HtmlElement | null {
    if (kind === 'block' || kind === 'rule' || kind === 'table') this.#endMarks();
    if (kind === 'block') return this.#beginBlock(element);
    if (kind === 'part') return this.#beginPart(element);
    if (kind === 'mark') return this.#beginMark(element);
    if (kind === 'table') return this.#beginTable(element);
    if (kind === 'rule') this.#endParagraph();
    else this.#goOnWithMarks();
    this.#put(element);
    return kind === 'text' ? this.#fill(element) : null;
  }

  #beginBlock(element: HtmlElement): HtmlElement | null {
    const { nodeName } = element;
    this.#endItem(nodeName);
    this.#endParagraph();
    if (HEADINGS.has(nodeName) && HEADINGS.has(this.#current.nodeName)) this.#endFrom(this.#open.length - 1);
    // Between the parts of a table a form is around the rows that follow.
    if (nodeName === 'FORM' && WITHIN_TABLE.has(this.#current.nodeName)) return null;
    this.#put(element);
    return this.#fill(element);
  }

  #beginMark(element: HtmlElement): HtmlElement {
    const { nodeName } = element;
    if (nodeName === 'A') this.#endLink();
    this.#goOnWithMarks();
    if (!this.#marks.some((at) => this.#begun[at]?.nodeName === nodeName)) this.#marks.push(this.#begun.length);
    this.#put(element);
    return this.#fill(element);
  }

  /** In a table, but not in a cell of it, another one ends it. */
  #beginTable(element: HtmlElement): HtmlElement {
    const around = this.#open.findLastIndex(({ nodeName }) => BORDERS.has(nodeName));
    if (this.#open[around]?.nodeName === 'TABLE') this.#endFrom(around);
    return this.#fillIn(element);
  }

  /** Outside of tables their parts are nothing. Columns say nothing about the text. */
  #beginPart(element: HtmlElement): HtmlElement | null {
    const { nodeName } = element;
    const table = this.#table;
    if (table < 0 || nodeName === 'COLGROUP') return null;
    const isCell = nodeName === 'TD' || nodeName === 'TH';
    const inSection = (isCell || nodeName === 'TR') && SECTIONS.has(this.#open[table + 1]?.nodeName ?? '');
    const around = inSection ? table + 1 : table;
    const inRow = isCell && this.#open[around + 1]?.nodeName === 'TR';
    this.#endFrom(inRow ? around + 2 : around + 1);
    if (isCell && !inRow) this.#fillIn(new HtmlElement('TR'));
    if (nodeName !== 'COL') return this.#fillIn(element);
    this.#current.appendChild(element);
    return null;
  }

  #fillIn(element: HtmlElement): HtmlElement {
    this.#current.appendChild(element);
    return this.#fill(element);
  }

  #fill(element: HtmlElement): HtmlElement {
    this.#open.push(element);
    element.isOpen = true;
    if (CELLS.has(element.nodeName)) {
      this.#marksAround.set(element, this.#marks);
      this.#marks = [];
    }
    return element;
  }

  /** All that are open from there on are ended. */
  #endFrom(index: number): void {
    while (this.#open.length > index) {
      const element = this.#open.pop();
      if (element === undefined) return;
      element.isOpen = false;
      if (CELLS.has(element.nodeName)) this.#marks = this.#marksAround.get(element) ?? [];
    }
  }

  /** Links and code are one line, whatever is in them. What is hidden stays hidden by what is around it. */
  #endMarks(): void {
    let first = this.#open.length;
    for (let at = first - 1; at > 0; at -= 1) {
      const element = this.#open[at];
      const name = element?.nodeName ?? '';
      if (NEVER_AROUND_BLOCKS.has(name)) first = at;
      if (!INLINE.has(name) || ONE_LINE.has(name) || element?.isUnseen()) break;
    }
    while (this.#open.length > first) {
      const ended = this.#current;
      this.#endFrom(this.#open.length - 1);
      if (holdsNothing(ended)) ended.parentNode?.removeChild(ended);
    }
  }

  #endParagraph(): void {
    for (let at = this.#open.length - 1; at > 0; at -= 1) {
      const name = this.#open[at]?.nodeName ?? '';
      if (name === 'P') this.#endFrom(at);
      if (name === 'P' || BORDERS.has(name)) return;
    }
  }

  #endItem(nodeName: string): void {
    const ended = ENDED_BY.get(nodeName);
    if (ended === undefined) return;
    for (let at = this.#open.length - 1; at > 0; at -= 1) {
      const name = this.#open[at]?.nodeName ?? '';
      if (ended.has(name)) this.#endFrom(at);
      if (ended.has(name) || !(INLINE.has(name) || SEEN_THROUGH.has(name))) return;
    }
  }

  /** A link that begins within a link ends it; where blocks are between them, it keeps what stood before the outermost. */
  #endLink(): void {
    const mark = this.#marks.findIndex((at) => this.#begun[at]?.nodeName === 'A');
    const link = this.#begun[this.#marks[mark] ?? -1] ?? null;
    if (link === null) return;
    this.#marks.splice(mark, 1);
    if (!link.isOpen) return;
    const at = this.#open.lastIndexOf(link);
    if (this.#open.slice(at + 1).every(({ nodeName }) => INLINE.has(nodeName))) this.#endFrom(at);
    else shorten(link, this.#open[at + 1] ?? null);
  }

  /** Marks that a block ended go on in what follows. */
  #goOnWithMarks(): void {
    for (const at of this.#marks) {
      const mark = this.#begun[at] ?? null;
      if (mark === null || mark.isOpen) continue;
      const twin = mark.twin();
      this.#put(twin);
      this.#begun[at] = this.#fill(twin);
    }
  }

  #put(element: HtmlElement): HtmlElement {
    const { parent, next } = this.#place();
    parent.insertBefore(element, next);
    return element;
  }

  /** What is not a part of a table stands before it. */
  #place(): { parent: HtmlElement; next: HtmlNode | null } {
    const current = this.#current;
    if (!WITHIN_TABLE.has(current.nodeName)) return { parent: current, next: null };
    const table = this.#open[this.#table] ?? null;
    return { parent: table?.parentNode ?? current, next: table };
  }
}

/** Adds to a text that is there: where a text begins, characters mean something to Markdown that mean nothing within. */
function addText(text: string, parent: HtmlElement, next: HtmlNode | null): void {
  const previous = next === null ? parent.lastChild : next.previousSibling;
  if (previous?.nodeType === 3) previous.data += text;
  else parent.insertBefore(new HtmlText(text), next);
}

/** Whether all of a mark is within the block that it began around. In a list it would be counted as an item. */
function holdsNothing({ firstChild, lastChild }: HtmlElement): boolean {
  return firstChild === null || (firstChild === lastChild && firstChild.nodeType === 3 && isLayout(firstChild.data));
}

function isLayout(text: string): boolean {
  return /^[ \t\n\f]*$/.test(text);
}

/** What stands before `end` stays a link; the rest is none. */
function shorten(link: HtmlElement, end: HtmlNode | null): void {
  const before = link.twin();
  for (let child = link.firstChild; child !== null && child !== end; child = link.firstChild) {
    link.removeChild(child);
    before.appendChild(child);
  }
  link.insertBefore(before, link.firstChild);
  link.nodeName = 'SPAN';
}
