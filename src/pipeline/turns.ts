/**
 * Lets messages of one sender to one contact take turns while they use a single-use key: a server gives the same key to the
 * same sender until it is used, so two at once would burn each other's work. Only saves work; nothing depends on it.
 */
export class Turns {
  readonly #last = new Map<string, Promise<void>>();

  /** Waits for everybody who asked for `key` before. The turn ends when the returned function is called. */
  async take(key: string): Promise<() => void> {
    const before = this.#last.get(key);
    let end: () => void = () => undefined;
    const turn = new Promise<void>((resolve) => {
      end = resolve;
    });
    const tail = (before ?? Promise.resolve()).then(() => turn);
    this.#last.set(key, tail);
    await before;
    return () => {
      end();
      if (this.#last.get(key) === tail) this.#last.delete(key);
    };
  }
}
