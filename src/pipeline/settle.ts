/**
 * Writes down what a stage did: the row, the timeline, and the mail that tells the sender, in one transaction. A notice is
 * in the sender's inbox exactly when the row says so, exactly once; a worker that lost its claim writes nothing.
 */
import type { Events } from '../events.ts';
import type { Said } from '../legacy/relay-error.ts';
import { parseHex } from '../smimp/encoding.ts';
import { type Db, type Executor, notify, type Tx } from '../store/database.ts';
import { advanceDelivery, type Delivery, type DeliveryChange } from '../store/outbound.ts';
import { noteWritten } from '../store/pow-facts.ts';
import type { DeliveryStage } from '../store/schema.ts';
import { eraseFinishedContent } from '../store/submissions.ts';
import type { NoticeKind, Reason } from './reasons.ts';
import { HELD_RECHECK_MS, retryDelayMs } from './retry.ts';
import type { Detail, StageOutcome } from './stage.ts';

/** A delivery may go back this often without waiting; more is no coincidence. */
export const FREE_RETURNS = 3;

export interface DeliveryTimes {
  /** A delivery that is not over by then is reported once. */
  delayNoticeAfterMs: number;
}

export interface Settled {
  change: DeliveryChange;
  outcome: string;
  detail: Detail | null;
  notice: Notice | null;
  /** Something is left to do at once. */
  goesOn: boolean;
  /** Not worth a line in the timeline: nothing is new. */
  silent: boolean;
}

/** `said`: the words of another server, when it gave any. */
export interface Notice {
  kind: NoticeKind;
  reason: Reason;
  said?: Said | null;
}

/** Tells the sender of a delivery something, inside the transaction that makes it true. */
export type Tell = (tx: Tx, delivery: Delivery, notice: Notice, now: Date) => Promise<void>;

/** What the row becomes. Pure. */
export function settle(delivery: Delivery, outcome: StageOutcome, now: Date, times: DeliveryTimes): Settled {
  if (outcome.kind === 'advance') return advanced(delivery, outcome, now);
  if (outcome.kind === 'done') return done(outcome, now);
  if (outcome.kind === 'fail' || now >= delivery.deadline_at) return failed(outcome, now);
  if (outcome.kind === 'hold') return held(delivery, outcome, now);
  return postponed(delivery, outcome, now, times);
}

const NOTHING_KEPT: DeliveryChange = { sealed_envelope: null, minted_envelope: null, session: null };

const ORDER: readonly DeliveryStage[] = ['held', 'route', 'seal', 'mint', 'deliver', 'relay'];

/** Failures count until the stage that failed is passed: a circle of stages that leads nowhere gets slower each time. */
function advanced(delivery: Delivery, outcome: Extract<StageOutcome, { kind: 'advance' }>, now: Date): Settled {
  const isForward = ORDER.indexOf(outcome.to) > ORDER.indexOf(delivery.stage);
  const isPassed = isForward && (delivery.stage === delivery.error_stage || delivery.stage === 'held');
  const recovered = isPassed ? { attempts: 0, error_stage: null } : {};
  const change = { ...outcome.change, ...recovered, stage: outcome.to, next_attempt_at: now, error_code: null };
  return { change, outcome: 'done', detail: outcome.detail ?? null, notice: null, goesOn: true, silent: false };
}

function done(outcome: Extract<StageOutcome, { kind: 'done' }>, now: Date): Settled {
  const ended = { stage: 'done' as const, finished_at: now, error_code: null, error_stage: null };
  const message_id = outcome.messageId === null ? null : Buffer.from(parseHex(outcome.messageId, 32));
  const change = { ...NOTHING_KEPT, ...ended, message_id };
  return { change, outcome: 'done', detail: outcome.detail ?? null, notice: null, goesOn: false, silent: false };
}

function failed(outcome: { reason: Reason; said?: Said | null }, now: Date): Settled {
  const { reason } = outcome;
  const change = { ...NOTHING_KEPT, stage: 'failed' as const, finished_at: now, error_code: reason };
  const notice = { kind: 'failed' as const, ...toldOf(outcome) };
  return { change, outcome: 'failed', detail: { reason }, notice, goesOn: false, silent: false };
}

/** What of an outcome its sender is told. */
function toldOf({ reason, said }: { reason: Reason; said?: Said | null }): Omit<Notice, 'kind'> {
  return said == null ? { reason } : { reason, said };
}

function held(delivery: Delivery, outcome: Extract<StageOutcome, { kind: 'hold' }>, now: Date): Settled {
  const { reason } = outcome;
  const tells = delivery.held_notified_at === null && reason !== 'account-locked';
  const change = {
    ...outcome.change,
    stage: 'held' as const,
    error_code: reason,
    next_attempt_at: earliest(delivery.deadline_at, after(now, HELD_RECHECK_MS)),
    ...(tells ? { held_notified_at: now } : {}),
  };
  const notice = tells ? { kind: 'held' as const, reason } : null;
  const silent = delivery.stage === 'held' && delivery.error_code === reason;
  return { change, outcome: 'held', detail: { reason }, notice, goesOn: false, silent };
}

type Postponed = Extract<StageOutcome, { kind: 'retry' | 'back' }>;

function postponed(delivery: Delivery, outcome: Postponed, now: Date, times: DeliveryTimes): Settled {
  const { reason } = outcome;
  const attempts = delivery.attempts + 1;
  const isFree = outcome.kind === 'back' && attempts <= FREE_RETURNS;
  const delayMs = isFree
    ? 0
    : retryDelayMs(delivery.id, attempts, outcome.kind === 'retry' ? outcome.retryAfterMs : null);
  const tellAt = after(delivery.submitted_at, times.delayNoticeAfterMs);
  const untold = delivery.delay_notified_at === null && delivery.held_notified_at === null;
  const tells = untold && now >= tellAt;
  const next = earliest(delivery.deadline_at, after(now, delayMs));
  const change = {
    ...(outcome.kind === 'back' ? { ...outcome.change, stage: outcome.to } : {}),
    attempts,
    error_code: reason,
    next_attempt_at: untold && !tells ? earliest(next, tellAt) : next,
    ...(tells ? { delay_notified_at: now } : {}),
  };
  const notice = tells ? { kind: 'delayed' as const, ...toldOf(outcome) } : null;
  const detail = { reason, attempts, delay_ms: delayMs };
  return { change, outcome: outcome.kind, detail, notice, goesOn: isFree, silent: false };
}

function after(time: Date, ms: number): Date {
  return new Date(time.getTime() + ms);
}

function earliest(...times: Date[]): Date {
  return new Date(Math.min(...times.map((time) => time.getTime())));
}

function changeOf(delivery: Delivery, { change }: Settled): DeliveryChange {
  const errorStage = change.error_code == null || delivery.stage === 'held' ? {} : { error_stage: delivery.stage };
  return { ...errorStage, ...change };
}

/** The row as it is once `settled` was committed. */
export function afterCommit(delivery: Delivery, settled: Settled): Delivery {
  const { sealed_envelope: _sealed, ...columns } = changeOf(delivery, settled);
  return { ...delivery, ...columns, version: delivery.version + 1 };
}

/** Commits `settled`; false when another worker, or the operator, was faster. */
export async function commit(options: {
  db: Db;
  tell: Tell;
  events: Events;
  delivery: Delivery;
  settled: Settled;
  now: Date;
  durationMs: number;
}): Promise<boolean> {
  const { db, tell, delivery, settled, now, durationMs } = options;
  const { change, notice } = settled;
  const isOver = change.finished_at != null;
  const detail = { ...settled.detail, duration_ms: durationMs };
  const event = settled.silent ? null : { at: now, stage: delivery.stage, outcome: settled.outcome, detail };
  const advance = (executor: Executor): Promise<boolean> =>
    advanceDelivery(executor, delivery, changeOf(delivery, settled), event);
  const isAll = notice === null && !isOver;
  const whole = isAll
    ? advance(db)
    : db.transaction().execute(async (tx) => {
        if (!(await advance(tx))) return false;
        if (notice !== null) await tell(tx, delivery, notice, now);
        if (isOver) await eraseFinishedContent(tx, delivery.submission_id);
        // The other way round: whom the sender of this message wrote to writes to it for less.
        if (change.stage === 'done' && delivery.relayed_for === null)
          await noteWritten(tx, { sender: delivery.recipient, recipient: delivery.sender, now });
        return true;
      });
  const committed = await whole;
  if (committed && isVisible(delivery, settled)) await notify(db, 'outbox_changed', delivery.account_id);
  if (committed) report(options.events, delivery, settled, durationMs);
  return committed;
}

/** What its sender sees of it changes: not each stage of what goes well. */
function isVisible(delivery: Delivery, { outcome, change }: Settled): boolean {
  return outcome !== 'done' || change.finished_at != null || delivery.error_code !== null;
}

function report(events: Events, delivery: Delivery, settled: Settled, durationMs: number): void {
  const { change, notice, outcome } = settled;
  const about = { deliveryId: delivery.id, stage: delivery.stage };
  if (outcome === 'done') {
    const zeroBits = change.minted_envelope == null ? null : change.zero_bits;
    const worked = zeroBits == null ? {} : { zeroBits };
    events.stageDone({ ...about, next: change.stage ?? delivery.stage, durationMs, ...worked });
  } else if (!settled.silent) {
    const attempts = change.attempts ?? delivery.attempts;
    events.stageFailed({ ...about, code: change.error_code ?? '', disposition: outcome, attempts });
  }
  if (notice !== null) events.noticeSent({ deliveryId: delivery.id, kind: notice.kind });
  if (change.finished_at != null) events.deliveryEnded({ deliveryId: delivery.id, outcome });
}
