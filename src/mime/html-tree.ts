/**
 * The tree of an HTML text: of a DOM what turndown and the rules for mail ask for, and no more. Children are linked, so that
 * putting in and taking out need no search.
 */

/** Attributes that are read; all others are as if they were not there. */
const READ = new Set(['style', 'class', 'width', 'height', 'role', 'href', 'src', 'alt', 'start']);

export type HtmlNode = HtmlElement | HtmlText;

abstract class Linked {
  parentNode: HtmlElement | null = null;
  previousSibling: HtmlNode | null = null;
  nextSibling: HtmlNode | null = null;
  // What turndown notes of each node. Here from the beginning, so that all nodes are objects of one shape.
  isBlock = false;
  isCode = false;
  isBlank = false;
  flankingWhitespace: unknown = null;
}

export class HtmlText extends Linked {
  readonly nodeType = 3;
  readonly nodeName = '#text';
  data: string;

  constructor(data: string) {
    super();
    this.data = data;
  }

  get nodeValue(): string {
    return this.data;
  }

  get textContent(): string {
    return this.data;
  }
}

export class HtmlElement extends Linked {
  readonly nodeType = 1;
  /** In capitals. */
  nodeName: string;
  firstChild: HtmlNode | null = null;
  lastChild: HtmlNode | null = null;
  /** While it is being filled (html-parse.ts). */
  isOpen = false;
  readonly #attributes: Record<string, string>;
  // Asked for again and again once the tree is whole, so remembered.
  #text: string | null = null;
  #children: readonly HtmlElement[] | null = null;
  #names: ReadonlySet<string> | null = null;

  constructor(nodeName: string, attributes: Record<string, string> = {}) {
    super();
    this.nodeName = nodeName;
    this.#attributes = attributes;
  }

  /** Another one of the same name and attributes, without its children. */
  twin(): HtmlElement {
    return new HtmlElement(this.nodeName, this.#attributes);
  }

  /** Nobody else has this tree: turndown may change it. */
  cloneNode(): this {
    return this;
  }

  getAttribute(name: string): string | null {
    return READ.has(name) && Object.hasOwn(this.#attributes, name) ? (this.#attributes[name] ?? null) : null;
  }

  /** Without the spaces around it. */
  attribute(name: string): string {
    return (this.getAttribute(name) ?? '').trim();
  }

  /** Text that is not shown, such as the preview of newsletters, and pictures that only count who reads. */
  isUnseen(): boolean {
    if (this.nodeName === 'IMG') return this.attribute('width') === '1' && this.attribute('height') === '1';
    const style = this.getAttribute('style');
    return style !== null && /display\s*:\s*none|mso-hide\s*:\s*all/i.test(style);
  }

  setAttribute(name: string, value: string): void {
    this.#attributes[name] = value;
  }

  get childNodes(): HtmlNode[] {
    const nodes: HtmlNode[] = [];
    for (let child = this.firstChild; child !== null; child = child.nextSibling) nodes.push(child);
    return nodes;
  }

  get children(): readonly HtmlElement[] {
    this.#children ??= this.childNodes.filter((child) => child.nodeType === 1);
    return this.#children;
  }

  get lastElementChild(): HtmlElement | null {
    return this.children.at(-1) ?? null;
  }

  get textContent(): string {
    if (this.#text !== null) return this.#text;
    let text = '';
    for (let child = this.firstChild; child !== null; child = child.nextSibling) text += child.textContent;
    this.#text = text;
    return text;
  }

  appendChild(node: HtmlNode): void {
    this.insertBefore(node, null);
  }

  insertBefore(node: HtmlNode, next: HtmlNode | null): void {
    const previous = next === null ? this.lastChild : next.previousSibling;
    node.parentNode = this;
    node.previousSibling = previous;
    node.nextSibling = next;
    if (previous === null) this.firstChild = node;
    else previous.nextSibling = node;
    if (next === null) this.lastChild = node;
    else next.previousSibling = node;
  }

  removeChild(node: HtmlNode): void {
    const { previousSibling: previous, nextSibling: next } = node;
    if (previous === null) this.firstChild = next;
    else previous.nextSibling = next;
    if (next === null) this.lastChild = previous;
    else next.previousSibling = previous;
  }

  /** The element itself or the nearest one around it. */
  closest(tag: string): HtmlElement | null {
    const name = tag.toUpperCase();
    let element: HtmlElement | null = this;
    while (element !== null && element.nodeName !== name) element = element.parentNode;
    return element;
  }

  getElementsByTagName(tag: string): readonly HtmlElement[] {
    return this.querySelectorAll(tag);
  }

  /** `tags` are names with commas between them. */
  querySelectorAll(tags: string): readonly HtmlElement[] {
    const wanted = tags.toUpperCase().split(', ');
    const within = this.#namesWithin();
    if (!wanted.some((name) => within.has(name))) return NO_ELEMENTS;
    const found: HtmlElement[] = [];
    collect(this, new Set(wanted), found);
    return found;
  }

  /** For each element around others it is asked what is in it: without this each of them would look through all of them. */
  #namesWithin(): ReadonlySet<string> {
    if (this.#names !== null) return this.#names;
    const names = new Set<string>();
    for (const child of this.children) {
      names.add(child.nodeName);
      for (const name of child.#namesWithin()) names.add(name);
    }
    this.#names = names.size === 0 ? NO_NAMES : names;
    return this.#names;
  }
}

const NO_ELEMENTS: readonly HtmlElement[] = [];
const NO_NAMES: ReadonlySet<string> = new Set();

function collect(element: HtmlElement, names: ReadonlySet<string>, found: HtmlElement[]): void {
  for (const child of element.children) {
    if (names.has(child.nodeName)) found.push(child);
    collect(child, names, found);
  }
}
