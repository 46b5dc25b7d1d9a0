/**
 * BLAKE2b's compression function (RFC 7693 §3.2) as a graph, and the numbers the kernel needs from the RFC.
 *
 * Message words known to be zero are given as null and cost nothing.
 */
import type { Graph, NodeId } from './graph.ts';

export const BLOCK_SIZE_BYTES = 128;
export const WORDS_PER_BLOCK = 16;

/** RFC 7693 §2.6. */
const IV = [
  0x6a09e667f3bcc908n,
  0xbb67ae8584caa73bn,
  0x3c6ef372fe94f82bn,
  0xa54ff53a5f1d36f1n,
  0x510e527fade682d1n,
  0x9b05688c2b3e6c1fn,
  0x1f83d9abfb41bd6bn,
  0x5be0cd19137e2179n,
] as const;
const ALL_ONES = 0xffffffffffffffffn;
/** RFC 7693 §2.5: digest of 32 bytes, no key, fan-out 1, depth 1. */
const PARAMETER_WORD = 0x01010020n;

/** RFC 7693 §2.7; rounds 10 and 11 use the first two again. */
const SIGMA = [
  [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
  [14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3],
  [11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4],
  [7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8],
  [9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13],
  [2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9],
  [12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11],
  [13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10],
  [6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5],
  [10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0],
] as const;
const ROUNDS = 12;

type Quad = readonly [number, number, number, number];
const COLUMNS: readonly Quad[] = [
  [0, 4, 8, 12],
  [1, 5, 9, 13],
  [2, 6, 10, 14],
  [3, 7, 11, 15],
];
const DIAGONALS: readonly Quad[] = [
  [0, 5, 10, 15],
  [1, 6, 11, 12],
  [2, 7, 8, 13],
  [3, 4, 9, 14],
];

/** The eight chaining words before the first block of a 32-byte digest. */
export const INITIAL_STATE: readonly bigint[] = IV.map((word, i) => (i === 0 ? word ^ PARAMETER_WORD : word));

export interface CompressInput {
  /** Eight chaining words. */
  state: readonly NodeId[];
  /** Sixteen words of the block; null where the word is known to be zero. */
  message: readonly (NodeId | null)[];
  /** Bytes hashed up to and including this block. */
  length: NodeId;
  isLast: boolean;
}

/** Adds one compression to the graph and returns the eight new chaining words. */
export function compress(graph: Graph, input: CompressInput): NodeId[] {
  const v = [...input.state, ...IV.map((word) => graph.constant(word))];
  v[12] = graph.xor(at(v, 12), input.length);
  if (input.isLast) v[14] = graph.constant(IV[6] ^ ALL_ONES);
  for (let round = 0; round < ROUNDS; round += 1) {
    const words = (SIGMA[round % SIGMA.length] ?? []).map((index) => input.message[index] ?? null);
    mixAll(graph, v, COLUMNS, words.slice(0, 8));
    mixAll(graph, v, DIAGONALS, words.slice(8));
  }
  return input.state.map((word, i) => graph.xor(word, graph.xor(at(v, i), at(v, i + 8))));
}

/** Four G functions (RFC 7693 §3.1) in step with each other: the order in which the processor can overlap them. */
function mixAll(graph: Graph, v: NodeId[], quads: readonly Quad[], words: readonly (NodeId | null)[]): void {
  const addTo = (half: 0 | 1): void =>
    quads.forEach(([a, b], i) => {
      const word = words[2 * i + half] ?? null;
      v[a] = graph.sum(at(v, a), at(v, b), ...(word === null ? [] : [word]));
    });
  const turn = (target: 1 | 3, source: 0 | 2, bits: 32 | 24 | 16 | 63): void =>
    quads.forEach((quad) => {
      v[quad[target]] = graph.rotate(graph.xor(at(v, quad[target]), at(v, quad[source])), bits);
    });
  const carry = (): void =>
    quads.forEach(([, , c, d]) => {
      v[c] = graph.sum(at(v, c), at(v, d));
    });
  addTo(0);
  turn(3, 0, 32);
  carry();
  turn(1, 2, 24);
  addTo(1);
  turn(3, 0, 16);
  carry();
  turn(1, 2, 63);
}

function at(words: readonly NodeId[], index: number): NodeId {
  const word = words[index];
  if (word === undefined) throw new RangeError('no such word');
  return word;
}
