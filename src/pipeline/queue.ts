/**
 * The queue of deliveries to work on: BullMQ on PostgreSQL, or on Redis when one is configured.
 *
 * A job is a delivery's id and nothing else, and it is never the truth: what is due stands in the row, and a job that is
 * lost is made again by the sweep. A delivery has at most one job, by its job id; a finished job leaves nothing behind, so
 * that the delivery can have another. Nothing is delayed in the queue: what is not due yet has no job.
 */
import { createPostgresBackend, type PostgresPoolConfig, Queue, withBackend } from 'bullmq';
import { Redis } from 'ioredis';
import type { OpenedDatabase } from '../store/database.ts';

/** Where the queue lives. `schema` and `prefix` are namespaces, so that several bridges may share one server. */
export type QueueSettings =
  | { kind: 'postgres'; connection: OpenedDatabase['connection']; schema?: string }
  | { kind: 'redis'; url: string; prefix?: string };

export interface DeliveryJob {
  deliveryId: number;
}

export interface DeliveryQueue extends AsyncDisposable {
  /** One job for each delivery that has none. */
  add(deliveryIds: readonly number[]): Promise<void>;
  /** Takes out what nobody works on yet. */
  remove(deliveryId: number): Promise<void>;
  /** Empties the queue, as if it had been lost. */
  clear(): Promise<void>;
}

export const QUEUE_NAME = 'delivery';
const POSTGRES_SCHEMA = 'bullmq';
const REDIS_PREFIX = 'smimp-bridge';
/** Adding and taking jobs are short queries; a few connections do. */
const POSTGRES_POOL_SIZE = 4;
/** A lost job comes back by the sweep, so BullMQ itself never retries and keeps nothing. */
const JOB_OPTIONS = { attempts: 1, removeOnComplete: true, removeOnFail: true } as const;

export const PostgresClasses = withBackend(createPostgresBackend);

export function postgresConnection(settings: Extract<QueueSettings, { kind: 'postgres' }>): PostgresPoolConfig {
  const { connection, schema = POSTGRES_SCHEMA } = settings;
  return { ...connection, max: POSTGRES_POOL_SIZE, schema, migrate: true } as PostgresPoolConfig;
}

/** `waits`: commands wait for a lost connection to come back, as a worker must; otherwise they fail at once. */
export function redisConnection(
  settings: Extract<QueueSettings, { kind: 'redis' }>,
  options: { waits: boolean; onError: (error: Error) => void },
): { client: Redis; prefix: string } {
  const retries = options.waits ? null : 0;
  const client = new Redis(settings.url, { maxRetriesPerRequest: retries, enableOfflineQueue: true });
  client.on('error', options.onError);
  return { client, prefix: settings.prefix ?? REDIS_PREFIX };
}

/** The side that adds jobs. Owns its connections. */
export async function openQueue(options: {
  settings: QueueSettings;
  onError: (error: Error) => void;
}): Promise<DeliveryQueue> {
  const { settings, onError } = options;
  if (settings.kind === 'postgres') {
    const connection = postgresConnection(settings);
    const queue = new PostgresClasses.Queue<DeliveryJob>(QUEUE_NAME, { connection });
    queue.on('error', onError);
    await queue.waitUntilReady();
    return wrap(queue, async () => undefined);
  }
  const { client, prefix } = redisConnection(settings, { waits: false, onError });
  const queue = new Queue<DeliveryJob>(QUEUE_NAME, { connection: client, prefix });
  queue.on('error', onError);
  await queue.waitUntilReady();
  return wrap(queue, async () => client.disconnect());
}

const jobId = (deliveryId: number): string => `d${deliveryId}`;

interface BackedQueue {
  addBulk(jobs: { name: string; data: DeliveryJob; opts: { jobId: string } }[]): Promise<unknown>;
  remove(jobId: string): Promise<unknown>;
  obliterate(options: { force: boolean }): Promise<void>;
  close(): Promise<void>;
}

function wrap(queue: BackedQueue, disconnect: () => Promise<void>): DeliveryQueue {
  return {
    async add(deliveryIds) {
      if (deliveryIds.length === 0) return;
      const jobs = deliveryIds.map((deliveryId) => ({
        name: QUEUE_NAME,
        data: { deliveryId },
        opts: { ...JOB_OPTIONS, jobId: jobId(deliveryId) },
      }));
      await queue.addBulk(jobs);
    },
    remove: async (deliveryId) => void (await queue.remove(jobId(deliveryId))),
    clear: () => queue.obliterate({ force: true }),
    async [Symbol.asyncDispose]() {
      await queue.close();
      await disconnect();
    },
  };
}
