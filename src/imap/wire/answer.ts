/** Many response lines on their way to the socket: short pieces are put together in chunks, long ones go as they are. */

/** A chunk. Larger ones would not be worth more. */
const CHUNK_BYTES = 64 * 1024;
/** From here on a copy costs more than another piece. */
const LONG_BYTES = 16 * 1024;

export class Answer {
  readonly #buffers: Buffer[] = [];
  #chunk: Buffer = Buffer.alloc(0);
  /** Of the chunk: what is written, and where that begins which is not among `#buffers` yet. */
  #end = 0;
  #start = 0;
  #sizeBytes = 0;

  /** Of what is waiting. */
  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** Text has one byte for each character. Pieces of lines in their order, or whole lines. */
  add(pieces: readonly (string | Buffer)[]): void {
    for (const piece of pieces) {
      this.#sizeBytes += piece.length;
      if (piece.length > LONG_BYTES) this.#addLong(piece);
      else {
        if (piece.length > this.#chunk.length - this.#end) this.#begin();
        if (typeof piece === 'string') this.#chunk.write(piece, this.#end, 'latin1');
        else piece.copy(this.#chunk, this.#end);
        this.#end += piece.length;
      }
    }
  }

  /** What was added since. */
  take(): Buffer[] {
    this.#cut();
    this.#sizeBytes = 0;
    return this.#buffers.splice(0);
  }

  #addLong(piece: string | Buffer): void {
    this.#cut();
    this.#buffers.push(typeof piece === 'string' ? Buffer.from(piece, 'latin1') : piece);
  }

  #begin(): void {
    this.#cut();
    this.#chunk = Buffer.allocUnsafeSlow(CHUNK_BYTES);
    this.#start = 0;
    this.#end = 0;
  }

  #cut(): void {
    if (this.#end > this.#start) this.#buffers.push(this.#chunk.subarray(this.#start, this.#end));
    this.#start = this.#end;
  }
}
