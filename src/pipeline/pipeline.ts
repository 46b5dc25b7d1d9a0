/**
 * The way of a message out of here: accept → route → seal → mint → deliver.
 *
 * A delivery is one row; its `stage` says what is to be done next, and the table below says by whom. Every stage may be
 * killed at any instruction: what it found out is written in one transaction, and only if nobody was faster (`version`).
 * Consecutive stages of a delivery run in one go while nothing waits. Truth is the row; the queue only says "look at it".
 *
 *   stage    | asks                              | leaves in the row        | on success | when it fails
 *   ---------|-----------------------------------|--------------------------|------------|-------------------------------
 *   route    | discovery, pins                   | base_url                 | seal       | retry · hold (identity) · fail
 *   seal     | session, message key, own history | sealed_envelope          | mint       | retry · hold (identity) · fail
 *   mint     | session, parameters, threads      | minted_envelope, session | deliver    | retry · hold (work) · fail
 *   deliver  | send_message                      | message_id               | done       | retry · back to seal or mint
 *   relay    | servers of a legacy domain (SMTP) |                          | done       | retry · fail
 *   held     | what it is held for, again        | as route, or mint        | as above   | held on, looked at now and then
 *
 * Mail that leaves a gateway for the old internet begins and ends with `relay` (outward.ts); all other mail begins with `route`.
 *
 * Retries end at the row's deadline. The sender is told by mail: once when it is late, once when it is held, and at the end
 * when it failed.
 */
import type { Events } from '../events.ts';
import type { Identity } from '../identity/resolve.ts';
import type { Keystore } from '../keystore/keystore.ts';
import { type LegacyPolicy, NO_LEGACY } from '../legacy/policy.ts';
import { ByteGate } from '../memory/byte-gate.ts';
import type { HomeClient } from '../remote/home.ts';
import type { Sessions } from '../remote/sessions.ts';
import type { Db, Listener } from '../store/database.ts';
import { type Accept, createAccept } from './accept.ts';
import { type AcceptLegacy, createAcceptLegacy, type TakesIn } from './accept-legacy.ts';
import { createTell, type Notices } from './bounce.ts';
import { createDeliver } from './deliver.ts';
import { createGatewayTell } from './gateway-reports.ts';
import { createMint } from './mint.ts';
import { createMinter, type Minter } from './minter.ts';
import type { DeliveryQueue, QueueSettings } from './queue.ts';
import { createQueueOperations, type QueueOperations } from './queue-operations.ts';
import { type CheckRecipient, createCheckRecipient } from './recipients.ts';
import { createRelay, type Gateway } from './relay.ts';
import { createHeld, createRoute } from './route.ts';
import { createRunner, type Runner, type StageTable } from './runner.ts';
import { createSeal } from './seal.ts';
import { createSweep } from './sweep.ts';

export interface PipelineLimits {
  /** Deliveries worked on at once. */
  concurrency: number;
  /** More zero bits than this need the operator's consent. */
  askOperatorAboveBits: number;
  /** A delivery that is not over by then is reported once. */
  delayNoticeAfterMs: number;
  /** Then it bounces. */
  giveUpAfterMs: number;
  /** Threads that mint. */
  mintThreads: number;
}

export interface PipelineOptions {
  db: Db;
  listener: Listener;
  queue: QueueSettings;
  keystore: Keystore;
  identity: Identity;
  home: HomeClient;
  sessions: Sessions;
  notices: Notices;
  /** Towards people of the old internet; absent: nothing leaves SMIMP. */
  policy?: LegacyPolicy;
  /** What this bridge is a gateway with; null or absent: it is none. */
  gateway?: (Gateway & TakesIn) | null;
  events: Events;
  clock: () => Date;
  limits: PipelineLimits;
}

export interface Pipeline extends AsyncDisposable {
  readonly accept: Accept;
  /** Of a gateway. */
  readonly acceptLegacy: AcceptLegacy | null;
  readonly checkRecipient: CheckRecipient;
  /** The address that a mailbox is written to under; null when it can be none. */
  readonly recipientOf: LegacyPolicy['recipientOf'];
  readonly operations: QueueOperations;
  readonly run: Runner['run'];
  /** Gives a job to what is due and has none. */
  sweep(): Promise<number>;
  /** Works on deliveries until disposed. */
  work(): Promise<void>;
}

/**
 * Bytes of messages that are worked on at once: one of the largest, or many small ones. A message passes through about eight
 * buffers of its size.
 */
const MAX_BYTES_AT_ONCE = 36 * 1024 * 1024;

function stageTable(options: PipelineOptions, minter: Minter): StageTable {
  const { askOperatorAboveBits } = options.limits;
  const route = createRoute({ ...options, policy: options.policy ?? NO_LEGACY });
  const seal = createSeal({ ...options, gatewayDomain: options.gateway?.domain ?? null });
  const mint = createMint({ ...options, minter, askOperatorAboveBits });
  const deliver = createDeliver(options);
  const relay = createRelay({ ...options, gateway: options.gateway ?? null });
  return { route, seal, mint, deliver, relay, held: createHeld({ route, mint, relay }) };
}

/** Loads and opens the queue when it is first needed: a process that only looks at rows never does. */
export function createPipeline(options: PipelineOptions): Pipeline {
  const { db, listener, events, clock, limits, gateway = null, keystore, policy = NO_LEGACY } = options;
  const { giveUpAfterMs } = limits;
  const gatewayTell = gateway === null ? null : createGatewayTell({ ...gateway, keystore, giveUpAfterMs });
  const onError = (error: unknown): void => events.unexpected('queue', error);
  const minter = createMinter({ threads: limits.mintThreads });
  const gate = new ByteGate(MAX_BYTES_AT_ONCE);
  const stages = stageTable(options, minter);
  const runner = createRunner({
    ...options,
    stages,
    tell: createTell({ ...options, gatewayTell }),
    times: limits,
    gate,
  });
  const owned = new AsyncDisposableStack();
  owned.use(minter);

  let opening: Promise<DeliveryQueue> | null = null;
  const queue = (): Promise<DeliveryQueue> => {
    opening ??= import('./queue.ts')
      .then(({ openQueue }) => openQueue({ settings: options.queue, onError }))
      .then((opened) => keepOpen(owned, opened))
      .catch((error: unknown) => {
        opening = null;
        throw error;
      });
    return opening;
  };
  /** What is not enqueued because everything is being closed, the next process sweeps up. */
  const enqueue = async (deliveryIds: readonly number[]): Promise<void> => {
    try {
      await (await queue()).add(deliveryIds);
    } catch (error) {
      if (!(error instanceof QueueClosed)) throw error;
    }
  };

  const accepting = { ...options, gate, enqueue, giveUpAfterMs: limits.giveUpAfterMs };

  return {
    run: runner.run,
    checkRecipient: createCheckRecipient({ ...options, policy }),
    recipientOf: policy.recipientOf,
    operations: createQueueOperations(options),
    accept: createAccept(accepting),
    acceptLegacy: gateway === null ? null : createAcceptLegacy({ ...accepting, gateway }),
    async sweep() {
      return createSweep({ db, listener, queue: await queue(), clock, onError }).runOnce();
    },
    async work() {
      const { concurrency } = limits;
      const opened = await queue();
      const { startWorker } = await import('./worker.ts');
      owned.use(await startWorker({ settings: options.queue, concurrency, run: runner.run, onError }));
      owned.use(createSweep({ db, listener, queue: opened, clock, onError })).start();
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** A queue that opened while everything was being closed is closed as well. */
async function keepOpen(owned: AsyncDisposableStack, opened: DeliveryQueue): Promise<DeliveryQueue> {
  if (!owned.disposed) return owned.use(opened);
  await opened[Symbol.asyncDispose]();
  throw new QueueClosed();
}

class QueueClosed extends Error {
  override readonly name = 'QueueClosed';
}
