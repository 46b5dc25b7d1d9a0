/** What an operator may see and do of deliveries. Works on the rows alone, so from any process. */
import { type Db, notify } from '../store/database.ts';
import {
  ACTIVE_STAGES,
  advanceDelivery,
  type Delivery,
  type DeliveryEvent,
  deliveryTimeline,
  findDelivery,
  insertDeliveryEvent,
  listDeliveries,
} from '../store/outbound.ts';
import type { DeliveryStage } from '../store/schema.ts';
import { eraseFinishedContent } from '../store/submissions.ts';

/** `unknown-delivery`: no such id. `ended`: nothing is left to retry or cancel. `busy`: it keeps changing, ask again. */
export type QueueErrorCode = 'unknown-delivery' | 'ended' | 'busy';

export class QueueError extends Error {
  override readonly name = 'QueueError';
  readonly code: QueueErrorCode;

  constructor(code: QueueErrorCode) {
    super(code);
    this.code = code;
  }
}

export interface QueueEntry {
  id: number;
  submission_id: number;
  sender: string;
  recipient: string;
  stage: DeliveryStage;
  attempts: number;
  zero_bits: number | null;
  error_code: string | null;
  error_stage: string | null;
  size_bytes: number;
  submitted_at: Date;
  /** Null once it has ended. */
  next_attempt_at: Date | null;
  deadline_at: Date;
  finished_at: Date | null;
  message_id: string | null;
}

export interface QueueEntryShown extends QueueEntry {
  timeline: DeliveryEvent[];
}

export interface QueueOperations {
  /** `active`: what is not over. Oldest first. */
  list(filter: {
    state: DeliveryStage | 'active' | 'all';
    limit: number;
    submissionId?: number;
  }): Promise<QueueEntry[]>;
  show(id: number): Promise<QueueEntryShown>;
  /** Tries at once. For a delivery that is held for its proof of work this is the operator's consent to the bits asked. */
  retry(id: number): Promise<QueueEntry>;
  /** Ends it without telling the sender. */
  cancel(id: number): Promise<QueueEntry>;
  /** The same, asked for by the sender: only if nothing of it can have been handed over. What has ended has ended. */
  withdraw(id: number): Promise<'cancelled' | 'ended' | 'handed-over'>;
}

const MAX_TRIES = 5;

export function createQueueOperations({ db, clock }: { db: Db; clock: () => Date }): QueueOperations {
  const find = async (id: number): Promise<Delivery> => {
    const delivery = await findDelivery(db, id);
    if (delivery === undefined) throw new QueueError('unknown-delivery');
    return delivery;
  };

  /** Applies `change` to a delivery that a worker may be changing at the same time. */
  const persist = async (id: number, change: (delivery: Delivery) => Promise<boolean>): Promise<QueueEntry> => {
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      const delivery = await find(id);
      if (delivery.finished_at !== null) throw new QueueError('ended');
      if (await change(delivery)) return entryOf(await find(id));
    }
    throw new QueueError('busy');
  };

  return {
    async list({ state, ...filter }) {
      const states = state === 'all' ? [] : state === 'active' ? ACTIVE_STAGES : [state];
      return (await listDeliveries(db, { states, ...filter })).map(entryOf);
    },
    async show(id) {
      return { ...entryOf(await find(id)), timeline: await deliveryTimeline(db, id) };
    },
    retry: (id) => persist(id, (delivery) => retryNow(db, delivery, clock())),
    cancel: (id) => persist(id, (delivery) => cancel(db, delivery, clock())),
    async withdraw(id) {
      for (let tries = 0; tries < MAX_TRIES; tries++) {
        const delivery = await findDelivery(db, id);
        if (delivery === undefined || delivery.finished_at !== null) return 'ended';
        if (mayBeHandedOver(delivery, clock())) return 'handed-over';
        if (await cancel(db, delivery, clock())) return 'cancelled';
      }
      throw new QueueError('busy');
    },
  };
}

function retryNow(db: Db, delivery: Delivery, now: Date): Promise<boolean> {
  const consents = delivery.error_code === 'pow-approval' && delivery.zero_bits !== null;
  const change = { next_attempt_at: now, ...(consents ? { approved_bits: delivery.zero_bits } : {}) };
  return db.transaction().execute(async (tx) => {
    if (!(await advanceDelivery(tx, delivery, change))) return false;
    await insertDeliveryEvent(tx, delivery.id, { at: now, stage: delivery.stage, outcome: 'retried', detail: null });
    await notify(tx, 'delivery_ready', delivery.id);
    await notify(tx, 'outbox_changed', delivery.account_id);
    return true;
  });
}

/** Failures before anything of the message left this side. (A connection that failed may have failed behind it.) */
const NEVER_REACHED: ReadonlySet<string | null> = new Set(['unresolvable', 'tls', 'refused-address']);
/** A worker takes a delivery when it is due: what is due so soon may be taken before the cancellation is written. */
const CANCEL_AHEAD_MS = 10_000;

/** From the stage on that hands over; but what failed without reaching anybody, and waits, can still be cancelled. */
function mayBeHandedOver({ stage, error_code, next_attempt_at }: Delivery, now: Date): boolean {
  if (['held', 'route', 'seal', 'mint'].includes(stage)) return false;
  const waits = next_attempt_at.getTime() > now.getTime() + CANCEL_AHEAD_MS;
  return !(waits && NEVER_REACHED.has(error_code));
}

function cancel(db: Db, delivery: Delivery, now: Date): Promise<boolean> {
  const emptied = { sealed_envelope: null, minted_envelope: null, session: null };
  return db.transaction().execute(async (tx) => {
    const ended = { stage: 'cancelled' as const, finished_at: now };
    if (!(await advanceDelivery(tx, delivery, { ...emptied, ...ended }))) return false;
    await insertDeliveryEvent(tx, delivery.id, { at: now, stage: delivery.stage, outcome: 'cancelled', detail: null });
    await eraseFinishedContent(tx, delivery.submission_id);
    await notify(tx, 'outbox_changed', delivery.account_id);
    return true;
  });
}

function entryOf(delivery: Delivery): QueueEntry {
  const { id, submission_id, sender, recipient, stage, attempts, zero_bits, error_code, error_stage } = delivery;
  const { size_bytes, submitted_at, deadline_at, finished_at } = delivery;
  return {
    ...{ id, submission_id, sender, recipient, stage, attempts, zero_bits, error_code, error_stage },
    ...{ size_bytes, submitted_at, deadline_at, finished_at },
    next_attempt_at: finished_at === null ? delivery.next_attempt_at : null,
    message_id: delivery.message_id?.toString('hex') ?? null,
  };
}
