/**
 * Runs deliveries through their stages (pipeline.ts has the table): reads the row, does its stage, writes down what came out,
 * goes on while nothing has to wait. What it knows of the row is good as long as its version is: whoever changes the row
 * meanwhile makes the next commit fail, and that ends the run.
 */
import type { Events } from '../events.ts';
import type { Keystore } from '../keystore/keystore.ts';
import type { ByteGate } from '../memory/byte-gate.ts';
import type { Address } from '../smimp/address.ts';
import type { Db } from '../store/database.ts';
import { type ActiveStage, advanceDelivery, type Delivery, findDelivery } from '../store/outbound.ts';
import { outcomeOfError } from './failures.ts';
import { retryDelayMs } from './retry.ts';
import { afterCommit, commit, type DeliveryTimes, settle, type Tell } from './settle.ts';
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
  keystore: Keystore;
  stages: StageTable;
  tell: Tell;
  times: DeliveryTimes;
  gate: ByteGate;
  events: Events;
  clock: () => Date;
}): Runner {
  const { db, keystore, stages, events, clock, gate } = options;
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

  /** One stage and its commit; the row as it is then, while there is more to do at once. */
  const step = async (work: Work, stage: ActiveStage): Promise<Delivery | null> => {
    const startedMs = performance.now();
    const outcome = await attempt(work, stage);
    const now = clock();
    const settled = settle(work.delivery, outcome, now, options.times);
    const durationMs = Math.round(performance.now() - startedMs);
    try {
      const committed = await commit({ ...options, delivery: work.delivery, settled, now, durationMs });
      return committed && settled.goesOn ? afterCommit(work.delivery, settled) : null;
    } catch (error) {
      events.unexpected('pipeline commit', error);
      await putOff(work.delivery, now);
      return null;
    }
  };

  /** Opened when first asked for, and again in the next run. */
  const keysOfRun = (accountId: number): Work['keys'] => {
    let opening: ReturnType<Work['keys']> | null = null;
    return () => {
      opening ??= keystore.open(accountId);
      return opening;
    };
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
      let delivery = (await findDelivery(db, deliveryId)) ?? null;
      const keys = delivery === null ? null : keysOfRun(delivery.account_id);
      for (let taken = 0; taken < MAX_STEPS; taken++) {
        if (delivery === null || keys === null || !isDue(delivery, clock()) || signal.aborted) return;
        if (delivery.stage === 'seal') {
          kept = null;
          endTurn ??= await turns.take(`${delivery.account_id} ${delivery.recipient}`);
        }
        const work: Work = { ...workOn(delivery, signal, kept), keys };
        const stage = delivery.stage;
        delivery = await step(work, stage);
        kept = work.kept;
        if (stage === 'seal' && !work.singleUse) {
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

function workOn(delivery: Delivery, signal: AbortSignal, kept: Work['kept']): Omit<Work, 'keys'> {
  const { sender, recipient } = delivery;
  return { delivery, sender: sender as Address, recipient: recipient as Address, signal, kept, singleUse: false };
}
