/** fixtures/spec/imap4rev2.tsv: what RFC 9051 asks of a server, section by section, with the test that shows it. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const HEADER = ['section', 'clause', 'test', 'title', 'status'];
/** `not-here`: what it speaks of does not happen on this server. */
const STATUSES = ['tested', 'not-here'];
/** Every command, and every response that is more than its command. */
const SECTIONS = [
  ...['§6.1.1', '§6.1.2', '§6.1.3', '§6.2.1', '§6.2.2', '§6.2.3'],
  ...Array.from({ length: 13 }, (_unused, n) => `§6.3.${n + 1}`),
  ...Array.from({ length: 9 }, (_unused, n) => `§6.4.${n + 1}`),
  ...['§7.1', '§7.3.1', '§7.3.4', '§7.4.1', '§7.5.1', '§7.5.2', '§A', '§E'],
];

const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8');
const [header = [], ...lines] = read('fixtures/spec/imap4rev2.tsv')
  .trimEnd()
  .split('\n')
  .map((line) => line.split('\t'));
const rows = lines.map(([section = '', clause = '', test = '', title = '', status = '']) => ({
  ...{ section, clause, test, title, status },
}));

/** A test or a group of tests of that title. */
function isThere({ test, title, status }: (typeof rows)[number]): boolean {
  if (status === 'not-here') return test === '-' && title === '-';
  if (!existsSync(join(ROOT, test))) return false;
  const text = read(test).replaceAll("\\'", "'");
  return ["('", '("', '(`', "(\n    '"].some((opening) => text.includes(`${opening}${title}`));
}

describe('the ledger of IMAP4rev2', () => {
  it('has five columns and known statuses', () => {
    expect(header).toEqual(HEADER);
    expect(lines.filter((line) => line.length !== HEADER.length || line.includes(''))).toEqual([]);
    expect(rows.filter(({ status }) => !STATUSES.includes(status))).toEqual([]);
  });

  it('goes through the sections', () => {
    const there = new Set(rows.map(({ section }) => section));
    expect(SECTIONS.filter((section) => !there.has(section))).toEqual([]);
    expect(rows.filter(({ section }) => !/^§(?:\d+(?:\.\d+)*|[A-F])$/.test(section))).toEqual([]);
  });

  it('names tests that are there', () => {
    expect(rows.filter((row) => !isThere(row)).map(({ test, title }) => `${test}: ${title}`)).toEqual([]);
  });
});
