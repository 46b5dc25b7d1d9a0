/**
 * Values kept up to a number of bytes. What was not asked for lately goes: the values are in two halves, those of late and
 * those of before; when the first half is full, the second one goes and the first takes its place. Asking costs one look.
 */
export class ByteLru<T> {
  readonly #capacityBytes: number;
  #late = new Map<string, Entry<T>>();
  #before = new Map<string, Entry<T>>();
  #lateBytes = 0;
  #beforeBytes = 0;

  constructor(capacityBytes: number) {
    this.#capacityBytes = capacityBytes;
  }

  get usedBytes(): number {
    return this.#lateBytes + this.#beforeBytes;
  }

  get(key: string): T | undefined {
    const entry = this.#late.get(key);
    if (entry !== undefined) return entry.value;
    const old = this.#before.get(key);
    if (old === undefined) return undefined;
    this.set(key, old.value, old.sizeBytes);
    return old.value;
  }

  /** A value larger than the whole capacity is not kept. */
  set(key: string, value: T, sizeBytes: number): void {
    this.delete(key);
    if (sizeBytes > this.#capacityBytes) return;
    if (this.#lateBytes + sizeBytes > this.#capacityBytes / 2) this.#turn();
    this.#late.set(key, { value, sizeBytes });
    this.#lateBytes += sizeBytes;
    // Only a value larger than one half can do this.
    if (this.usedBytes > this.#capacityBytes) this.#forgetBefore();
  }

  delete(key: string): void {
    this.#lateBytes -= this.#late.get(key)?.sizeBytes ?? 0;
    this.#late.delete(key);
    this.#beforeBytes -= this.#before.get(key)?.sizeBytes ?? 0;
    this.#before.delete(key);
  }

  #turn(): void {
    this.#before = this.#late;
    this.#beforeBytes = this.#lateBytes;
    this.#late = new Map();
    this.#lateBytes = 0;
  }

  #forgetBefore(): void {
    this.#before = new Map();
    this.#beforeBytes = 0;
  }
}

type Entry<T> = { value: T; sizeBytes: number };
