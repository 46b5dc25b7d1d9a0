/**
 * Feeds a target spoilt inputs until its time is over, and says what became of them. Input number n depends on the seed and
 * on what came before it, not on the clock: the same seed finds the same fault again.
 */
import { mutate } from './mutate.ts';
import { Random } from './random.ts';
import type { Target } from './target.ts';

export interface Finding {
  kind: 'error' | 'slow' | 'memory';
  /** What happened. */
  what: string;
  /** The number of the input. */
  input: number;
  /** The smallest input found that does the same. */
  minimised: Buffer;
}

export interface Outcome {
  name: string;
  runs: number;
  seconds: number;
  /** Inputs that were taken, not refused. */
  accepted: number;
  /** Different ends that inputs came to. */
  ends: number;
  slowestMs: number;
  peakMiB: number;
  finding: Finding | null;
}

export interface Limits {
  seed: number;
  /** Whichever comes first. */
  seconds: number;
  runs: number;
}

/** Inputs kept because they led somewhere new. */
const MAX_POOL = 2_000;
/** Of memory beside what the process had before the target: what it may hold while it works. */
const MAX_GROWTH_MIB = 700;
const CHECK_MEMORY_EVERY = 256;
const MIB = 1024 * 1024;

type Ran = { end: string; accepted: boolean; fault: string | null };

async function runOnce(target: Target, input: Buffer): Promise<Ran> {
  // A copy: what a decoder does to its input must not spoil the pool.
  const own = Buffer.from(input);
  try {
    return { end: await target.run(own), accepted: true, fault: null };
  } catch (error) {
    const code = target.refusal(error);
    if (code !== null) return { end: `refused ${code}`, accepted: false, fault: null };
    return { end: 'fault', accepted: false, fault: describe(error) };
  }
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return `threw ${String(error)}`;
  const place = error.stack?.split('\n').find((line) => line.includes('/src/'));
  return `${error.name}: ${error.message.slice(0, 200)}${place === undefined ? '' : ` ${place.trim()}`}`;
}

/** Processor time of the whole process: other programs on the machine do not count. */
async function timed<T>(work: () => Promise<T>): Promise<{ result: T; ms: number }> {
  const before = process.cpuUsage();
  const startedMs = performance.now();
  const result = await work();
  const wallMs = performance.now() - startedMs;
  const { user, system } = process.cpuUsage(before);
  return { result, ms: Math.min(wallMs, (user + system) / 1000) };
}

/** The least of some tries: a collection of garbage may fall into any one. */
async function leastMs(target: Target, input: Buffer): Promise<number> {
  let least = Number.POSITIVE_INFINITY;
  for (let tries = 0; tries < 3; tries++) {
    least = Math.min(least, (await timed(() => runOnce(target, input))).ms);
    if (least <= target.maxMs) break;
  }
  return least;
}

const usedMiB = (): number => {
  const { heapUsed, external } = process.memoryUsage();
  return (heapUsed + external) / MIB;
};

class Run {
  readonly #target: Target;
  readonly #limits: Limits;
  readonly #pool: Buffer[];
  readonly #ends = new Set<string>();
  readonly #startedMib = usedMiB();
  readonly #startedMs = performance.now();
  readonly outcome: Outcome;

  constructor(target: Target, limits: Limits) {
    this.#target = target;
    this.#limits = limits;
    this.#pool = target.corpus.map((input) => input.subarray(0, target.maxBytes));
    const numbers = { runs: 0, seconds: 0, accepted: 0, ends: 0, slowestMs: 0, peakMiB: 0 };
    this.outcome = { name: target.name, ...numbers, finding: null };
  }

  async all(): Promise<Outcome> {
    const { outcome } = this;
    for (let number = 0; number < this.#limits.runs && outcome.finding === null; number++) {
      outcome.seconds = (performance.now() - this.#startedMs) / 1000;
      if (outcome.seconds >= this.#limits.seconds) break;
      await this.#one(this.#input(number), number);
    }
    outcome.ends = this.#ends.size;
    return outcome;
  }

  /** The corpus as it is, then what is made from the pool. */
  #input(number: number): Buffer {
    const whole = this.#target.corpus[number];
    if (whole !== undefined) return whole.subarray(0, this.#target.maxBytes);
    const random = new Random(this.#limits.seed, this.#target.name, number);
    const base = random.pick(this.#pool);
    return mutate(base, random, { pool: this.#pool, words: this.#target.words }, this.#target.maxBytes);
  }

  async #one(input: Buffer, number: number): Promise<void> {
    const { outcome } = this;
    const { result, ms } = await timed(() => runOnce(this.#target, input));
    outcome.runs += 1;
    if (result.accepted) outcome.accepted += 1;
    if (!this.#ends.has(result.end)) this.#remember(result.end, input);
    if (ms > outcome.slowestMs) outcome.slowestMs = Math.min(ms, await leastMs(this.#target, input));
    const fault = result.fault ?? (await this.#bounds(input, ms, number));
    if (fault === null) return;
    const kind = result.fault !== null ? 'error' : fault.startsWith('took') ? 'slow' : 'memory';
    outcome.finding = { kind, what: fault, input: number, minimised: await this.#minimise(input, kind, fault) };
  }

  #remember(end: string, input: Buffer): void {
    this.#ends.add(end);
    if (this.#pool.length < MAX_POOL) this.#pool.push(input);
  }

  async #bounds(input: Buffer, ms: number, number: number): Promise<string | null> {
    if (ms > this.#target.maxMs) {
      const least = await leastMs(this.#target, input);
      if (least > this.#target.maxMs) return `took ${Math.round(least)} ms for ${input.length} bytes`;
    }
    if (number % CHECK_MEMORY_EVERY !== 0) return null;
    const grownMiB = usedMiB() - this.#startedMib;
    this.outcome.peakMiB = Math.max(this.outcome.peakMiB, grownMiB);
    return grownMiB > MAX_GROWTH_MIB ? `held ${Math.round(grownMiB)} MiB` : null;
  }

  /** Takes pieces away, larger ones first, while the same still happens. */
  async #minimise(input: Buffer, kind: Finding['kind'], fault: string): Promise<Buffer> {
    if (kind === 'memory') return input;
    const untilMs = performance.now() + 20_000;
    let smallest = input;
    for (let size = Math.ceil(smallest.length / 2); size >= 1; size = Math.floor(size / 2)) {
      for (let at = 0; at < smallest.length && performance.now() < untilMs; ) {
        const shorter = Buffer.concat([smallest.subarray(0, at), smallest.subarray(at + size)]);
        if (await this.#does(shorter, kind, fault)) smallest = shorter;
        else at += size;
      }
    }
    return smallest;
  }

  async #does(input: Buffer, kind: Finding['kind'], fault: string): Promise<boolean> {
    if (kind === 'slow') return (await leastMs(this.#target, input)) > this.#target.maxMs;
    return (await runOnce(this.#target, input)).fault === fault;
  }
}

export function fuzz(target: Target, limits: Limits): Promise<Outcome> {
  return new Run(target, limits).all();
}
