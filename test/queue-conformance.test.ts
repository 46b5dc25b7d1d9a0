/** What the pipeline asks of its queue, the same on every backend. */
import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type DeliveryQueue, openQueue, type QueueSettings } from '../src/pipeline/queue.ts';
import { startWorker } from '../src/pipeline/worker.ts';
import { newDatabase } from './support/database.ts';
import { redisAvailable, startRedis, type TestRedis } from './support/redis.ts';

const HAS_REDIS = await redisAvailable();
let redis: TestRedis | null = null;

beforeAll(async () => {
  if (HAS_REDIS) redis = await startRedis();
});
afterAll(() => redis?.[Symbol.asyncDispose]());

const BACKENDS: { name: string; available: boolean; settings: () => Promise<QueueSettings> }[] = [
  {
    name: 'PostgreSQL',
    available: true,
    settings: async () => ({ kind: 'postgres', connection: await newDatabase() }),
  },
  {
    name: 'Redis',
    available: HAS_REDIS,
    settings: async () => ({ kind: 'redis', url: redis?.url ?? '', prefix: `test-${randomUUID()}` }),
  },
];

for (const backend of BACKENDS) {
  describe.skipIf(!backend.available)(`the queue on ${backend.name}`, () => {
    const open: AsyncDisposable[] = [];
    const errors: Error[] = [];
    const onError = (error: Error): void => void errors.push(error);

    afterEach(async () => {
      for (const owner of open.reverse()) await owner[Symbol.asyncDispose]();
      open.length = 0;
      expect(errors.splice(0)).toEqual([]);
    });

    async function newQueue(settings: QueueSettings): Promise<DeliveryQueue> {
      const queue = await openQueue({ settings, onError });
      open.push(queue);
      return queue;
    }

    async function newWorker(
      settings: QueueSettings,
      run: (id: number, signal: AbortSignal) => Promise<void>,
      concurrency = 4,
    ): Promise<AsyncDisposable> {
      const worker = await startWorker({ settings, concurrency, run, onError });
      open.push(worker);
      return worker;
    }

    it('runs what was added before and after the worker came', async () => {
      const settings = await backend.settings();
      const queue = await newQueue(settings);
      const ran = new Arrivals();
      await queue.add([1, 2]);
      await newWorker(settings, ran.run);
      await ran.reach(2);
      await queue.add([3]);
      await ran.reach(3);
      expect(ran.ids.sort()).toEqual([1, 2, 3]);
    });

    it('keeps one job for a delivery, however often it is added', async () => {
      const settings = await backend.settings();
      const queue = await newQueue(settings);
      const ran = new Arrivals();
      await queue.add([7, 7]);
      await queue.add([7]);
      await queue.add([8]);
      await newWorker(settings, ran.run, 1);
      await ran.reach(2);
      expect(ran.ids).toEqual([7, 8]);
    });

    it('takes no second job while the first one runs, and one again after it ended', async () => {
      const settings = await backend.settings();
      const queue = await newQueue(settings);
      const ran = new Arrivals();
      ran.hold();
      await newWorker(settings, ran.run);
      await queue.add([5]);
      await ran.reach(1);
      await queue.add([5]);
      await queue.add([6]);
      await ran.reach(2);
      ran.letGo();
      await untilAdded(queue, 5, ran, 3);
      expect(ran.ids).toEqual([5, 6, 5]);
    });

    it('runs a delivery again after its run threw', async () => {
      const settings = await backend.settings();
      const queue = await newQueue(settings);
      const ran = new Arrivals();
      let failures = 0;
      await newWorker(settings, async (id) => {
        if (failures === 0) {
          failures += 1;
          throw new Error('once');
        }
        await ran.run(id);
      });
      await queue.add([9]);
      await untilAdded(queue, 9, ran, 1);
      // The queue reports a failure when it has written it down, which may be after the next run.
      await expect.poll(() => errors.map(({ message }) => message)).toEqual(['once']);
      errors.length = 0;
    });

    it('forgets everything when it is cleared, and goes on', async () => {
      const settings = await backend.settings();
      const queue = await newQueue(settings);
      const ran = new Arrivals();
      await queue.add([1, 2, 3]);
      await queue.clear();
      await newWorker(settings, ran.run);
      await queue.add([4]);
      await ran.reach(1);
      expect(ran.ids).toEqual([4]);
    });

    it('takes out a job that nobody works on', async () => {
      const settings = await backend.settings();
      const queue = await newQueue(settings);
      const ran = new Arrivals();
      await queue.add([1, 2]);
      await queue.remove(1);
      await queue.remove(99);
      await newWorker(settings, ran.run);
      await ran.reach(1);
      expect(ran.ids).toEqual([2]);
    });

    it('aborts what runs when the worker ends', async () => {
      const settings = await backend.settings();
      const queue = await newQueue(settings);
      const started = Promise.withResolvers<void>();
      let aborted = false;
      const worker = await newWorker(settings, async (_id, signal) => {
        started.resolve();
        await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
        aborted = true;
      });
      await queue.add([1]);
      await started.promise;
      await worker[Symbol.asyncDispose]();
      open.splice(open.indexOf(worker), 1);
      expect(aborted).toBe(true);
    });

    it('shares the work between two workers without running anything twice', async () => {
      const settings = await backend.settings();
      const queue = await newQueue(settings);
      const ran = new Arrivals();
      await newWorker(settings, ran.run);
      await newWorker(settings, ran.run);
      const ids = Array.from({ length: 100 }, (_, i) => i + 1);
      await queue.add(ids);
      await ran.reach(100);
      expect([...ran.ids].sort((a, b) => a - b)).toEqual(ids);
    });
  });
}

/** Counts runs, and can be waited for. */
class Arrivals {
  readonly ids: number[] = [];
  #waiting: { count: number; resolve: () => void }[] = [];
  #held = Promise.resolve();
  letGo: () => void = () => undefined;

  hold(): void {
    this.#held = new Promise((resolve) => {
      this.letGo = resolve;
    });
  }

  run = async (id: number): Promise<void> => {
    this.ids.push(id);
    for (const { count, resolve } of this.#waiting) if (this.ids.length >= count) resolve();
    await this.#held;
  };

  async reach(count: number): Promise<void> {
    if (this.ids.length >= count) return;
    await new Promise<void>((resolve) => this.#waiting.push({ count, resolve }));
  }
}

/** Adds until the job runs: a job that has just ended may still be in the queue for an instant. */
async function untilAdded(queue: DeliveryQueue, id: number, ran: Arrivals, count: number): Promise<void> {
  const arrived = ran.reach(count);
  let isDone = false;
  void arrived.then(() => {
    isDone = true;
  });
  while (!isDone) {
    await queue.add([id]);
    await Promise.race([arrived, new Promise<void>((resolve) => setImmediate(resolve))]);
  }
}
