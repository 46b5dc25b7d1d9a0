/** Bytes of messages for a search, read while it looks into those before. */
import { READ_AHEAD } from '../limits.ts';
import type { Selected } from '../selected.ts';

/** Brings the bytes of messages that will probably be asked for: more of them each time it was right. */
export class Ahead {
  readonly #selected: Selected;
  #end = 0;
  /** How many are brought after those. */
  #next = 1;

  constructor(selected: Selected) {
    this.#selected = selected;
  }

  async bring(position: number): Promise<void> {
    if (position < this.#end) return;
    const { view, messages } = this.#selected;
    const wasRight = position === this.#end;
    const count = wasRight ? this.#next : 1;
    this.#next = Math.min(count * 2, READ_AHEAD);
    this.#end = position + count;
    const following = wasRight ? messages.slice(this.#end, this.#end + this.#next) : [];
    await view.prefetch(messages.slice(position, this.#end), following);
  }
}
