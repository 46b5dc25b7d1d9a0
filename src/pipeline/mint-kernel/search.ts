/**
 * The search for a proof of work (SMIMP 0.1 §4.3) over one preimage, in slices.
 *
 * The blocks before the last one are hashed once. In the last block one word of the value counts up: the last whole
 * word, or, when fewer than 8 bytes of the value reach into it, those bytes. When they have taken every value, the
 * value's first bytes, which then lie in an earlier block, step on and that block is hashed again.
 */
import { BLOCK_SIZE_BYTES, INITIAL_STATE } from './blake2b.ts';
import { instantiateKernel, type KernelExports, LAYOUT, shapeFor } from './kernel.ts';

/** The value ends the preimage (SMIMP 0.1 §1.3, `pow`). */
export const VALUE_SIZE_BYTES = 32;
/** The kernel looks at one 64-bit word of the digest. Policy stops far below (§4.3: 28). */
export const MAX_ZERO_BITS = 64;
/** Tries before the earlier bytes step on although the counting word has values left: keeps counts exact numbers. */
const MAX_TRIES_PER_STATE = 2 ** 52;

const WORD_SIZE_BYTES = 8;

export class Search {
  readonly #kernel: KernelExports;
  readonly #memory: DataView;
  readonly #preimage: Uint8Array;
  readonly #lastBlockStart: number;
  readonly #counterStart: number;
  readonly #counterSizeBytes: number;
  #next = 0n;
  #triesLeft = 0;

  /**
   * `preimage` ends in 32 bytes of value: a random start, so that two searches do not try the same. It is copied.
   * `zeroBits` is 1 to 64.
   */
  constructor(options: { preimage: Uint8Array; zeroBits: number }) {
    const { length } = options.preimage;
    if (length < VALUE_SIZE_BYTES) throw new RangeError('the preimage is shorter than its value');
    const shape = shapeFor(length);
    this.#kernel = instantiateKernel(shape);
    this.#memory = new DataView(this.#kernel.memory.buffer);
    this.#preimage = Uint8Array.from(options.preimage);
    this.#lastBlockStart = Math.floor((length - 1) / BLOCK_SIZE_BYTES) * BLOCK_SIZE_BYTES;
    this.#counterStart = this.#lastBlockStart + shape.counterWord * WORD_SIZE_BYTES;
    this.#counterSizeBytes = Math.min(WORD_SIZE_BYTES, length - this.#counterStart);
    this.#memory.setBigUint64(LAYOUT.mask, leadingBitsMask(options.zeroBits), true);
    this.#begin();
  }

  /** Makes about `tries` tries (at least 2, below 2^31). Returns the 32 bytes of a value that fits, or null. */
  run(tries: number): { value: Uint8Array | null; tries: number } {
    let made = 0;
    do {
      if (this.#triesLeft === 0) this.#stepOn();
      const planned = Math.min(Math.max(2, 2 * Math.floor((tries - made) / 2)), this.#triesLeft);
      const start = this.#next;
      const offset = this.#kernel.search(start, planned / 2);
      if (offset < planned) return { value: this.#valueWith(start + BigInt(offset)), tries: made + offset + 1 };
      this.#next = BigInt.asUintN(64, start + BigInt(planned));
      this.#triesLeft -= planned;
      made += planned;
    } while (made + 1 < tries);
    return { value: null, tries: made };
  }

  /** Hashes all but the last block and lays that one out. A whole word starts where the value says, a part at 0. */
  #begin(): void {
    INITIAL_STATE.forEach((word, i) => {
      this.#memory.setBigUint64(LAYOUT.state + i * WORD_SIZE_BYTES, word, true);
    });
    for (let start = 0; start < this.#lastBlockStart; start += BLOCK_SIZE_BYTES) {
      this.#load(start);
      this.#kernel.absorb();
    }
    this.#load(this.#lastBlockStart);
    const isWhole = this.#counterSizeBytes === WORD_SIZE_BYTES;
    this.#next = isWhole ? wordsOf(this.#preimage).getBigUint64(this.#counterStart, true) : 0n;
    this.#triesLeft = Math.min(MAX_TRIES_PER_STATE, 2 ** (8 * this.#counterSizeBytes));
  }

  #load(start: number): void {
    const block = new Uint8Array(this.#kernel.memory.buffer, LAYOUT.block, BLOCK_SIZE_BYTES);
    const bytes = this.#preimage.subarray(start, start + BLOCK_SIZE_BYTES);
    block.fill(0).set(bytes);
    this.#memory.setBigUint64(LAYOUT.length, BigInt(start + bytes.length), true);
  }

  #stepOn(): void {
    const words = wordsOf(this.#preimage);
    const valueStart = this.#preimage.length - VALUE_SIZE_BYTES;
    words.setBigUint64(valueStart, words.getBigUint64(valueStart, true) + 1n, true);
    this.#begin();
  }

  #valueWith(counter: bigint): Uint8Array {
    const value = this.#preimage.slice(-VALUE_SIZE_BYTES);
    const at = this.#counterStart - (this.#preimage.length - VALUE_SIZE_BYTES);
    for (let i = 0; i < this.#counterSizeBytes; i += 1) value[at + i] = Number((counter >> BigInt(8 * i)) & 0xffn);
    return value;
  }
}

function wordsOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** The `bits` first bits of a digest, from the top bit of byte 0, as they lie in its little-endian first word. */
function leadingBitsMask(bits: number): bigint {
  if (!Number.isInteger(bits) || bits < 1 || bits > MAX_ZERO_BITS) throw new RangeError('zeroBits out of range');
  const mask = new DataView(new ArrayBuffer(WORD_SIZE_BYTES));
  mask.setBigUint64(0, ((1n << BigInt(bits)) - 1n) << BigInt(MAX_ZERO_BITS - bits));
  return mask.getBigUint64(0, true);
}
