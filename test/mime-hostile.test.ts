/**
 * Text that costs careless programs time in the square of its length: long runs of one thing, in every place where one is looked
 * for at an end. Each takes a moment; done carelessly each takes many times the time limit of the test.
 */
import { describe, expect, it } from 'vitest';
import { htmlToMarkdown } from '../src/mime/html-to-markdown.ts';
import { parseMarkdown } from '../src/mime/markdown-parser.ts';
import { markdownToText } from '../src/mime/markdown-to-text.ts';
import { textToMarkdown } from '../src/mime/text-to-markdown.ts';

const LONG = 1_000_000;
const run = (of: string): string => of.repeat(LONG / of.length);
/** Far above what it takes, far below what it took. */
const TIME = { timeout: 15_000 };

describe('HTML with a long run of', () => {
  it.each([
    ['no-break spaces', '\u00a0'],
    ['byte order marks', '\ufeff'],
    ['wide spaces', '\u3000 '],
  ])('%s is taken apart at once', TIME, (_what, space) => {
    const markdown = htmlToMarkdown(`one${run(space)}<b>two${run(space)}</b>three`);
    expect(markdown).toMatch(/^one\s+\*\*two\*\*\s+three$/);
  });

  it('spaces in a cell or in preformatted text, also with elements between, is taken apart at once', TIME, () => {
    expect(htmlToMarkdown(`<table><tr><td>a${run('\u00a0')}b</td><td>c</td></tr><tr><td>d<td>e</table>`)).toContain(
      'b',
    );
    expect(htmlToMarkdown(`<pre><b>a${run(' ')}\u00a0</b>b</pre>`)).toContain('b');
    const pieces = `<i>${' '.repeat(990)}</i>`.repeat(LONG / 1_000);
    expect(htmlToMarkdown(`<pre><b>a${pieces}\u00a0</b>b</pre>`)).toContain('b');
  });

  it('spaces at the end of a mark leaves them outside at once', TIME, () => {
    expect(htmlToMarkdown(`<b>a<br>${run('\u00a0')}<wbr>${run('\u00a0')}</b>b`)).toMatch(/^\*\*a\*\*\\?\s+b$/);
  });

  it('spaces loses nothing but spaces', () => {
    const pre = `<pre>a${' '.repeat(600)}<i>${' '.repeat(600)}b</i> c\n  d</pre>`;
    expect(htmlToMarkdown(pre)).toBe(`\`\`\`\na${' '.repeat(1_000)}b c\n  d\n\`\`\``);
    expect(htmlToMarkdown('<p>x</p><p>&nbsp;</p>\u00a0y\u00a0')).toBe('x\n\n\u00a0y');
  });
});

describe('HTML with very many', () => {
  /** So many that they are still few enough to be parsed. */
  const MANY = 5_500;
  const many = (of: string, count = MANY): string =>
    Array.from({ length: count }, (_, n) => of.replace('N', `${n}`)).join('');

  it.each([
    ['elements that never end', '<bN>x'],
    ['elements whose ends are hidden', '<b a=N c="</b>">x'],
    ['links whose ends are hidden', '<a href="http://a.test/N" c="</a>"><div c="</div>">x'],
    ['items whose ends are hidden', '<ul c="</ul>"><li><div c="</div>">x'],
    ['tables whose ends are hidden', '<table c="</table>"><tr><td>x'],
    ['paragraphs in marks', '<p><i c="</i>">x'],
    ['rows with text between them', '<tr>x<td>x'],
    ['items', '<li>x'],
    ['meanings', '<dd>x'],
    ['comments', 'x<!-- <b> -->x'],
    ['forms whose ends are hidden', '<form c="</form>">x'],
  ])('%s is taken apart at once, and keeps its text', TIME, (_what, piece) => {
    for (const around of ['', '<ol>', '<table>']) {
      const html = around + many(piece);
      const markdown = htmlToMarkdown(html);
      expect(markdown.split('x').length).toBeGreaterThan(MANY);
      expect(markdown.length).toBeLessThan(40 * html.length);
    }
  });

  it('blocks within marks is not marked by each of them', TIME, () => {
    const html = `<p>${many('<b a=N c="</b>">', 180)}${many('<div>x</div>')}`;
    expect(htmlToMarkdown(html).match(/\*/g)?.length).toBeLessThan(10 * MANY);
  });

  it('elements without text within many others is nothing at once', TIME, () => {
    for (const empty of ['<u></u>', '<wbr>', '<img src=x>', '<table><tr><td></table>'])
      expect(htmlToMarkdown(`${'<i>'.repeat(150)}${many(empty, 6_000)}`)).not.toContain('x');
  });

  it('attributes or character references is read at once', TIME, () => {
    expect(htmlToMarkdown(`<b ${many('aN=1 ', LONG / 10)}>x</b>`)).toBe('**x**');
    expect(htmlToMarkdown(`<a href="http://a.test/${run('&amp;')}">x</a>`)).toBe('x');
    expect(htmlToMarkdown(run('&lt;'))).toContain('\\<');
  });

  it('preformatted texts of spaces is one run of them', TIME, () => {
    const html = `a<i>${many(`<pre>${' '.repeat(90)}</pre>`, 10_000)}</i>b`;
    expect(htmlToMarkdown(html)).toMatch(/^a[\s`]*b$/);
    expect(htmlToMarkdown(`<pre>${run('&#32;')}x</pre>`)).toBe(`\`\`\`\n${' '.repeat(1_000)}x\n\`\`\``);
  });
});

describe('Markdown with a long run of', () => {
  it.each([
    ['spaces', ' '],
    ['line ends', '\n'],
    ['tabs', '\t'],
  ])('%s is text at once', TIME, (_what, space) => {
    expect(markdownToText(`one${run(space)}two`)).toMatch(/^one\s+two$/);
  });

  it('lines that could divide a table is not parsed; a table of any length is', TIME, () => {
    expect(parseMarkdown(`x${'-- \n'.repeat(200_000)}x`)).toBeNull();
    const rows = '| a | b |\n'.repeat(50_000);
    expect(parseMarkdown(`| a | b |\n|---|---|\n${rows}`)?.map(({ type }) => type)).toEqual(['table']);
  });

  it('marks at the end of an address is text at once', TIME, () => {
    expect(textToMarkdown(`http://a.test/${run('.')}x`)).toContain('a.test');
  });
});
