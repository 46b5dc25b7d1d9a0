/**
 * A minting thread: searches for a proof of work (SMIMP 0.1 §4.3) until it finds one or its order is withdrawn.
 *
 * An order is withdrawn by writing another ticket into the shared control words. The thread looks at them between
 * slices, so it never needs its event loop to hear of it. A search remembers nothing of what it tried, so a withdrawn
 * one loses nothing and any thread can take it up again.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { Search } from './mint-kernel/search.ts';

/** What the thread is to search for. The preimage's last 32 bytes are a random start of this thread's own. */
export interface MintOrder {
  ticket: number;
  preimage: Uint8Array;
  zeroBits: number;
}

export interface MintAnswer {
  ticket: number;
  value: Uint8Array;
}

/** Given to the thread when it starts. */
export interface MintThreadData {
  /** One 32-bit word: the ticket of the order that stands. */
  standing: SharedArrayBuffer;
  /** One 64-bit word: tries made so far. */
  tries: SharedArrayBuffer;
}

/** Short enough that a withdrawn order ends promptly, long enough that looking costs nothing. */
const SLICE_MS = 10;
/** The first slice, before the thread knows how fast it is. */
const FIRST_SLICE_TRIES = 4096;
const MAX_SLICE_TRIES = 2 ** 24;

const port = parentPort;
if (port === null) throw new TypeError('not started as a thread');
const data = workerData as MintThreadData;
const standing = new Int32Array(data.standing);
const triesMade = new BigInt64Array(data.tries);

port.on('message', (order: MintOrder) => {
  const value = search(order);
  if (value !== null) port.postMessage({ ticket: order.ticket, value } satisfies MintAnswer);
});

function search(order: MintOrder): Uint8Array | null {
  if (Atomics.load(standing, 0) !== order.ticket) return null;
  const run = new Search(order);
  let planned = FIRST_SLICE_TRIES;
  while (Atomics.load(standing, 0) === order.ticket) {
    const startMs = performance.now();
    const { value, tries } = run.run(planned);
    Atomics.add(triesMade, 0, BigInt(tries));
    if (value !== null) return value;
    planned = nextSlice(tries, performance.now() - startMs);
  }
  return null;
}

/** Tries for the next slice, at most twice the last so that one odd measurement does not make it long. */
function nextSlice(tries: number, tookMs: number): number {
  const fitting = tookMs > 0 ? (tries * SLICE_MS) / tookMs : Number.POSITIVE_INFINITY;
  return Math.max(2, Math.floor(Math.min(fitting, 2 * tries, MAX_SLICE_TRIES)));
}
