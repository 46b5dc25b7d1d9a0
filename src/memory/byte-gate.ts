import { collectGarbage } from './free-memory.ts';

/**
 * Bounds how many bytes of messages are worked on at once, because each passes through several buffers of its size. Small
 * messages go together; a large one goes alone. In order of arrival, so that none starves.
 */
export class ByteGate {
  readonly #capacityBytes: number;
  #usedBytes = 0;
  readonly #waiting: { sizeBytes: number; enter: () => void }[] = [];

  constructor(capacityBytes: number) {
    this.#capacityBytes = capacityBytes;
  }

  /** Runs `work` when there is room for `sizeBytes`; more than the whole capacity counts as all of it. */
  async pass<T>(sizeBytes: number, work: () => Promise<T>): Promise<T> {
    const size = Math.min(sizeBytes, this.#capacityBytes);
    await this.#enter(size);
    collectGarbage(size);
    try {
      return await work();
    } finally {
      this.#usedBytes -= size;
      this.#admit();
    }
  }

  #enter(sizeBytes: number): Promise<void> {
    return new Promise((enter) => {
      this.#waiting.push({ sizeBytes, enter });
      this.#admit();
    });
  }

  #admit(): void {
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      if (this.#usedBytes + next.sizeBytes > this.#capacityBytes) return;
      this.#waiting.shift();
      this.#usedBytes += next.sizeBytes;
      next.enter();
    }
  }
}
