/**
 * Gives a job to every delivery that is due and has none: after a retry's delay, after a crash, after the queue was lost.
 * Adding a job twice does nothing, so any number of processes may sweep.
 */
import type { Db, Listener } from '../store/database.ts';
import { dueDeliveries } from '../store/outbound.ts';
import { forgetFinishedSubmissions } from '../store/submissions.ts';
import type { DeliveryQueue } from './queue.ts';

/** Shorter than the first retry's delay, so that no retry is late by much. */
export const SWEEP_INTERVAL_MS = 1_000;
/** At most so many at once; the next sweep finds the rest. */
export const MAX_SWEPT = 1_000;
/** What has ended is shown this long by `queue list`, then forgotten. */
export const KEEP_FINISHED_MS = 30 * 86_400_000;
const FORGET_INTERVAL_MS = 3_600_000;

export interface Sweep extends AsyncDisposable {
  /** Adds what is due to the queue; resolves with how many deliveries that are. */
  runOnce(): Promise<number>;
  /** Sweeps at once, then at intervals, and when another process says that a delivery is ready. */
  start(): void;
}

export function createSweep(options: {
  db: Db;
  listener: Listener;
  queue: DeliveryQueue;
  clock: () => Date;
  onError: (error: unknown) => void;
}): Sweep {
  const { db, listener, queue, clock, onError } = options;
  const underWay = new Set<Promise<unknown>>();
  let forgotAt = 0;
  let timer: NodeJS.Timeout | null = null;

  const runOnce = async (): Promise<number> => {
    const now = clock();
    const due = await dueDeliveries(db, now, MAX_SWEPT);
    await queue.add(due);
    if (now.getTime() - forgotAt >= FORGET_INTERVAL_MS) {
      forgotAt = now.getTime();
      await forgetFinishedSubmissions(db, new Date(now.getTime() - KEEP_FINISHED_MS));
    }
    return due.length;
  };
  const track = (work: Promise<unknown>): void => {
    const settled = work.catch(onError).finally(() => underWay.delete(settled));
    underWay.add(settled);
  };
  const sweep = (): void => {
    if (underWay.size === 0) track(runOnce());
  };
  const ready = (payload: string): void => track(queue.add([Number(payload)]));

  return {
    runOnce,
    start() {
      sweep();
      timer = setInterval(sweep, SWEEP_INTERVAL_MS);
      listener.on('delivery_ready', ready);
      listener.on('reconnected', sweep);
    },
    async [Symbol.asyncDispose]() {
      if (timer !== null) clearInterval(timer);
      listener.off('delivery_ready', ready);
      listener.off('reconnected', sweep);
      await Promise.all(underWay);
    },
  };
}
