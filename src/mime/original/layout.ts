/** How base64 stands in lines: read off the message. Whether the letters are those of the attachment is compared afterwards. */
import type { Buffer } from 'node:buffer';
import { type Base64Layout, type LineRun, MAX_LINE_RUNS } from './format.ts';

const MAX_LINE_END_BYTES = 4;
/** Letters of base64; its padding is not counted as one. */
const IS_LETTER = new Uint8Array(256);
for (const letter of 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/')
  IS_LETTER[letter.charCodeAt(0)] = 1;
/** TAB, LF, CR, space, `=`. */
const IS_LINE_END = new Uint8Array(256);
for (const byte of [0x09, 0x0a, 0x0d, 0x20, 0x3d]) IS_LINE_END[byte] = 1;

/** Of `letters` letters from `start` on; null when they do not stand in lines with one line end. */
export function measureLayout(raw: Buffer, start: number, letters: number): Base64Layout | null {
  const first = runOf(raw, start, letters);
  const lineEnd = first === letters ? '' : lineEndAt(raw, start + first);
  const lines: LineRun[] = [];
  let at = start;
  let left = letters;
  while (left > 0) {
    const length = runOf(raw, at, left);
    if (length === 0 || (length < left && lineEnd === '') || lines.length === MAX_LINE_RUNS) return null;
    const times = countEqual(raw, at, { length, left, lineEnd });
    lines.push([length, times]);
    left -= times * length;
    at += times * (length + lineEnd.length);
    if (left > 0 && !endsLine(raw, at - lineEnd.length, lineEnd)) return null;
  }
  return { line_end: lineEnd, lines };
}

function runOf(raw: Buffer, start: number, most: number): number {
  let at = start;
  while (at - start < most && IS_LETTER[raw[at] ?? 0] === 1) at += 1;
  return at - start;
}

function lineEndAt(raw: Buffer, start: number): string {
  let at = start;
  while (at - start < MAX_LINE_END_BYTES && IS_LINE_END[raw[at] ?? 0] === 1) at += 1;
  return raw.toString('latin1', start, at);
}

function endsLine(raw: Buffer, at: number, lineEnd: string): boolean {
  for (let index = 0; index < lineEnd.length; index += 1)
    if (raw[at + index] !== lineEnd.charCodeAt(index)) return false;
  return true;
}

/** How many lines of this length follow each other. The letters between the line ends are not looked at. */
function countEqual(raw: Buffer, start: number, line: { length: number; left: number; lineEnd: string }): number {
  const { length, left, lineEnd } = line;
  let times = 1;
  for (let end = start + length; (times + 1) * length <= left; times += 1) {
    const next = end + lineEnd.length + length;
    const isLast = (times + 1) * length === left;
    if (!endsLine(raw, end, lineEnd) || !(isLast || endsLine(raw, next, lineEnd))) break;
    end = next;
  }
  return times;
}
