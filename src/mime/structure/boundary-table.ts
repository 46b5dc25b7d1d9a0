/** The boundaries of all open multiparts (RFC 2046 §5.1.1), looked up by the text of a delimiter line. */

const DASH = 0x2d;
/** RFC 2046 §5.1.1 allows 70; senders that write more are read all the same, up to the longest line. */
const BOUNDARY_BYTES = 998;
const CLOSING = '--';

export class BoundaryTable {
  /** Depths by boundary, the innermost last. */
  readonly #depths = new Map<string, number[]>();
  readonly #boundaries = new Map<number, string>();

  add(boundary: string, depth: number): void {
    const depths = this.#depths.get(boundary);
    if (depths === undefined) this.#depths.set(boundary, [depth]);
    else depths.push(depth);
    this.#boundaries.set(depth, boundary);
  }

  /** Forgets the boundary of the multipart at `depth`, if it still has one. Inner ones go before outer ones. */
  remove(depth: number): void {
    const boundary = this.#boundaries.get(depth);
    if (boundary === undefined) return;
    this.#boundaries.delete(depth);
    const depths = this.#depths.get(boundary)?.filter((candidate) => candidate !== depth) ?? [];
    if (depths.length === 0) this.#depths.delete(boundary);
    else this.#depths.set(boundary, depths);
  }

  /** The open multipart that the line delimits, or null. */
  match(raw: Buffer, start: number, end: number): { depth: number; closing: boolean } | null {
    if (raw[start] !== DASH || raw[start + 1] !== DASH || this.#depths.size === 0) return null;
    if (end - start > BOUNDARY_BYTES) return null;
    const text = raw.toString('latin1', start + CLOSING.length, end).trimEnd();
    const depth = this.#depths.get(text)?.at(-1);
    if (depth !== undefined) return { depth, closing: false };
    if (!text.endsWith(CLOSING)) return null;
    const closed = this.#depths.get(text.slice(0, -CLOSING.length).trimEnd())?.at(-1);
    return closed === undefined ? null : { depth: closed, closing: true };
  }
}
