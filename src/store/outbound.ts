/**
 * Where each copy of a submitted message stands: one row per message and recipient, and its timeline.
 *
 * Invariant: a delivery changes only through `advanceDelivery`, which names the version it read, so of two workers on one
 * row the slower changes nothing.
 */
import { type Selectable, sql } from 'kysely';
import type { Executor } from './database.ts';
import { isLarge, readLarge, writeLarge } from './large-column.ts';
import type { DeliveryEventTable, DeliveryStage, DeliveryTable } from './schema.ts';

/** Stages in which there is something left to do. */
export const ACTIVE_STAGES = [
  'route',
  'seal',
  'mint',
  'deliver',
  'relay',
  'held',
] as const satisfies readonly DeliveryStage[];
export type ActiveStage = (typeof ACTIVE_STAGES)[number];

/** A delivery with what its submission says, without the large columns. */
export type Delivery = Omit<Selectable<DeliveryTable>, 'sealed_envelope'> & {
  sender: string;
  uid: Buffer;
  message_type: string;
  size_bytes: number;
  submitted_at: Date;
  /** The SMIMP sender of a message that leaves for the old internet; null for all others. */
  relayed_for: string | null;
  is_report: boolean;
};

const COLUMNS = [
  'delivery.id',
  'delivery.submission_id',
  'delivery.account_id',
  'delivery.recipient',
  'delivery.stage',
  'delivery.attempts',
  'delivery.next_attempt_at',
  'delivery.deadline_at',
  'delivery.delay_notified_at',
  'delivery.held_notified_at',
  'delivery.error_code',
  'delivery.error_stage',
  'delivery.version',
  'delivery.base_url',
  'delivery.zero_bits',
  'delivery.approved_bits',
  'delivery.minted_envelope',
  'delivery.session',
  'delivery.message_id',
  'delivery.finished_at',
  sql<string>`coalesce(submission.relayed_for, account.address)`.as('sender'),
  'submission.uid',
  'submission.message_type',
  'submission.size_bytes',
  'submission.submitted_at',
  'submission.relayed_for',
  'submission.is_report',
] as const;

function deliveries(db: Executor) {
  return db
    .selectFrom('delivery')
    .innerJoin('submission', 'submission.id', 'delivery.submission_id')
    .innerJoin('account', 'account.id', 'delivery.account_id')
    .select(COLUMNS);
}

export function findDelivery(db: Executor, id: number): Promise<Delivery | undefined> {
  return deliveries(db).where('delivery.id', '=', id).executeTakeFirst();
}

export async function hasDeliveryTo(db: Executor, submissionId: number, recipient: string): Promise<boolean> {
  const row = await db
    .selectFrom('delivery')
    .select('id')
    .where('submission_id', '=', submissionId)
    .where('recipient', '=', recipient)
    .executeTakeFirst();
  return row !== undefined;
}

/** Newest last. `states` empty: all. */
export function listDeliveries(
  db: Executor,
  filter: { states: readonly DeliveryStage[]; limit: number; submissionId?: number },
): Promise<Delivery[]> {
  const { submissionId } = filter;
  const ordered = deliveries(db).orderBy('delivery.id').limit(filter.limit);
  const all = submissionId === undefined ? ordered : ordered.where('delivery.submission_id', '=', submissionId);
  return (filter.states.length === 0 ? all : all.where('delivery.stage', 'in', [...filter.states])).execute();
}

export function sealedEnvelope(db: Executor, deliveryId: number): Promise<Buffer | null> {
  return readLarge((slice) =>
    db
      .selectFrom('delivery')
      .select(slice('sealed_envelope'))
      .where('id', '=', deliveryId)
      .where('sealed_envelope', 'is not', null)
      .executeTakeFirst(),
  );
}

export type DeliveryChange = Partial<
  Omit<Selectable<DeliveryTable>, 'id' | 'submission_id' | 'account_id' | 'version' | 'sealed_envelope'>
> & {
  /** In two parts, which are joined where they are stored: the large one need not be copied for the small one. */
  sealed_envelope?: { prefix: Buffer; ciphertext: Uint8Array } | null;
};

/**
 * Changes a delivery that is still at `version`, and notes it in its timeline, in one statement; false when somebody else was
 * there first.
 */
export async function advanceDelivery(
  db: Executor,
  at: { id: number; version: number },
  change: DeliveryChange,
  event: NewDeliveryEvent | null = null,
): Promise<boolean> {
  if (!db.isTransaction && isLarge(change.sealed_envelope?.ciphertext))
    return db.transaction().execute((tx) => advanceDelivery(tx, at, change, event));
  const { sealed_envelope: kept, ...rest } = change;
  const sealed = kept == null ? kept : sql<Buffer>`${kept.prefix}::bytea || ${await writeLarge(db, kept.ciphertext)}`;
  const row = { ...rest, ...(sealed === undefined ? {} : { sealed_envelope: sealed }), version: at.version + 1 };
  const changed = await db
    .with('changed', (cte) =>
      cte.updateTable('delivery').set(row).where('id', '=', at.id).where('version', '=', at.version).returning('id'),
    )
    .with('noted', (cte) =>
      cte
        .insertInto('delivery_event')
        .columns(['delivery_id', 'at', 'stage', 'outcome', 'detail'])
        .expression((eb) =>
          eb
            .selectFrom('changed')
            .select(eventColumns(event))
            .where(sql.lit(event !== null)),
        ),
    )
    .selectFrom('changed')
    .select('id')
    .executeTakeFirst();
  return changed !== undefined;
}

function eventColumns(event: NewDeliveryEvent | null) {
  const detail = event?.detail == null ? null : JSON.stringify(event.detail);
  return [
    'changed.id' as const,
    sql<Date>`${event?.at ?? null}::timestamptz`.as('at'),
    sql<string>`${event?.stage ?? null}::text`.as('stage'),
    sql<string>`${event?.outcome ?? null}::text`.as('outcome'),
    sql<string | null>`${detail}::jsonb`.as('detail'),
  ];
}

export type DeliveryEvent = Pick<Selectable<DeliveryEventTable>, 'at' | 'stage' | 'outcome' | 'detail'>;

/** Facts only: codes, counts, durations. Never content, keys or tokens. */
export type NewDeliveryEvent = {
  at: Date;
  stage: string;
  outcome: string;
  detail: Record<string, string | number | boolean> | null;
};

export async function insertDeliveryEvent(db: Executor, deliveryId: number, event: NewDeliveryEvent): Promise<void> {
  const detail = event.detail === null ? null : JSON.stringify(event.detail);
  await db
    .insertInto('delivery_event')
    .values({ ...event, detail, delivery_id: deliveryId })
    .execute();
}

export function deliveryTimeline(db: Executor, deliveryId: number): Promise<DeliveryEvent[]> {
  return db
    .selectFrom('delivery_event')
    .select(['at', 'stage', 'outcome', 'detail'])
    .where('delivery_id', '=', deliveryId)
    .orderBy('id')
    .execute();
}

/** Ids of deliveries with something to do by `now`, the longest due first. */
export async function dueDeliveries(db: Executor, now: Date, limit: number): Promise<number[]> {
  const rows = await db
    .selectFrom('delivery')
    .select('id')
    .where('stage', 'in', [...ACTIVE_STAGES])
    .where('next_attempt_at', '<=', now)
    .orderBy('next_attempt_at')
    .limit(limit)
    .execute();
  return rows.map(({ id }) => id);
}
