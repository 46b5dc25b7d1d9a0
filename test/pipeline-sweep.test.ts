/** The queue may be lost whole: what is due stands in the rows, and the sweep gives it a job again. */
import { afterEach, beforeEach, expect, it } from 'vitest';
import { openQueue, type QueueSettings } from '../src/pipeline/queue.ts';
import { createSweep, KEEP_FINISHED_MS, type Sweep } from '../src/pipeline/sweep.ts';
import { startWorker } from '../src/pipeline/worker.ts';
import { findDelivery } from '../src/store/outbound.ts';
import { newDatabase } from './support/database.ts';
import { type HostileServer, type ServedUser, startHostileServer } from './support/hostile-server.ts';
import { type OutboundSite, outboundSite, TestClock } from './support/outbound-site.ts';

let clock: TestClock;
let corp: HostileServer;
let site: OutboundSite;
let bob: ServedUser;
let sweep: Sweep;
let settings: QueueSettings;
let owned: AsyncDisposableStack;
const errors: unknown[] = [];
const onError = (error: unknown): void => void errors.push(error);

beforeEach(async () => {
  owned = new AsyncDisposableStack();
  clock = new TestClock();
  corp = owned.use(await startHostileServer('corp.test', { zeroBits: 0, now: clock.seconds }));
  bob = corp.addUser('bob', clock.seconds());
  site = owned.use(await outboundSite([corp], clock));
  settings = { kind: 'postgres', connection: await newDatabase() };
  const queue = owned.use(await openQueue({ settings, onError }));
  const { db, listener } = site.opened;
  sweep = owned.use(createSweep({ db, listener, queue, clock: clock.read, onError }));
});
afterEach(async () => {
  await owned.disposeAsync();
  expect(errors.splice(0)).toEqual([]);
});

/** Works on the queue; resolves each time with the next delivery that was run. */
async function work(): Promise<{ next: () => Promise<number> }> {
  const ran: number[] = [];
  let wake: () => void = () => undefined;
  const run = async (id: number): Promise<void> => {
    await site.run(id);
    ran.push(id);
    wake();
  };
  owned.use(await startWorker({ settings, concurrency: 4, run, onError }));
  return {
    async next() {
      while (ran.length === 0) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      return ran.shift() as number;
    },
  };
}

const stageOf = async (id: number): Promise<string | undefined> => (await findDelivery(site.opened.db, id))?.stage;

it('gives a job to what has none, and to nothing that is over', async () => {
  const [first] = (await site.submit(bob.address)) as [number];
  expect(await sweep.runOnce()).toBe(1);
  const worker = await work();
  expect(await worker.next()).toBe(first);
  expect(await stageOf(first)).toBe('done');
  expect(await sweep.runOnce()).toBe(0);
});

it('gives a job to a retry when its time has come, and not before', async () => {
  corp.failOnce('send_message', 'unavailable');
  const [id] = (await site.submit(bob.address)) as [number];
  await site.run(id);
  expect(await sweep.runOnce()).toBe(0);
  const waiting = await findDelivery(site.opened.db, id);
  clock.moveTo(waiting?.next_attempt_at ?? clock.read());
  expect(await sweep.runOnce()).toBe(1);
  expect(await (await work()).next()).toBe(id);
  expect(await stageOf(id)).toBe('done');
});

it('begins with what an earlier process left', async () => {
  const ids = await site.submit(bob.address, corp.addUser('carol', clock.seconds()).address);
  const worker = await work();
  sweep.start();
  expect([await worker.next(), await worker.next()].sort()).toEqual([...ids].sort());
});

it('listens to the operator, who may sit in another process', async () => {
  corp.failOnce('send_message', 'unavailable');
  const [id] = (await site.submit(bob.address)) as [number];
  await site.run(id);
  const worker = await work();
  sweep.start();
  await site.operations.retry(id);
  expect(await worker.next()).toBe(id);
  expect(await stageOf(id)).toBe('done');
});

it('forgets what has long been over, and nothing else', async () => {
  const [done] = (await site.submit(bob.address)) as [number];
  await site.run(done);
  const [waiting] = (await site.submit(bob.address)) as [number];
  clock.advance(KEEP_FINISHED_MS);
  await sweep.runOnce();
  expect(await stageOf(done)).toBe('done');
  clock.advance(3_600_000);
  await sweep.runOnce();
  expect(await stageOf(done)).toBeUndefined();
  expect(await stageOf(waiting)).toBe('route');
});
