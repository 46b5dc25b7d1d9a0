/** QR codes: those that an independent reader read back, and the limits. */
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { qrCode, qrText } from '../src/admin/qr.ts';

const { cases } = JSON.parse(readFileSync(new URL('../fixtures/qr.json', import.meta.url), 'utf8')) as {
  cases: { text: string; rows: string[] }[];
};

it.each(cases)('codes $text as a reader expects it', ({ text, rows }) => {
  expect(qrCode(text).map((row) => row.map((dark) => (dark ? '#' : '.')).join(''))).toEqual(rows);
});

it('takes up to 858 bytes, counted in UTF-8', () => {
  expect(qrCode('a'.repeat(858))).toHaveLength(17 + 4 * 20);
  expect(() => qrCode('a'.repeat(859))).toThrow(RangeError);
  expect(() => qrCode('ü'.repeat(430))).toThrow(RangeError);
});

it('has a quiet zone and fits two rows in a line', () => {
  const lines = qrText('smimp').split('\n');
  expect(lines).toHaveLength(Math.ceil((21 + 8) / 2));
  expect(lines[0]).toBe(`\u001b[30;107m${' '.repeat(29)}\u001b[0m`);
});
