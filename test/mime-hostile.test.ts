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

  it('spaces loses nothing but spaces', () => {
    const pre = `<pre>a${' '.repeat(600)}<i>${' '.repeat(600)}b</i> c\n  d</pre>`;
    expect(htmlToMarkdown(pre)).toBe(`\`\`\`\na${' '.repeat(1_000)}b c\n  d\n\`\`\``);
    expect(htmlToMarkdown('<p>x</p><p>&nbsp;</p>\u00a0y\u00a0')).toBe('x\n\n\u00a0y');
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
