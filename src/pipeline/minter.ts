/**
 * Mints proofs of work (SMIMP 0.1 §4.3) on threads, never on the event loop.
 *
 * All threads work whenever there is work: one job gets them all, several share them, and when they cannot be shared
 * evenly the jobs take turns. Since a search remembers nothing of what it tried, moving a thread to another job costs
 * nothing. Invariants: a value is hashed again here before it leaves; a job ends exactly once; no thread works for a
 * job that has ended.
 */
import { hash, randomBytes } from '../smimp/crypto.ts';
import { leadingZeroBits } from '../smimp/pow.ts';
import { MintError } from './mint-error.ts';
import { MAX_ZERO_BITS, VALUE_SIZE_BYTES } from './mint-kernel/search.ts';
import { MintThread } from './mint-pool-thread.ts';

export { MintError, type MintErrorCode } from './mint-error.ts';
export { MAX_ZERO_BITS } from './mint-kernel/search.ts';

/** How long a job keeps its threads before the next one has its turn; only when they cannot be shared evenly. */
const TURN_MS = 100;
/** A job whose threads crash this often is given up: it, or the machine, is at fault. */
export const MAX_CRASHES_PER_JOB = 3;

export interface MintRequest {
  /** The bytes to hash; the last 32 are the value's place, their content does not matter. */
  preimage: Uint8Array;
  /** Zero bits asked of the digest, 0 to 64. */
  zeroBits: number;
  signal?: AbortSignal | undefined;
}

export interface Minter extends AsyncDisposable {
  /** The 32 bytes of a value whose digest has at least the bits asked. Throws MintError. */
  mint(request: MintRequest): Promise<Uint8Array>;
  /** Tries made so far by all threads, as of their last slice. */
  tries(): number;
}

interface Job {
  preimage: Uint8Array;
  zeroBits: number;
  crashes: number;
  /** Ends the job; further calls do nothing. */
  end(outcome: Uint8Array | MintError): void;
}

/** `threads`: at most so many at once, at least 1. They start when first needed. */
export function createMinter(options: { threads: number }): Minter {
  return new ThreadedMinter(options.threads);
}

class ThreadedMinter implements Minter {
  readonly #threads: MintThread<Job>[];
  /** In the order of their turns. */
  #jobs: Job[] = [];
  #turns: NodeJS.Timeout | null = null;
  #closed = false;

  constructor(threads: number) {
    if (!Number.isInteger(threads) || threads < 1) throw new RangeError('threads must be a natural number');
    const onFound = (job: Job, value: Uint8Array): void => this.#check(job, value);
    const onCrash = (job: Job | null, cause: unknown): void => this.#crashed(job, cause);
    this.#threads = Array.from({ length: threads }, () => new MintThread<Job>({ onFound, onCrash }));
  }

  async mint(request: MintRequest): Promise<Uint8Array> {
    const { zeroBits, signal } = request;
    if (this.#closed) throw new MintError('closed');
    if (!Number.isInteger(zeroBits) || zeroBits < 0 || zeroBits > MAX_ZERO_BITS) throw new MintError('zero-bits');
    if (request.preimage.length < VALUE_SIZE_BYTES) throw new MintError('preimage');
    if (signal?.aborted) throw new MintError('cancelled', { cause: signal.reason });
    if (zeroBits === 0) return randomBytes(VALUE_SIZE_BYTES);
    return this.#work(Uint8Array.from(request.preimage), zeroBits, signal);
  }

  tries(): number {
    return this.#threads.reduce((sum, thread) => sum + thread.tries(), 0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    for (const job of [...this.#jobs]) job.end(new MintError('closed'));
    await Promise.all(this.#threads.map((thread) => thread.close()));
  }

  #work(preimage: Uint8Array, zeroBits: number, signal: AbortSignal | undefined): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      const cancel = (): void => job.end(new MintError('cancelled', { cause: signal?.reason }));
      const end = (outcome: Uint8Array | MintError): void => {
        if (!this.#remove(job)) return;
        signal?.removeEventListener('abort', cancel);
        if (outcome instanceof MintError) reject(outcome);
        else resolve(outcome);
      };
      const job: Job = { preimage, zeroBits, crashes: 0, end };
      signal?.addEventListener('abort', cancel, { once: true });
      this.#jobs.push(job);
      this.#share();
    });
  }

  #remove(job: Job): boolean {
    const index = this.#jobs.indexOf(job);
    if (index < 0) return false;
    this.#jobs.splice(index, 1);
    this.#share();
    return true;
  }

  /** The kernel is not trusted with the answer: one wrong value means it cannot be relied on. */
  #check(job: Job, value: Uint8Array): void {
    job.preimage.set(value, job.preimage.length - VALUE_SIZE_BYTES);
    const isRight = value.length === VALUE_SIZE_BYTES && leadingZeroBits(hash(job.preimage)) >= job.zeroBits;
    job.end(isRight ? value : new MintError('wrong-value'));
  }

  #crashed(job: Job | null, cause: unknown): void {
    if (job !== null) job.crashes += 1;
    if (job !== null && job.crashes >= MAX_CRASHES_PER_JOB) job.end(new MintError('thread', { cause }));
    else this.#share();
  }

  /** Gives every thread the job that is due to it: first takes back what is too much, then hands out. */
  #share(): void {
    const due = this.#closed ? new Map<Job, number>() : shares(this.#jobs, this.#threads.length);
    const idle = this.#threads.filter((thread) => {
      const left = thread.job === null ? 0 : (due.get(thread.job) ?? 0);
      if (thread.job !== null && left > 0) due.set(thread.job, left - 1);
      return left === 0;
    });
    const wanted = [...due].flatMap(([job, count]) => Array.from({ length: count }, () => job));
    idle.forEach((thread, i) => {
      const job = wanted[i] ?? null;
      thread.work(job, job && { preimage: withRandomValue(job.preimage), zeroBits: job.zeroBits });
    });
    this.#keepTurns();
  }

  #keepTurns(): void {
    const uneven = this.#threads.length % this.#jobs.length > 0;
    if (uneven) this.#turns ??= setInterval(() => this.#nextTurn(), TURN_MS);
    else if (this.#turns !== null) {
      clearInterval(this.#turns);
      this.#turns = null;
    }
  }

  /** Those who had more than the others go to the end. */
  #nextTurn(): void {
    const favoured = this.#threads.length % this.#jobs.length;
    this.#jobs = [...this.#jobs.slice(favoured), ...this.#jobs.slice(0, favoured)];
    this.#share();
  }
}

/** How many of `threads` each job gets: as even as can be, the first jobs one more than the last. */
function shares(jobs: readonly Job[], threads: number): Map<Job, number> {
  const each = Math.floor(threads / jobs.length);
  const rest = threads % jobs.length;
  return new Map(jobs.map((job, i) => [job, each + (i < rest ? 1 : 0)]));
}

/** Every thread starts somewhere else. */
function withRandomValue(preimage: Uint8Array): Uint8Array {
  const own = Uint8Array.from(preimage);
  own.set(randomBytes(VALUE_SIZE_BYTES), own.length - VALUE_SIZE_BYTES);
  return own;
}
