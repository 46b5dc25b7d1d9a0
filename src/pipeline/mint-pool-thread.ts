/**
 * One thread of the minter, seen from the main thread: started when it first gets work and again after a crash,
 * withdrawn from its work by a shared word, and keeping the process alive only while it works.
 */
import { Worker } from 'node:worker_threads';
import type { MintAnswer, MintOrder, MintThreadData } from './mint-thread.ts';

/** In the built library everything has another ending. */
const THREAD = new URL(import.meta.url.endsWith('.ts') ? './mint-thread.ts' : './mint-thread.js', import.meta.url);

export interface MintThreadOptions<Job> {
  onFound(job: Job, value: Uint8Array): void;
  /** The thread ended by itself. `job` is what it worked on; it is no longer at work when this is called. */
  onCrash(job: Job | null, cause: unknown): void;
}

export class MintThread<Job> {
  readonly #options: MintThreadOptions<Job>;
  readonly #data: MintThreadData = { standing: new SharedArrayBuffer(4), tries: new SharedArrayBuffer(8) };
  readonly #standing = new Int32Array(this.#data.standing);
  readonly #tries = new BigInt64Array(this.#data.tries);
  #worker: Worker | null = null;
  #ticket = 0;
  #job: Job | null = null;

  constructor(options: MintThreadOptions<Job>) {
    this.#options = options;
  }

  /** What the thread works on. */
  get job(): Job | null {
    return this.#job;
  }

  tries(): number {
    return Number(Atomics.load(this.#tries, 0));
  }

  /** Ends what the thread does and gives it something else, or nothing. */
  work(job: Job | null, order: Omit<MintOrder, 'ticket'> | null): void {
    this.#ticket = (this.#ticket + 1) | 0;
    Atomics.store(this.#standing, 0, this.#ticket);
    this.#job = job;
    if (job === null || order === null) {
      this.#worker?.unref();
      return;
    }
    this.#worker ??= this.#start();
    this.#worker.ref();
    this.#worker.postMessage({ ...order, ticket: this.#ticket } satisfies MintOrder);
  }

  async close(): Promise<void> {
    this.work(null, null);
    const worker = this.#worker;
    this.#worker = null;
    await worker?.terminate();
  }

  #start(): Worker {
    const workerData: MintThreadData = this.#data;
    // Whatever the main thread was started with, and its environment with its secrets, is no business of this one.
    const settings = { workerData, name: 'mint', execArgv: [], env: {} };
    const worker = new Worker(THREAD, settings);
    let cause: unknown = null;
    worker.on('message', (answer: MintAnswer) => this.#answered(answer));
    worker.on('error', (error) => {
      cause = error;
    });
    worker.on('exit', () => this.#ended(worker, cause));
    return worker;
  }

  /** An answer to an order withdrawn meanwhile is dropped. */
  #answered(answer: MintAnswer): void {
    if (this.#job !== null && answer.ticket === this.#ticket) this.#options.onFound(this.#job, answer.value);
  }

  #ended(worker: Worker, cause: unknown): void {
    if (worker !== this.#worker) return;
    const job = this.#job;
    this.#worker = null;
    this.#job = null;
    this.#options.onCrash(job, cause);
  }
}
