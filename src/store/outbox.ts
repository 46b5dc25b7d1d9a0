/**
 * What is shown of deliveries that are not over. The rows of `delivery` are the truth; here stands only which state of a
 * submission was shown under which UID. Whoever looks brings it up to date, under the lock of the account's one row.
 */
import type { Selectable } from 'kysely';
import { type Db, type Executor, notify, type Tx } from './database.ts';
import type { OutboxMessageTable, OutboxTable } from './schema.ts';

export type Outbox = Selectable<OutboxTable>;
export type OutboxMessage = Selectable<OutboxMessageTable>;

/** Deliveries shown at most, those of the oldest messages: more in one account is an attack or a mailing list. */
export const OUTBOX_DELIVERIES = 2_000;

/** A delivery that is not over, with what its submission says. */
export type WaitingDelivery = Awaited<ReturnType<typeof waitingDeliveries>>[number];

export function waitingDeliveries(db: Executor, accountId: number) {
  return db
    .selectFrom('delivery')
    .innerJoin('submission', 'submission.id', 'delivery.submission_id')
    .select(['delivery.id', 'delivery.submission_id', 'recipient', 'stage', 'error_code', 'next_attempt_at'])
    .select(['deadline_at', 'submission.uid', 'message_type', 'size_bytes', 'submitted_at'])
    .where('delivery.account_id', '=', accountId)
    .where('finished_at', 'is', null)
    .orderBy('delivery.submission_id')
    .orderBy('delivery.id')
    .limit(OUTBOX_DELIVERIES)
    .execute();
}

/** The one of an account, made when it is first looked at. */
export async function outboxOf(db: Db, accountId: number): Promise<Outbox> {
  const found = await db.selectFrom('outbox').selectAll().where('account_id', '=', accountId).executeTakeFirst();
  if (found !== undefined) return found;
  await db
    .insertInto('outbox')
    .values({ account_id: accountId })
    .onConflict((conflict) => conflict.doNothing())
    .execute();
  return db.selectFrom('outbox').selectAll().where('account_id', '=', accountId).executeTakeFirstOrThrow();
}

function lockOutbox(tx: Tx, accountId: number): Promise<Outbox> {
  return tx.selectFrom('outbox').selectAll().where('account_id', '=', accountId).forUpdate().executeTakeFirstOrThrow();
}

/** Ascending by UID. */
export function outboxMessages(db: Executor, accountId: number): Promise<OutboxMessage[]> {
  return db.selectFrom('outbox_message').selectAll().where('account_id', '=', accountId).orderBy('uid').execute();
}

export interface Shown<Entry> {
  outbox: Outbox;
  /** Ascending by UID. */
  messages: { row: OutboxMessage; entry: Entry }[];
}

/**
 * Brings what is shown up to date. `entries` says what there is to be shown of deliveries, each with a fingerprint of its own:
 * what has none of them any more is gone, what is new gets the next UID.
 */
export async function showOutbox<Entry extends Wanted>(
  db: Db,
  accountId: number,
  entries: (waiting: readonly WaitingDelivery[]) => readonly Entry[],
): Promise<Shown<Entry>> {
  const outbox = await outboxOf(db, accountId);
  const wanted = entries(await waitingDeliveries(db, accountId));
  const rows = await outboxMessages(db, accountId);
  if (isSame(rows, wanted)) return { outbox, messages: joined(rows, wanted) };
  return db.transaction().execute(async (tx) => {
    const locked = await lockOutbox(tx, accountId);
    const present = entries(await waitingDeliveries(tx, accountId));
    return {
      outbox: await replaceRows(tx, locked, present),
      messages: joined(await outboxMessages(tx, accountId), present),
    };
  });
}

/** One state of a submission. */
type Wanted = { fingerprint: Buffer; submissionId: number };

const key = ({ fingerprint }: { fingerprint: Buffer }): string => fingerprint.toString('hex');

function isSame(rows: readonly { fingerprint: Buffer }[], wanted: readonly { fingerprint: Buffer }[]): boolean {
  const shown = new Set(rows.map(key));
  return rows.length === wanted.length && wanted.every((entry) => shown.has(key(entry)));
}

function joined<Entry extends { fingerprint: Buffer }>(rows: OutboxMessage[], wanted: readonly Entry[]) {
  const byKey = new Map(wanted.map((entry) => [key(entry), entry]));
  return rows.flatMap((row) => {
    const entry = byKey.get(key(row));
    return entry === undefined ? [] : [{ row, entry }];
  });
}

async function replaceRows(tx: Tx, outbox: Outbox, wanted: readonly Wanted[]): Promise<Outbox> {
  const { account_id: accountId, uid_next: uidNext } = outbox;
  const rows = await outboxMessages(tx, accountId);
  if (isSame(rows, wanted)) return outbox;
  const wantedKeys = new Set(wanted.map(key));
  const gone = rows.filter((row) => !wantedKeys.has(key(row)));
  const shown = new Set(rows.map(key));
  const added = wanted.filter((entry) => !shown.has(key(entry)));
  const uids = gone.map(({ uid }) => uid);
  if (uids.length > 0)
    await tx.deleteFrom('outbox_message').where('account_id', '=', accountId).where('uid', 'in', uids).execute();
  const next = { ...outbox, revision: outbox.revision + 1, uid_next: uidNext + added.length };
  const fresh = added.map(({ fingerprint, submissionId }, n) => ({
    ...{ account_id: accountId, uid: uidNext + n, fingerprint, submission_id: submissionId, revision: next.revision },
    deleted: isStillMarked(gone, submissionId),
  }));
  if (fresh.length > 0) await tx.insertInto('outbox_message').values(fresh).execute();
  await saveOutbox(tx, next);
  return next;
}

/** It was marked \Deleted in the state before: whoever marked it meant the message, and nothing unmarked went into it. */
function isStillMarked(gone: readonly OutboxMessage[], submissionId: number): boolean {
  const before = gone.filter(({ submission_id }) => submission_id === submissionId);
  return before.length > 0 && before.every(({ deleted }) => deleted);
}

async function saveOutbox(tx: Tx, { account_id, revision, uid_next }: Outbox): Promise<void> {
  await tx.updateTable('outbox').set({ revision, uid_next }).where('account_id', '=', account_id).execute();
}

/** Marks messages \Deleted, or takes the mark away, or (null) leaves them as they are; those changed after `unlessAfter` are passed over. */
export async function markOutbox(
  db: Db,
  accountId: number,
  mark: { uids: readonly number[]; deleted: boolean | null; unlessAfter: number | null },
): Promise<{ after: OutboxMessage[]; refused: number[] }> {
  return db.transaction().execute(async (tx) => {
    const outbox = await lockOutbox(tx, accountId);
    const named = (await outboxMessages(tx, accountId)).filter(({ uid }) => mark.uids.includes(uid));
    const isLater = (row: OutboxMessage): boolean => mark.unlessAfter !== null && row.revision > mark.unlessAfter;
    const revision = outbox.revision + 1;
    const { deleted } = mark;
    const isChanged = (row: OutboxMessage): boolean => deleted !== null && row.deleted !== deleted && !isLater(row);
    const changed = named.filter(isChanged).map(({ uid }) => uid);
    if (deleted !== null && changed.length > 0) {
      await tx
        .updateTable('outbox_message')
        .set({ deleted, revision })
        .where('account_id', '=', accountId)
        .where('uid', 'in', changed)
        .execute();
      await saveOutbox(tx, { ...outbox, revision });
      await notify(tx, 'outbox_changed', accountId);
    }
    const after = (await outboxMessages(tx, accountId)).filter(
      (row) => mark.uids.includes(row.uid) && (changed.includes(row.uid) || !isLater(row)),
    );
    return { after, refused: named.filter(isLater).map(({ uid }) => uid) };
  });
}

export async function subscribeOutbox(db: Db, accountId: number, subscribed: boolean): Promise<void> {
  await outboxOf(db, accountId);
  await db.updateTable('outbox').set({ subscribed }).where('account_id', '=', accountId).execute();
  await notify(db, 'outbox_changed', accountId);
}
