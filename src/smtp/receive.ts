/**
 * Reads a message as it comes, in bounded memory: at most the limit of each, and a bounded sum of all. What is too large is
 * read to its end without being kept; what never ends is cut.
 */
import { REPLIES, SmtpReply } from './replies.ts';

/** How many bytes of unfinished messages there may be in this process. */
export class ReceivingRoom {
  #freeBytes: number;

  constructor(capacityBytes: number) {
    this.#freeBytes = capacityBytes;
  }

  take(sizeBytes: number): boolean {
    if (sizeBytes > this.#freeBytes) return false;
    this.#freeBytes -= sizeBytes;
    return true;
  }

  give(sizeBytes: number): void {
    this.#freeBytes += sizeBytes;
  }
}

/** A message in pieces, as they came; `room` is given back with `release`, also after an error. */
export interface Received {
  bytes(): Buffer;
  release(): void;
}

/** Throws SmtpReply `tooLarge`, `busy` once the stream has ended. `onEndless` is called when it goes on far beyond. */
export async function receive(
  stream: AsyncIterable<Buffer>,
  options: { limitBytes: number; endlessBytes: number; room: ReceivingRoom; onEndless: () => void },
): Promise<Received> {
  const { limitBytes, room } = options;
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  let heldBytes = 0;
  let refusal: Error | null = null;
  const release = (): void => {
    chunks.length = 0;
    room.give(heldBytes);
    heldBytes = 0;
  };
  try {
    for await (const chunk of stream) {
      sizeBytes += chunk.length;
      if (sizeBytes > limitBytes) refusal ??= REPLIES.tooLarge(limitBytes);
      else if (refusal === null && !room.take(chunk.length)) refusal = REPLIES.busy();
      if (refusal === null) {
        chunks.push(chunk);
        heldBytes += chunk.length;
      } else if (heldBytes > 0) release();
      if (sizeBytes > options.endlessBytes) options.onEndless();
    }
    if (refusal !== null) throw refusal;
    return { bytes: () => Buffer.concat(chunks), release };
  } catch (error) {
    release();
    // Anything else means that the client went away in the middle: nobody hears this reply.
    throw error instanceof SmtpReply ? error : REPLIES.notStored();
  }
}
