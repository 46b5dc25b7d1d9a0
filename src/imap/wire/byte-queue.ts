/**
 * Two byte holders of the decoder: a queue of received chunks that are not copied, and a buffer that grows
 * geometrically up to a known bound, so that collecting n bytes costs O(n) however small the pieces are.
 */

/** Drop the consumed head of the chunk list once it is this long, so that dropping stays amortised. */
const COMPACT_CHUNKS = 1024;

/** Received chunks in order. The queue keeps references: the caller must not write to a chunk after `push`. */
export class ByteQueue {
  #chunks: Buffer[] = [];
  #head = 0;
  #offset = 0;
  #sizeBytes = 0;

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  push(chunk: Buffer): void {
    if (chunk.length === 0) return;
    this.#chunks.push(chunk);
    this.#sizeBytes += chunk.length;
  }

  /** The unread rest of the oldest chunk, never empty, or null when all is read. */
  peek(): Buffer | null {
    const chunk = this.#chunks[this.#head];
    if (chunk === undefined) return null;
    return this.#offset === 0 ? chunk : chunk.subarray(this.#offset);
  }

  /** Drops `count` bytes of what `peek` showed. */
  consume(count: number): void {
    this.#offset += count;
    this.#sizeBytes -= count;
    if (this.#offset < (this.#chunks[this.#head]?.length ?? 0)) return;
    this.#head += 1;
    this.#offset = 0;
    if (this.#head >= COMPACT_CHUNKS || this.#head === this.#chunks.length) {
      this.#chunks = this.#chunks.slice(this.#head);
      this.#head = 0;
    }
  }

  clear(): void {
    this.#chunks = [];
    this.#head = 0;
    this.#offset = 0;
    this.#sizeBytes = 0;
  }
}

const FIRST_ALLOCATION_BYTES = 512;

/** Collects bytes up to `boundBytes`; memory follows what arrived, not what was announced. */
export class GrowingBuffer {
  readonly #boundBytes: number;
  #store: Buffer = Buffer.alloc(0);
  #length = 0;

  constructor(boundBytes: number) {
    this.#boundBytes = boundBytes;
  }

  get length(): number {
    return this.#length;
  }

  /** Appends; the caller keeps the sum within the bound. */
  append(bytes: Buffer): void {
    this.#reserve(this.#length + bytes.length);
    bytes.copy(this.#store, this.#length);
    this.#length += bytes.length;
  }

  /** What was collected. The buffer starts anew and shares nothing with the result. */
  take(): Buffer {
    const bytes = this.#store.subarray(0, this.#length);
    this.#store = Buffer.alloc(0);
    this.#length = 0;
    return bytes;
  }

  #reserve(needed: number): void {
    if (needed <= this.#store.length) return;
    const doubled = Math.max(needed, this.#store.length * 2, FIRST_ALLOCATION_BYTES);
    const grown = Buffer.allocUnsafeSlow(Math.max(needed, Math.min(doubled, this.#boundBytes)));
    this.#store.copy(grown, 0, 0, this.#length);
    this.#store = grown;
  }
}
