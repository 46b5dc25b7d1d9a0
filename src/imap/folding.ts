/** COMPRESS=DEFLATE (RFC 4978): what goes out is folded, what comes in unfolded, each with little memory and a bound. */
import { constants, createDeflateRaw, createInflateRaw, type InflateRaw } from 'node:zlib';
import type { SessionLimits } from './limits.ts';

/** About 70 KiB for a connection; mail gains little from more. */
const FOLDING = { level: 4, windowBits: 13, memLevel: 6 } as const;
/** Given on at once of what is unfolded. */
const UNFOLDED_CHUNK_BYTES = 16 * 1024;

export class Folding {
  readonly #deflate = createDeflateRaw(FOLDING);
  readonly #parts: Buffer[] = [];

  constructor() {
    this.#deflate.on('data', (part: Buffer) => this.#parts.push(part));
  }

  /** The folded bytes, up to the last one that the client needs to read it all; nothing after `close`. */
  fold(buffers: readonly Buffer[]): Promise<Buffer[]> {
    const deflate = this.#deflate;
    return new Promise((resolve) => {
      const take = (): void => resolve(this.#parts.splice(0));
      // Folded, but maybe still on its way through the stream.
      const settle = (): void => {
        if (deflate.readableLength > 0 && !deflate.closed) setImmediate(settle);
        else take();
      };
      deflate.once('close', take);
      for (const buffer of buffers) deflate.write(buffer);
      deflate.flush(constants.Z_SYNC_FLUSH, () => {
        deflate.off('close', take);
        settle();
      });
    });
  }

  close(): void {
    this.#deflate.close();
  }
}

/**
 * Unfolds what is piped into it, no faster than `onChunk` is let go on (pause and resume). `onBroken` when it cannot be
 * read, or grows beyond all use: the connection is to be closed.
 */
export function createUnfolding(
  limits: Pick<SessionLimits, 'unfoldRatio' | 'unfoldFreeBytes'>,
  handlers: { onChunk: (chunk: Buffer) => void; onBroken: () => void },
): InflateRaw {
  const inflate = createInflateRaw({ chunkSize: UNFOLDED_CHUNK_BYTES });
  let unfoldedBytes = 0;
  inflate.on('data', (chunk: Buffer) => {
    unfoldedBytes += chunk.length;
    if (unfoldedBytes > limits.unfoldFreeBytes + limits.unfoldRatio * inflate.bytesWritten) handlers.onBroken();
    else handlers.onChunk(chunk);
  });
  inflate.on('error', handlers.onBroken);
  return inflate;
}
