/** Spoils inputs the way hostile ones are spoilt: bits, cuts, repeats, pieces of other inputs, and words that mean something. */
import type { Random } from './random.ts';

type Mutation = (input: Buffer, random: Random, more: Material) => Buffer;

export interface Material {
  /** Inputs to take pieces from. */
  pool: readonly Buffer[];
  /** Words of the language that the target reads. */
  words: readonly string[];
}

/** Numbers, characters and text that have broken parsers before. */
const NASTY = [
  ...['0', '-1', '-0', '255', '4294967296', '9007199254740993', '1e400', '1.0', '00', '0x7f', 'NaN', '%00', '%2523'],
  ...[
    '\0',
    '\r\n',
    '\n',
    '\r',
    '\t',
    '\u00a0',
    '\ufeff',
    '\u202e',
    '\u212a',
    '\ud7ff',
    '\ufffe',
    '\u{10ffff}',
    '\\u0000',
  ],
  ...['\\ud800', '__proto__', 'constructor', 'toString', '"', '\\', '<', '>', '=?UTF-8?B?', '?=', '../', 'javascript:'],
  ...[
    '{',
    '}',
    '[',
    ']',
    '(',
    ')',
    ',',
    ':',
    ';',
    '*',
    '%',
    '#',
    '@',
    '&',
    '`',
    '~',
    '|',
    '--',
    '-->',
    '<!--',
    '<![CDATA[',
  ],
];
/** A repeat makes at most so much of an input, so that what is quadratic shows and what is linear stays cheap. */
const MAX_REPEATS = 2_000;

function spot(input: Buffer, random: Random): number {
  return random.below(input.length + 1);
}

function range(input: Buffer, random: Random, most = 64): [number, number] {
  const start = spot(input, random);
  return [start, Math.min(input.length, start + 1 + random.below(most))];
}

function replaced(input: Buffer, start: number, end: number, piece: Buffer): Buffer {
  return Buffer.concat([input.subarray(0, start), piece, input.subarray(end)]);
}

function changedByte(input: Buffer, random: Random, change: (byte: number) => number): Buffer {
  if (input.length === 0) return random.bytes(1);
  const out = Buffer.from(input);
  const at = random.below(out.length);
  out[at] = change(out[at] ?? 0) & 0xff;
  return out;
}

const MUTATIONS: readonly Mutation[] = [
  (input, random) => changedByte(input, random, (byte) => byte ^ (1 << random.below(8))),
  (input, random) => changedByte(input, random, () => random.below(256)),
  (input, random) => changedByte(input, random, (byte) => byte + random.pick([-1, 1])),
  (input, random) => replaced(input, ...range(input, random), Buffer.alloc(0)),
  (input, random) => input.subarray(0, spot(input, random)),
  (input, random) => {
    const [start, end] = range(input, random);
    return replaced(input, end, end, input.subarray(start, end));
  },
  (input, random) => {
    const [start, end] = range(input, random, 8);
    const piece = input.subarray(start, end);
    return replaced(input, start, end, Buffer.concat(Array(1 + random.below(MAX_REPEATS)).fill(piece)));
  },
  (input, random) => inserted(input, random, Buffer.from(random.pick(NASTY))),
  (input, random, { words }) => inserted(input, random, Buffer.from(random.pick(words.length > 0 ? words : NASTY))),
  (input, random, { words }) => {
    const word = Buffer.from(random.pick(words.length > 0 ? words : NASTY));
    return inserted(input, random, Buffer.concat(Array(1 + random.below(MAX_REPEATS)).fill(word)));
  },
  (input, random, { pool }) => {
    const other = random.pick(pool);
    const [start, end] = range(other, random, 400);
    return replaced(input, ...range(input, random), other.subarray(start, end));
  },
  (input, random, { pool }) => {
    const other = random.pick(pool);
    return Buffer.concat([input.subarray(0, spot(input, random)), other.subarray(spot(other, random))]);
  },
];

function inserted(input: Buffer, random: Random, piece: Buffer): Buffer {
  const at = spot(input, random);
  const over = random.next() < 0.5 ? at : Math.min(input.length, at + piece.length);
  return replaced(input, at, over, piece);
}

/** One to eight changes of an input, at most `maxBytes` long. */
export function mutate(input: Buffer, random: Random, material: Material, maxBytes: number): Buffer {
  let out = input;
  for (let left = 1 + random.below(8); left > 0; left--) {
    out = random.pick(MUTATIONS)(out, random, material).subarray(0, maxBytes);
  }
  return out;
}
