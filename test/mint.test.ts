/** Minting (SMIMP 0.1 §4.3): the kernel against libsodium's BLAKE2b, and the pool of threads under load and failure. */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Worker } from 'node:worker_threads';
import sodium from 'libsodium-wrappers';
import { afterEach, describe, expect, it } from 'vitest';
import { generateKernel, type KernelShape, shapeFor } from '../src/pipeline/mint-kernel/kernel.ts';
import { Search, VALUE_SIZE_BYTES } from '../src/pipeline/mint-kernel/search.ts';
import { createMinter, MAX_CRASHES_PER_JOB, MAX_ZERO_BITS, type MintErrorCode } from '../src/pipeline/minter.ts';

await sodium.ready;

const LONGEST_BYTES = 600;
/** More bits than any test waits for. */
const ENDLESS_BITS = 60;

/** `length` bytes that differ from place to place and from `seed` to `seed`. */
function bytes(length: number, seed = 1): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (i * 167 + seed * 59 + (i >> 3) * 13) & 0xff);
}

function withValue(preimage: Uint8Array, value: Uint8Array): Uint8Array {
  return Uint8Array.from([...preimage.subarray(0, -VALUE_SIZE_BYTES), ...value]);
}

/** Leading zero bits of the digest as text, by a library and a way of counting the minter does not use. */
function zeroBitsOf(preimage: Uint8Array): number {
  const digest = sodium.crypto_generichash(32, preimage, null);
  return [...digest]
    .map((byte) => byte.toString(2).padStart(8, '0'))
    .join('')
    .indexOf('1');
}

/** Far more than the tests' few bits need, so that a search that goes in circles fails instead of going on. */
const MAX_TRIES = 2 ** 21;

function find(search: Search): Uint8Array {
  const { value } = search.run(MAX_TRIES);
  if (value === null) throw new Error('nothing found');
  return value;
}

/** The first counting value, going up from the preimage's own, that fits: by brute force. */
function firstFit(preimage: Uint8Array, zeroBits: number): Uint8Array {
  const { counterWord } = shapeFor(preimage.length);
  const lastBlockStart = Math.floor((preimage.length - 1) / 128) * 128;
  const copy = Uint8Array.from(preimage);
  const view = new DataView(copy.buffer);
  const at = lastBlockStart + 8 * counterWord;
  while (zeroBitsOf(copy) < zeroBits) view.setBigUint64(at, view.getBigUint64(at, true) + 1n, true);
  return copy.slice(-VALUE_SIZE_BYTES);
}

describe('the kernel', () => {
  it('finds values that libsodium confirms, for every length of preimage', () => {
    for (let length = VALUE_SIZE_BYTES; length <= LONGEST_BYTES; length += 1) {
      const zeroBits = 4 + (length % 5);
      const preimage = bytes(length, length);
      const value = find(new Search({ preimage, zeroBits }));
      expect(value).toHaveLength(VALUE_SIZE_BYTES);
      expect(zeroBitsOf(withValue(preimage, value)), `length ${length}`).toBeGreaterThanOrEqual(zeroBits);
    }
  });

  it('misses no value: it stops at the first that fits', () => {
    for (const length of [32, 40, 47, 48, 127, 128, 136, 143, 170, 223, 256, 383, 384, 509, 600]) {
      for (const zeroBits of [1, 2, 7, 8, 9]) {
        const preimage = bytes(length, zeroBits);
        const value = find(new Search({ preimage, zeroBits }));
        expect(value, `length ${length}, ${zeroBits} bits`).toEqual(firstFit(preimage, zeroBits));
      }
    }
  });

  it('counts every try it makes', () => {
    const preimage = bytes(170);
    const first = new DataView(preimage.slice(138).buffer);
    const { value, tries } = new Search({ preimage, zeroBits: 9 }).run(100_000);
    const found = new DataView((value ?? new Uint8Array(VALUE_SIZE_BYTES)).slice().buffer);
    const offset = 128 + 8 * shapeFor(170).counterWord - 138;
    expect(tries).toBe(Number(found.getBigUint64(offset, true) - first.getBigUint64(offset, true)) + 1);
  });

  it.each([1, 2, 3, 4, 5, 6, 7])('goes on with %i bytes of the value in the last block', (lastBytes) => {
    const preimage = bytes(256 + lastBytes);
    const value = find(new Search({ preimage, zeroBits: 13 }));
    expect(zeroBitsOf(withValue(preimage, value))).toBeGreaterThanOrEqual(13);
  });

  it('steps the earlier bytes on when one byte of counter is used up', () => {
    const preimage = bytes(129, 3);
    preimage.fill(0xff, 97, 105);
    const search = new Search({ preimage, zeroBits: ENDLESS_BITS });
    expect(search.run(5 * 256)).toEqual({ value: null, tries: 5 * 256 });
    const value = find(new Search({ preimage, zeroBits: 14 }));
    expect(value.subarray(0, 8)).not.toEqual(preimage.subarray(97, 105));
    expect(value.subarray(8, 31)).toEqual(preimage.subarray(105, 128));
  });

  it('carries over the end of a whole counting word', () => {
    const preimage = bytes(170);
    preimage.fill(0xff, 160, 168);
    const value = find(new Search({ preimage, zeroBits: 8 }));
    expect(value).toEqual(firstFit(preimage, 8));
  });

  it.each([0, MAX_ZERO_BITS + 1, 1.5])('refuses %d bits', (zeroBits) => {
    expect(() => new Search({ preimage: bytes(170), zeroBits })).toThrow(RangeError);
  });

  it('looks at all bits up to the last it allows', () => {
    const search = new Search({ preimage: bytes(170), zeroBits: MAX_ZERO_BITS });
    expect(search.run(10_000)).toEqual({ value: null, tries: 10_000 });
  });

  it('refuses a preimage without room for a value', () => {
    expect(() => new Search({ preimage: bytes(VALUE_SIZE_BYTES - 1), zeroBits: 1 })).toThrow(RangeError);
  });

  it('is generated the same every time, and valid for every shape', () => {
    const shapes = Array.from({ length: 128 }, (_, i) => shapeFor(i + 1));
    const distinct = new Map(shapes.map((shape) => [JSON.stringify(shape), shape]));
    expect(distinct.size).toBe(31);
    const digest = (shape: KernelShape): string => createHash('sha256').update(generateKernel(shape)).digest('hex');
    for (const shape of distinct.values()) {
      expect(WebAssembly.validate(generateKernel(shape))).toBe(true);
      expect(digest(shape)).toBe(digest(shape));
    }
  });
});

describe('the pool', () => {
  const started: Worker[] = [];
  const watch = (worker: Worker): void => {
    started.push(worker);
  };
  process.on('worker', watch);
  afterEach(() => {
    started.length = 0;
  });

  /** The threads started in this test, once there are `count`. Node tells of them one tick late. */
  const threads = async (count: number): Promise<Worker[]> => {
    while (started.length < count) await once(process, 'worker');
    return started;
  };
  /** How many there are when nothing more is on its way. */
  const threadCount = async (): Promise<number> => {
    await nextTurn();
    return started.length;
  };

  /** Settles as the code of the MintError. */
  const codeOf = (minting: Promise<unknown>): Promise<MintErrorCode> =>
    minting.then(
      () => Promise.reject(new Error('minted')),
      (error) => error.code,
    );

  it('mints what libsodium confirms, whatever the length', async () => {
    await using minter = createMinter({ threads: 2 });
    const lengths = [32, 120, 128, 129, 135, 136, 223, 256, 257, 600];
    await Promise.all(
      lengths.map(async (length) => {
        const preimage = bytes(length);
        const value = await minter.mint({ preimage, zeroBits: 12 });
        expect(zeroBitsOf(withValue(preimage, value))).toBeGreaterThanOrEqual(12);
        expect(preimage).toEqual(bytes(length));
      }),
    );
    expect(minter.tries()).toBeGreaterThan(0);
  });

  it('asks no thread for 0 bits', async () => {
    await using minter = createMinter({ threads: 2 });
    const request = { preimage: bytes(170), zeroBits: 0 };
    const [one, other] = [await minter.mint(request), await minter.mint(request)];
    expect(one).toHaveLength(VALUE_SIZE_BYTES);
    expect(one).not.toEqual(other);
    expect(await threadCount()).toBe(0);
  });

  it('sets all threads on one job, and starts none before there is one', async () => {
    await using minter = createMinter({ threads: 3 });
    expect(await threadCount()).toBe(0);
    const stop = new AbortController();
    const minting = codeOf(minter.mint({ preimage: bytes(170), zeroBits: ENDLESS_BITS, signal: stop.signal }));
    expect(await threadCount()).toBe(3);
    stop.abort();
    expect(await minting).toBe('cancelled');
  });

  it('finishes a small job beside an endless one, also on a single thread', async () => {
    for (const threads of [1, 2]) {
      await using minter = createMinter({ threads });
      const endless = codeOf(minter.mint({ preimage: bytes(170), zeroBits: ENDLESS_BITS }));
      const small = [1, 2, 3].map((seed) => minter.mint({ preimage: bytes(223, seed), zeroBits: 10 }));
      for (const [i, value] of (await Promise.all(small)).entries()) {
        expect(zeroBitsOf(withValue(bytes(223, i + 1), value))).toBeGreaterThanOrEqual(10);
      }
      await minter[Symbol.asyncDispose]();
      expect(await endless).toBe('closed');
    }
  });

  it('stops a cancelled job and goes on with the next', async () => {
    await using minter = createMinter({ threads: 2 });
    const stop = new AbortController();
    const reason = new Error('no longer wanted');
    const minting = minter.mint({ preimage: bytes(170), zeroBits: ENDLESS_BITS, signal: stop.signal });
    stop.abort(reason);
    await expect(minting).rejects.toMatchObject({ name: 'MintError', code: 'cancelled', cause: reason });
    await minter.mint({ preimage: bytes(170), zeroBits: 8 });
    const late = minter.mint({ preimage: bytes(170), zeroBits: 8, signal: stop.signal });
    await expect(late).rejects.toMatchObject({ code: 'cancelled', cause: reason });
  });

  it('replaces a thread that ended and goes on with its job', async () => {
    await using minter = createMinter({ threads: 1 });
    const stop = new AbortController();
    const minting = codeOf(minter.mint({ preimage: bytes(170), zeroBits: ENDLESS_BITS, signal: stop.signal }));
    await (await threads(1))[0]?.terminate();
    expect(await threads(2)).toHaveLength(2);
    const other = minter.mint({ preimage: bytes(223), zeroBits: 10 });
    expect(zeroBitsOf(withValue(bytes(223), await other))).toBeGreaterThanOrEqual(10);
    stop.abort();
    expect(await minting).toBe('cancelled');
  });

  it('replaces a thread that ended while it had nothing to do', async () => {
    await using minter = createMinter({ threads: 1 });
    await minter.mint({ preimage: bytes(170), zeroBits: 4 });
    await (await threads(1))[0]?.terminate();
    expect(await threadCount()).toBe(1);
    await minter.mint({ preimage: bytes(170), zeroBits: 4 });
    expect(await threadCount()).toBe(2);
  });

  it('gives a job up when its threads end again and again', async () => {
    await using minter = createMinter({ threads: 1 });
    const minting = codeOf(minter.mint({ preimage: bytes(170), zeroBits: ENDLESS_BITS }));
    for (let crash = 1; crash <= MAX_CRASHES_PER_JOB; crash += 1) await (await threads(crash)).at(-1)?.terminate();
    expect(await minting).toBe('thread');
    expect(await threadCount()).toBe(MAX_CRASHES_PER_JOB);
  });

  it('believes no thread: a value that does not hold fails the job', async () => {
    await using minter = createMinter({ threads: 1 });
    const minting = codeOf(minter.mint({ preimage: bytes(170), zeroBits: ENDLESS_BITS }));
    const [thread] = await threads(1);
    thread?.emit('message', { ticket: 1, value: new Uint8Array(VALUE_SIZE_BYTES) });
    expect(await minting).toBe('wrong-value');
  });

  it('refuses what it cannot do', async () => {
    await using minter = createMinter({ threads: 1 });
    for (const zeroBits of [-1, 0.5, Number.NaN, MAX_ZERO_BITS + 1]) {
      expect(await codeOf(minter.mint({ preimage: bytes(170), zeroBits }))).toBe('zero-bits');
    }
    expect(await codeOf(minter.mint({ preimage: bytes(VALUE_SIZE_BYTES - 1), zeroBits: 1 }))).toBe('preimage');
    expect(() => createMinter({ threads: 0 })).toThrow(RangeError);
  });

  it('ends its threads and takes no more work once disposed', async () => {
    const minter = createMinter({ threads: 2 });
    const minting = codeOf(minter.mint({ preimage: bytes(170), zeroBits: ENDLESS_BITS }));
    const ends = (await threads(2)).map((worker) => once(worker, 'exit'));
    await minter[Symbol.asyncDispose]();
    expect(await minting).toBe('closed');
    await Promise.all(ends);
    expect(await codeOf(minter.mint({ preimage: bytes(170), zeroBits: 1 }))).toBe('closed');
  });
});
