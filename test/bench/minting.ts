/**
 * Minting speed: the minter on one thread and on all, against plain loops over libsodium. Run it alone with
 * `node test/bench/minting.ts`. The candidates take turns in several rounds, so that a change in the machine's load
 * meets them all, and the median of the rounds counts.
 */
import { availableParallelism } from 'node:os';
import wrappers from 'libsodium-wrappers';
import native from 'sodium-native';
import { measureHashesPerSecond } from '../../src/pipeline/mint-speed.ts';

export interface MintingRow {
  name: string;
  hashesPerSecond: number;
  /** Against the plain loop over libsodium-wrappers. */
  ratio: number;
}

/** A proof's usual size: two blocks of BLAKE2b, of which only the end of the second varies. */
const PREIMAGE_SIZE_BYTES = 170;
const ROUNDS = 7;
const ROUND_MS = 500;
const BATCH = 2000;

type Candidate = { name: string; hashesPerSecond: () => Promise<number> };

const preimage = new Uint8Array(PREIMAGE_SIZE_BYTES).fill(7);

/** Rows for one thread, all threads, and the peers; the peer everything is compared with comes last. */
export async function benchMinting(): Promise<MintingRow[]> {
  await wrappers.ready;
  const out = Buffer.alloc(32);
  const threads = availableParallelism();
  const candidates: Candidate[] = [
    minted(1),
    ...(threads > 1 ? [minted(threads)] : []),
    looped('sodium-native, loop, one thread', (bytes) => native.crypto_generichash(out, bytes)),
    looped('libsodium-wrappers, loop, one thread', (bytes) => wrappers.crypto_generichash(32, bytes, null)),
  ];
  const measured = candidates.map(({ name, hashesPerSecond }) => ({ name, hashesPerSecond, rates: [] as number[] }));
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const { hashesPerSecond, rates } of measured) rates.push(await hashesPerSecond());
  }
  const peer = median(measured.at(-1)?.rates ?? []);
  return measured.map(({ name, rates }) => ({
    name,
    hashesPerSecond: Math.round(median(rates)),
    ratio: median(rates) / peer,
  }));
}

/** The minter as the pipeline uses it. */
function minted(threads: number): Candidate {
  const hashesPerSecond = (): Promise<number> => measureHashesPerSecond({ threads, forMs: ROUND_MS });
  return { name: `smimp-bridge, ${threads === 1 ? 'one thread' : `${threads} threads`}`, hashesPerSecond };
}

function looped(name: string, hashOnce: (bytes: Uint8Array) => void): Candidate {
  const bytes = Uint8Array.from(preimage);
  const counter = new DataView(bytes.buffer);
  const hashesPerSecond = async (): Promise<number> => {
    const startMs = performance.now();
    let made = 0;
    while (performance.now() - startMs < ROUND_MS) {
      for (let i = 0; i < BATCH; i += 1) {
        counter.setUint32(PREIMAGE_SIZE_BYTES - 32, made + i, true);
        hashOnce(bytes);
      }
      made += BATCH;
    }
    return (made * 1000) / (performance.now() - startMs);
  };
  return { name, hashesPerSecond };
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

if (import.meta.main) {
  for (const { name, hashesPerSecond, ratio } of await benchMinting()) {
    const rate = `${(hashesPerSecond / 1e6).toFixed(2)} Mh/s`;
    process.stdout.write(`${name.padEnd(40)} ${rate.padStart(12)} ${ratio.toFixed(2).padStart(7)} ×\n`);
  }
}
