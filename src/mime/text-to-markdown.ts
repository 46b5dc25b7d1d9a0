/**
 * A text/plain body as Markdown. Every line stays a line (hard breaks), `>` quotes become quotes, blank
 * lines stay in number, and markdown-to-text.ts gives the same text back.
 */
import { escapeLine } from './markdown-escape.ts';

/** Quotes deeper than any conversation; deeper marks are shown as text. */
export const MAX_QUOTE_DEPTH = 12;

/** Converts `\n`-separated text. White space at the end of a line is dropped, as it cannot be seen. */
export function textToMarkdown(text: string): string {
  const lines = text.split('\n').map((line) => line.trimEnd());
  return convertLines(trimBlank(lines), 0).join('\n');
}

function trimBlank(lines: string[]): string[] {
  const first = lines.findIndex((line) => line !== '');
  return first < 0 ? [] : lines.slice(first, lines.findLastIndex((line) => line !== '') + 1);
}

function convertLines(lines: readonly string[], depth: number): string[] {
  const out: string[] = [];
  for (let at = 0; at < lines.length; ) {
    const end = runEnd(lines, at, depth);
    const run = lines.slice(at, end);
    const quoted = isQuoted(run[0] ?? '', depth);
    // One by one: a letter may have more lines than a call takes arguments.
    for (const line of quoted ? convertQuote(run, depth, (lines[end] ?? '') !== '') : convertParagraph(run))
      out.push(line);
    at = end;
  }
  return out;
}

/** Where the lines of one kind end: quoted ones, blank ones, or others. */
function runEnd(lines: readonly string[], start: number, depth: number): number {
  const kind = kindOf(lines[start] ?? '', depth);
  let end = start + 1;
  while (end < lines.length && kindOf(lines[end] ?? '', depth) === kind) end += 1;
  return end;
}

function kindOf(line: string, depth: number): 'quote' | 'blank' | 'text' {
  if (line === '') return 'blank';
  return isQuoted(line, depth) ? 'quote' : 'text';
}

function isQuoted(line: string, depth: number): boolean {
  return line.startsWith('>') && depth < MAX_QUOTE_DEPTH;
}

/** `> ` before each line. A line of `>` closes the quote, or text right after it would be read as part of it. */
function convertQuote(lines: readonly string[], depth: number, textFollows: boolean): string[] {
  const inner = convertLines(
    lines.map((line) => line.replace(/^> ?/, '').trimEnd()),
    depth + 1,
  );
  const quoted = inner.map((line) => (line === '' ? '>' : `> ${line}`));
  return textFollows ? [...quoted, '>'] : quoted;
}

function convertParagraph(lines: readonly string[]): string[] {
  const last = lines.length - 1;
  return lines.map((line, index) => (line === '' || index === last ? escapeLine(line) : `${escapeLine(line)}\\`));
}
