/**
 * Runs deliveries through their stages (pipeline.ts has the table): reads the row, does its stage, writes down what came out,
 * goes on while nothing has to wait. Never trusts what it remembers: the row is read again before each stage.
 */
import type { Events } from '../events.ts';
import type { ByteGate } from '../memory/byte-gate.ts';
import type { Address } from '../smimp/address.ts';
import type { Db } from '../store/database.ts';
import { type ActiveStage, advanceDelivery, type Delivery, findDelivery } from '../store/outbound.ts';
import { outcomeOfError } from './failures.ts';
import { retryDelayMs } from './retry.ts';
import { commit, type DeliveryTimes, settle, type Tell } from './settle.ts';
import type { Stage, StageOutcome, Work } from './stage.ts';
import { Turns } from './turns.ts';

export type StageTable = Readonly<Record<ActiveStage, Stage>>;

/** More steps in one go than any honest delivery takes; the rest is left to another run. */
const MAX_STEPS = 16;

export interface Runner {
  /** Does what is due of a delivery, until it ends or has to wait. Safe to call at any time, also twice at once. */
  run(deliveryId: number, signal: AbortSignal): Promise<void>;
}

export function createRunner(options: {
  db: Db;
  stages: StageTable;
  tell: Tell;
  times: DeliveryTimes;
  gate: ByteGate;
  events: Events;
  clock: () => Date;
}): Runner {
  const { db, stages, events, clock, gate } = options;
  const turns = new Turns();
  const running = new Set<number>();

  const attempt = async (work: Work, stage: ActiveStage): Promise<StageOutcome> => {
    try {
      return await stages[stage](work);
    } catch (error) {
      if (work.signal.aborted) throw error;
      const outcome = outcomeOfError(error, stage);
      if (outcome !== null) return outcome;
      events.unexpected(`pipeline ${stage}`, error);
      return { kind: 'retry', reason: 'local', retryAfterMs: null };
    }
  };

  /** One stage and its commit; true while there is more to do at once. */
  const step = async (work: Work, stage: ActiveStage): Promise<boolean> => {
    const startedMs = performance.now();
    const outcome = await attempt(work, stage);
    const now = clock();
    const settled = settle(work.delivery, outcome, now, options.times);
    const durationMs = Math.round(performance.now() - startedMs);
    try {
      const committed = await commit({ ...options, delivery: work.delivery, settled, now, durationMs });
      return committed && settled.goesOn;
    } catch (error) {
      events.unexpected('pipeline commit', error);
      await putOff(work.delivery, now);
      return false;
    }
  };

  /** What could not be written down, a notice perhaps, is not tried again at once. */
  const putOff = async (delivery: Delivery, now: Date): Promise<void> => {
    const attempts = delivery.attempts + 1;
    const next_attempt_at = new Date(now.getTime() + retryDelayMs(delivery.id, attempts));
    await advanceDelivery(db, delivery, { attempts, next_attempt_at });
  };

  const steps = async (deliveryId: number, signal: AbortSignal): Promise<void> => {
    let kept: Work['kept'] = null;
    let endTurn: (() => void) | null = null;
    try {
      for (let taken = 0; taken < MAX_STEPS; taken++) {
        const delivery = await findDelivery(db, deliveryId);
        if (delivery === undefined || !isDue(delivery, clock()) || signal.aborted) return;
        if (delivery.stage === 'seal') {
          kept = null;
          endTurn ??= await turns.take(`${delivery.account_id} ${delivery.recipient}`);
        }
        const work = workOn(delivery, signal, kept);
        if (!(await step(work, delivery.stage))) return;
        kept = work.kept;
        if (delivery.stage === 'seal' && !work.singleUse) {
          endTurn?.();
          endTurn = null;
        }
      }
    } finally {
      endTurn?.();
    }
  };

  return {
    async run(deliveryId, signal) {
      if (running.has(deliveryId)) return;
      running.add(deliveryId);
      try {
        const delivery = await findDelivery(db, deliveryId);
        if (delivery !== undefined) await gate.pass(delivery.size_bytes, () => steps(deliveryId, signal));
      } catch (error) {
        if (!signal.aborted) throw error;
      } finally {
        running.delete(deliveryId);
      }
    },
  };
}

function isDue(delivery: Delivery, now: Date): delivery is Delivery & { stage: ActiveStage } {
  return delivery.finished_at === null && delivery.next_attempt_at <= now;
}

function workOn(delivery: Delivery, signal: AbortSignal, kept: Work['kept']): Work {
  const { sender, recipient } = delivery;
  return { delivery, sender: sender as Address, recipient: recipient as Address, signal, kept, singleUse: false };
}
