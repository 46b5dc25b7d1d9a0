/** How many commands a connection may give in a minute; beyond that they are refused until the minute is over. */
const MINUTE_MS = 60_000;

export class CommandRate {
  readonly #perMinute: number;
  #startedMs = Number.NEGATIVE_INFINITY;
  #count = 0;

  constructor(perMinute: number) {
    this.#perMinute = perMinute;
  }

  /** Counts one; false when it is one too many. */
  take(now: Date): boolean {
    const nowMs = now.getTime();
    if (nowMs - this.#startedMs >= MINUTE_MS) {
      this.#startedMs = nowMs;
      this.#count = 0;
    }
    this.#count += 1;
    return this.#count <= this.#perMinute;
  }
}
