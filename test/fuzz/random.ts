/** Chance that can be had again: the same seed gives the same draws. */
import { createHash } from 'node:crypto';

export class Random {
  #state: number;

  /** `parts` name what the draws are for, so that one input can be made without those before it. */
  constructor(...parts: readonly (string | number)[]) {
    this.#state = createHash('sha256').update(parts.join('/')).digest().readInt32LE(0);
  }

  /** In [0, 1): mulberry32, small and good enough to choose mutations. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  /** A whole number from 0 to `below`, which is left out. */
  below(below: number): number {
    return Math.floor(this.next() * below);
  }

  pick<T>(choices: readonly T[]): T {
    return choices[this.below(choices.length)] as T;
  }

  bytes(sizeBytes: number): Buffer {
    return Buffer.from(Array.from({ length: sizeBytes }, () => this.below(256)));
  }
}
