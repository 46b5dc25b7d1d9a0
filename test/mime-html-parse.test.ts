/** HTML as people and programs write it, to one tree: the elements stand where browsers put them, and no text is lost. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseHtml } from '../src/mime/html-parse.ts';
import { MAX_HTML_DEPTH } from '../src/mime/html-text.ts';
import { htmlToMarkdown } from '../src/mime/html-to-markdown.ts';
import type { HtmlElement, HtmlNode } from '../src/mime/html-tree.ts';
import { markdownToHtml } from '../src/mime/markdown-to-html.ts';
import { unsafeHtml } from './fuzz/targets/safe-html.ts';

const outlineOf = (node: HtmlNode): string =>
  node.nodeType === 3 ? node.data : `${node.nodeName.toLowerCase()}[${node.childNodes.map(outlineOf).join('')}]`;
const outline = (html: string): string => parseHtml(html).whole.childNodes.map(outlineOf).join('');

/** Every link between two nodes is there both ways. */
function expectLinked(element: HtmlElement): void {
  const nodes = element.childNodes;
  expect([element.firstChild, element.lastChild]).toEqual([nodes[0] ?? null, nodes.at(-1) ?? null]);
  for (const [at, node] of nodes.entries()) {
    expect(node.parentNode === element && node.previousSibling === (nodes[at - 1] ?? null)).toBe(true);
    expect(node.nextSibling === (nodes[at + 1] ?? null)).toBe(true);
    if (node.nodeType === 1) expectLinked(node);
  }
}

describe('an element stands where browsers put it', () => {
  it.each([
    ['a block ends a paragraph', '<p>a<div>b</div>c', 'p[a]div[b]c'],
    ['through other elements too', '<p><span>a<ul><li>b</ul></span>c</p>d', 'p[span[a]]ul[li[b]]cp[]d'],
    ['marks go on in the block', '<p><b>a<div>b</div>c</b>d', 'p[b[a]]div[b[b]]b[c]dp[]'],
    ['each mark once', '<p><b><b><i>a<h1>b</h1>c', 'p[b[b[i[a]]]]h1[b[i[b]]]b[i[c]]p[]'],
    [
      'a block has the marks within it that begin around it',
      '<b>a<p>b</p> <ul><li>c</ul>d</b>e',
      'b[a]p[b[b]] ul[li[b[c]]]b[d]e',
    ],
    ['and is not there where all of it is in blocks', '<ol><b> <i><li>a<li>b</b></ol>', 'ol[li[b[i[a]]]li[b[i[b]]]]'],
    ['with a rule between too', '<i><del>a<hr>b</i>c', 'i[del[a]]hr[]i[del[b]]c'],
    ['but not those around a link or code', '<b><a><div>a</div></a><code><p>b', 'b[a[div[a]]code[p[b]]]'],
    ['nor those around something hidden', '<b><span style=display:none><p>a</span>b', 'b[span[p[a]]b]'],
    ['but not in a cell of a table', '<b>a<table><tr><td>b</table>c', 'b[a]table[tr[td[b]]]b[c]'],
    ['an end of a paragraph without its beginning is one', 'a</p>b', 'ap[]b'],
    ['an item ends the one before', '<ul><li>a<div>b<li>c</ul>d', 'ul[li[adiv[b]]li[c]]d'],
    ['but not one in whose list it is', '<ul><li>a<ul><li>b', 'ul[li[aul[li[b]]]]'],
    ['a term ends a meaning', '<dl><dt>a<dd><div>b<dt>c', 'dl[dt[a]dd[div[b]]dt[c]]'],
    ['a heading ends a heading', '<h1>a<x><h2>b', 'h1[a]h2[b]'],
    ['a heading stays in another element', '<h1><div>a<h2>b', 'h1[div[ah2[b]]]'],
    ['html, body and what is unknown are nothing', '<html><body>a<x>b<!-- c --></x>c</body></html>', 'abc'],
  ])('%s', (_what, html, tree) => expect(outline(html)).toBe(tree));

  it.each([
    ['a cell has a row', '<table><td>a<td>b<tr><th>c</table>d', 'table[tr[td[a]td[b]]tr[th[c]]]d'],
    ['a cell ends the one before', '<table><tr><td><u><div>a<td>b', 'table[tr[td[u[div[a]]]td[b]]]'],
    ['a row ends the one before', '<table><tbody><tr><td>a<p>b<tr><td>c', 'p[]table[tbody[tr[td[ap[b]]]tr[td[c]]]]'],
    [
      'a part of a table ends the one before',
      '<table><thead><tr><th>a<i><tbody><tr>',
      'table[thead[tr[th[ai[]]]]tbody[tr[]]]',
    ],
    ['parts without a table are nothing', 'a<tr><td>b</td></tr><caption>c</caption><col>', 'abc'],
    [
      'what is between cells stands before the table',
      'a<table><tr><td>b</td>c <p>d</p></tr> <br></table>e',
      'ac p[d]br[]table[tr[td[b]] ]e',
    ],
    ['with its marks', '<table><b>a<tr>b<td>c', 'b[a]b[b]table[tr[td[c]]]'],
    [
      'a form between rows is nothing',
      '<table><form><tr><td>a</tr></form><tr><td>b</table>',
      'table[tr[td[a]]tr[td[b]]]',
    ],
    [
      'columns are no place',
      '<table><colgroup><col></colgroup><caption>a</caption><tr><td>b',
      'table[col[]caption[a]tr[td[b]]]',
    ],
    ['a table between rows ends the one around', '<table><tr><table><td>a</table>b', 'table[tr[]]table[tr[td[a]]]b'],
    ['also from within what stands before it', '<table><div>a<table><td>b', 'div[a]table[]table[tr[td[b]]]'],
    ['a table in a cell does not', '<table><td><table><td>a</table>b<td>c', 'table[tr[td[table[tr[td[a]]]b]td[c]]]'],
  ])('of tables: %s', (_what, html, tree) => expect(outline(html)).toBe(tree));

  it.each([
    ['ends the one around it', '<a href=x>a<b>b<a href=y>c</a>d</b>e</a>f', 'a[ab[b]]b[a[c]d]ef'],
    ['leaves it what was before a block', '<a href=x>a<div>b<a href=y>c</a>d</div>e</a>f', 'span[a[a]div[ba[c]d]e]f'],
    ['in a cell is one beside the link around', '<a href=x><table><td><a href=y>b</table>c', 'a[table[tr[td[a[b]]]]c]'],
  ])('a link within a link %s', (_what, html, tree) => expect(outline(html)).toBe(tree));
});

describe('of HTML is read', () => {
  it('only what readers see', () => {
    const silent = 'script style textarea noscript title template object iframe svg math'.split(' ');
    for (const name of silent) expect(outline(`a<${name}><b>no</b></${name}>b`)).toBe('ab');
    expect(outline('<head><title>no</title><meta><link><style>no</style></head>a')).toBe('a');
  });

  it('a head that does not end up to where the text begins', () => {
    expect(outline('<head><meta><title>no</title> <p>a</p>')).toBe('p[a]');
    expect(outline('<html><head> <title>no</title>a<b>b</b></html>c')).toBe('ab[b]c');
  });

  it('of attributes those that mean something, each once', () => {
    const { whole } = parseHtml('<a HREF="x&amp;y" href=z id=i onclick=c style=s __proto__=p constructor=q>a</a>');
    const link = whole.children[0];
    const names = ['href', 'style', 'id', 'onclick', '__proto__', 'constructor', 'src'];
    expect(names.map((name) => link?.getAttribute(name))).toEqual(['x&y', 's', null, null, null, null, null]);
  });

  it('elements as deep as allowed, deeper ones are as if only their text were there', () => {
    const nested = (depth: number): string => `${'<div>'.repeat(depth)}a${'</div>'.repeat(depth)}b`;
    const deep = (depth: number): string => `${'div['.repeat(depth)}a${']'.repeat(depth)}b`;
    expect(outline(nested(MAX_HTML_DEPTH))).toBe(deep(MAX_HTML_DEPTH));
    expect(outline(nested(MAX_HTML_DEPTH + 1))).toBe(deep(MAX_HTML_DEPTH));
  });

  it('the first line end in preformatted text is layout', () => {
    expect(outline('<pre>\n\na</pre><pre>&#10;b&#13;&#10;c</pre><pre><b>\nd')).toBe('pre[\na]pre[b\nc]pre[b[\nd]]');
  });
});

describe('a tree', () => {
  it('finds elements by their names, in order, and those around', () => {
    const { whole } = parseHtml('<div><ul><li id=1>a<li><b>b</b></ul><ol><li>c</ol></div>');
    const items = whole.querySelectorAll('li, b');
    expect(items.map((item) => item.textContent)).toEqual(['a', 'b', 'b', 'c']);
    expect(items.map((item) => item.closest('ul')?.textContent ?? null)).toEqual(['ab', 'ab', 'ab', null]);
    expect(items[0]?.closest('li')).toBe(items[0]);
    expect([whole.getElementsByTagName('table'), whole.getElementsByTagName('ol').length]).toEqual([[], 1]);
  });

  const tag = fc.constantFrom(
    ...[
      'p',
      'div',
      'b',
      'i',
      'a href=https://a.test',
      'span',
      'code',
      'ul',
      'ol',
      'li',
      'dl',
      'dt',
      'dd',
      'h1',
      'h2',
      'pre',
    ],
    ...[
      'blockquote',
      'form',
      'table',
      'tr',
      'td',
      'th',
      'tbody',
      'caption',
      'col',
      'br',
      'hr',
      'x',
      'section',
      'center',
    ],
  );
  const piece = (tags: typeof tag): fc.Arbitrary<string> =>
    fc.oneof(
      tags.map((name) => `<${name}>`),
      tags.map((name) => `</${name.split(' ')[0]}>`),
      fc.constantFrom(' ', '\n', '&lt;script&gt;', '<!-- c -->'),
      fc.constant('WORD'),
    );
  const soup = (tags: typeof tag): fc.Arbitrary<string> =>
    fc.array(piece(tags), { maxLength: 60 }).map((pieces) => {
      return pieces.map((one, at) => (one === 'WORD' ? `w${at}w` : one)).join('');
    });
  const wordsOf = (text: string): string[] => text.match(/w\d+w/g) ?? [];
  const SEED = { seed: 20_240_201, numRuns: 1_500 };

  it('of any tags holds all the text, once; without tables in its order', () => {
    const outside = tag.filter((name) => !/^(?:table|tr|td|th|tbody|caption|col)$/.test(name));
    fc.assert(
      fc.property(soup(outside), (html) => {
        expect(wordsOf(parseHtml(html).whole.textContent)).toEqual(wordsOf(html));
        expect(wordsOf(htmlToMarkdown(html))).toEqual(wordsOf(html));
      }),
      SEED,
    );
    fc.assert(
      fc.property(soup(tag), (html) => {
        const { root, whole } = parseHtml(html);
        expectLinked(root);
        expect(wordsOf(whole.textContent).sort()).toEqual(wordsOf(html).sort());
        expect(unsafeHtml(markdownToHtml(htmlToMarkdown(html), null))).toBeNull();
      }),
      SEED,
    );
  });
});
