/** Values kept up to a number of bytes; the one that was not asked for longest goes first. */
export class ByteLru<T> {
  readonly #capacityBytes: number;
  readonly #entries = new Map<string, { value: T; sizeBytes: number }>();
  #usedBytes = 0;

  constructor(capacityBytes: number) {
    this.#capacityBytes = capacityBytes;
  }

  get usedBytes(): number {
    return this.#usedBytes;
  }

  get(key: string): T | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    return entry.value;
  }

  /** The same, and it counts as not asked for. */
  peek(key: string): T | undefined {
    return this.#entries.get(key)?.value;
  }

  /** A value larger than the whole capacity is not kept. */
  set(key: string, value: T, sizeBytes: number): void {
    this.delete(key);
    if (sizeBytes > this.#capacityBytes) return;
    this.#entries.set(key, { value, sizeBytes });
    this.#usedBytes += sizeBytes;
    for (const oldest of this.#entries.keys()) {
      if (this.#usedBytes <= this.#capacityBytes) return;
      this.delete(oldest);
    }
  }

  delete(key: string): void {
    this.#usedBytes -= this.#entries.get(key)?.sizeBytes ?? 0;
    this.#entries.delete(key);
  }
}
