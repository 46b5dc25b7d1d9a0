/** Tables in HTML mail: which of them hold data, and those as GFM tables. Most are layout. */
import type { HtmlElement } from './html-tree.ts';

/** Larger ones are layout, or a spreadsheet that belongs in a file. */
const MAX_ROWS = 2_000;
const MAX_COLUMNS = 50;

/** Two columns and two rows at least, every cell of plain flow: no tables, lists, quotes or headings inside. */
function looksLikeData(table: HtmlElement): boolean {
  if (/^(?:presentation|none)$/i.test(table.getAttribute('role') ?? '')) return false;
  if (table.querySelectorAll('table, ul, ol, blockquote, pre, h1, h2, h3, h4, h5, h6, hr').length > 0) return false;
  const rows = table.querySelectorAll('tr');
  if (rows.length < 2 || rows.length > MAX_ROWS) return false;
  const widths = rows.map((row) => row.querySelectorAll('td, th').length);
  const width = Math.max(...widths);
  return width >= 2 && width <= MAX_COLUMNS && widths.every((cells) => cells > 0);
}

const known = new WeakMap<HtmlElement, boolean>();

/** Whether an element is in a table of data. Found out for each table once: it is asked for every cell. */
export function isInDataTable(element: HtmlElement): boolean {
  const table = element.closest('table');
  if (table === null) return false;
  const answer = known.get(table) ?? looksLikeData(table);
  known.set(table, answer);
  return answer;
}

/** Text of a cell, on one line. */
export function cellToMarkdown(content: string): string {
  return ` ${onOneLine(content).replace(/\|/g, '\\|')} |`;
}

/** Text above the table, on a line that is no row. */
export function captionToMarkdown(content: string): string {
  return `\n${onOneLine(content).replace(/^\|/, '\\|')}\n`;
}

function onOneLine(content: string): string {
  const lines = content.split('\n').map((one) => one.trim());
  return lines.filter((one) => one !== '').join(' ');
}

/** Rows `| a | b |`, one a line, with the delimiter row after the first and every row as wide as the widest. */
export function tableToMarkdown(content: string): string {
  const lines = content.split('\n');
  const rows = lines.filter((line) => line.startsWith('|'));
  const caption = onOneLine(lines.filter((line) => !line.startsWith('|')).join('\n'));
  const width = Math.max(1, ...rows.map(columns));
  const [head = '', ...rest] = rows.map((row) => row + '  |'.repeat(width - columns(row)));
  const table = [head, `|${' --- |'.repeat(width)}`, ...rest].join('\n');
  return caption === '' ? table : `${caption}\n\n${table}`;
}

function columns(row: string): number {
  return (row.replace(/\\./g, '').match(/\|/g)?.length ?? 1) - 1;
}
