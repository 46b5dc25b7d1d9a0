/**
 * Reads a message as it comes, in bounded memory: at most the limit of each, and a bounded sum of all. What is too large is
 * read to its end without being kept; what never ends is cut.
 */
import { freeMemory } from '../memory/free-memory.ts';
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

/** A message that came whole. Its bytes are gone, and the room is given back, with the first `release`. */
export interface Received {
  readonly bytes: Buffer;
  release(): void;
}

const NO_PREFIX = Buffer.alloc(0);

/** Most messages are smaller; a larger one gets all the memory it may need, of which the system grants what is used. */
const FIRST_BYTES = 64 * 1024;
const SMALL_BYTES = 1024 * 1024;

/** Grows to at most `limitBytes`. */
class MessageBytes {
  #storage = Buffer.allocUnsafeSlow(FIRST_BYTES);
  #sizeBytes = 0;
  readonly #limitBytes: number;

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

  append(chunk: Buffer): void {
    const neededBytes = this.#sizeBytes + chunk.length;
    if (neededBytes > this.#storage.length) this.#grow(neededBytes);
    chunk.copy(this.#storage, this.#sizeBytes);
    this.#sizeBytes = neededBytes;
  }

  #grow(neededBytes: number): void {
    const doubled = Math.max(neededBytes, 2 * this.#storage.length);
    const larger = Buffer.allocUnsafeSlow(doubled <= SMALL_BYTES ? doubled : Math.max(neededBytes, this.#limitBytes));
    this.#storage.copy(larger, 0, 0, this.#sizeBytes);
    freeMemory(this.#storage);
    this.#storage = larger;
  }

  bytes(): Buffer {
    return this.#storage.subarray(0, this.#sizeBytes);
  }

  free(): void {
    freeMemory(this.#storage);
    this.#storage = Buffer.alloc(0);
    this.#sizeBytes = 0;
  }
}

/** Throws SmtpReply `tooLarge`, `busy` once the stream has ended. `onEndless` is called when it goes on far beyond. */
export async function receive(
  stream: AsyncIterable<Buffer>,
  options: {
    limitBytes: number;
    endlessBytes: number;
    room: ReceivingRoom;
    onEndless: () => void;
    /** Put on top of the message; does not count. */
    prefix?: Buffer;
  },
): Promise<Received> {
  const { limitBytes, room, prefix = NO_PREFIX } = options;
  const kept = new MessageBytes(limitBytes + prefix.length);
  kept.append(prefix);
  let sizeBytes = 0;
  let heldBytes = 0;
  let refusal: Error | null = null;
  const release = (): void => {
    kept.free();
    room.give(heldBytes);
    heldBytes = 0;
  };
  try {
    for await (const chunk of stream) {
      sizeBytes += chunk.length;
      if (sizeBytes > limitBytes) refusal ??= REPLIES.tooLarge(limitBytes);
      else if (refusal === null && !room.take(chunk.length)) refusal = REPLIES.busy();
      if (refusal === null) {
        kept.append(chunk);
        heldBytes += chunk.length;
      } else if (heldBytes > 0) release();
      if (sizeBytes > options.endlessBytes) options.onEndless();
    }
    if (refusal !== null) throw refusal;
    return { bytes: kept.bytes(), release };
  } catch (error) {
    release();
    // Anything else means that the client went away in the middle: nobody hears this reply.
    throw error instanceof SmtpReply ? error : REPLIES.notStored();
  }
}
