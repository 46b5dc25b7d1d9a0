/** How fast this machine mints. */
import { performance } from 'node:perf_hooks';
import { setTimeout as wait } from 'node:timers/promises';
import { createMinter, MAX_ZERO_BITS, MintError } from './minter.ts';

/** A proof's usual size: two blocks of BLAKE2b, of which only the end of the second varies. */
const PREIMAGE_SIZE_BYTES = 170;
/** Time for threads to start and for their code to be optimised. */
const WARM_UP_MS = 400;

/** Hashes a second on so many threads, measured for `forMs` on work that does not end. */
export async function measureHashesPerSecond(options: { threads: number; forMs: number }): Promise<number> {
  await using minter = createMinter({ threads: options.threads });
  const stop = new AbortController();
  const preimage = new Uint8Array(PREIMAGE_SIZE_BYTES).fill(7);
  const stopped = minter.mint({ preimage, zeroBits: MAX_ZERO_BITS, signal: stop.signal }).then(
    () => null,
    (error: unknown) => error,
  );
  await wait(WARM_UP_MS);
  const [startMs, startTries] = [performance.now(), minter.tries()];
  await wait(options.forMs);
  const rate = ((minter.tries() - startTries) * 1_000) / (performance.now() - startMs);
  stop.abort();
  const end = await stopped;
  if (!(end instanceof MintError && end.code === 'cancelled')) throw end ?? new Error('a proof of 64 bits was found');
  return rate;
}
