/**
 * Takes delivery jobs from the queue and runs them, several at once. A job that a killed process held is taken by another
 * after `LOCK_MS`; running a delivery twice does no harm (store/outbound.ts).
 */
import { Worker } from 'bullmq';
import {
  type DeliveryJob,
  PostgresClasses,
  postgresConnection,
  QUEUE_NAME,
  type QueueSettings,
  redisConnection,
} from './queue.ts';

/** How long a silent worker keeps a job. It renews at half of it; sealing 25 MB stops the event loop for about a second. */
const LOCK_MS = 6_000;
const STALLED_CHECK_MS = 3_000;
/** A job may be found abandoned this often; then it is dropped, and the sweep makes another. */
const MAX_STALLED = 3;

/** Works until disposed. Disposing aborts what runs and waits for it. */
export async function startWorker(options: {
  settings: QueueSettings;
  concurrency: number;
  run: (deliveryId: number, signal: AbortSignal) => Promise<void>;
  onError: (error: Error) => void;
}): Promise<AsyncDisposable> {
  const { settings, concurrency, onError } = options;
  const ending = new AbortController();
  const work = async (job: { data: DeliveryJob }): Promise<void> => options.run(job.data.deliveryId, ending.signal);
  const common = {
    concurrency,
    lockDuration: LOCK_MS,
    stalledInterval: STALLED_CHECK_MS,
    maxStalledCount: MAX_STALLED,
  };
  const { worker, disconnect } = open(settings, common, work, onError);
  await worker.waitUntilReady();
  return {
    async [Symbol.asyncDispose]() {
      ending.abort();
      await worker.close();
      disconnect();
    },
  };
}

interface CommonOptions {
  concurrency: number;
  lockDuration: number;
  stalledInterval: number;
  maxStalledCount: number;
}

interface OpenWorker {
  worker: { waitUntilReady(): Promise<void>; close(): Promise<void> };
  disconnect: () => void;
}

function open(
  settings: QueueSettings,
  common: CommonOptions,
  work: (job: { data: DeliveryJob }) => Promise<void>,
  onError: (error: Error) => void,
): OpenWorker {
  if (settings.kind === 'postgres') {
    const connection = postgresConnection(settings);
    const worker = new PostgresClasses.Worker<DeliveryJob>(QUEUE_NAME, work, { ...common, connection });
    worker.on('error', onError);
    worker.on('failed', (_job, error) => onError(error));
    return { worker, disconnect: () => undefined };
  }
  const { client, prefix } = redisConnection(settings, { waits: true, onError });
  const worker = new Worker<DeliveryJob>(QUEUE_NAME, work, { ...common, connection: client, prefix });
  worker.on('error', onError);
  worker.on('failed', (_job, error) => onError(error));
  return { worker, disconnect: () => client.disconnect() };
}
