/**
 * Alarms: raised in the transaction of what causes them, told once per contact, kind and cause. Nobody is told twice because
 * two processes noticed, or because one was killed: who tells marks the row in the transaction that makes the mail.
 *
 * Locks are taken in one order everywhere: deliveries, mailbox, messages, alarms.
 */
import { type Selectable, sql } from 'kysely';
import type { AlarmKind } from '../mime/bridge-mail.ts';
import { type Executor, notify, type Tx } from './database.ts';
import type { AlarmTable } from './schema.ts';

export type StoredAlarm = Selectable<AlarmTable>;

export interface RaisedAlarm {
  accountId: number;
  contact: string;
  kind: AlarmKind;
  cause: string;
  evidence?: object | null;
  now: Date;
  /** Not told before this. */
  tellAt: Date;
  /** It lasts until it ends: the same case is none anew before that. */
  lasts: boolean;
  /** The same case anew is told again when it was last told before this; null: once for ever. */
  toldAgainBefore: Date | null;
}

/** True when its owner is to be told: it is new, or an old one that came back. */
export async function raiseAlarm(tx: Tx, alarm: RaisedAlarm): Promise<boolean> {
  const { accountId, contact, kind, cause, now, tellAt, lasts, toldAgainBefore } = alarm;
  const evidence = alarm.evidence == null ? null : JSON.stringify(alarm.evidence);
  const times = { first_at: now, last_at: now, tell_at: tellAt };
  const row = await tx
    .insertInto('alarm')
    .values({ account_id: accountId, contact, kind, cause, evidence, ...times })
    .onConflict((conflict) =>
      conflict.columns(['account_id', 'contact', 'kind', 'cause']).doUpdateSet({
        times: sql<number>`alarm.times + 1`,
        last_at: now,
        ended_at: null,
        evidence: sql<string>`coalesce(alarm.evidence, excluded.evidence)`,
        summed: sql<boolean>`alarm.summed and alarm.tell_at is not null`,
        tell_at: sql<Date>`case
          when alarm.summed and alarm.tell_at is not null then alarm.tell_at
          when alarm.tell_at is not null then least(alarm.tell_at, excluded.tell_at)
          when ${lasts} and alarm.ended_at is null then null
          when alarm.told_at is null or alarm.told_at < ${toldAgainBefore}::timestamptz then excluded.tell_at end`,
      }),
    )
    .returning(['tell_at', 'times'])
    .executeTakeFirstOrThrow();
  if (row.tell_at !== null && row.tell_at <= now) await notify(tx, 'mail_received', accountId);
  return row.times === 1 || row.tell_at?.getTime() === tellAt.getTime();
}

/** What lasted is over. `untell`: kinds that need not be told any more. Returns how many of each kind ended. */
export async function endAlarms(
  tx: Tx,
  end: { accountId: number; contact: string; kinds: readonly AlarmKind[]; untell: readonly AlarmKind[]; now: Date },
): Promise<AlarmKind[]> {
  const rows = await tx
    .updateTable('alarm')
    .set({
      ended_at: end.now,
      tell_at: sql<Date>`case when kind = any(${[...end.untell]}::text[]) then null else tell_at end`,
    })
    .where('account_id', '=', end.accountId)
    .where('contact', '=', end.contact)
    .where('kind', 'in', [...end.kinds])
    .where('ended_at', 'is', null)
    .returning('kind')
    .execute();
  return rows.map(({ kind }) => kind);
}

/** Another mail within `tx` tells of them. */
export async function alarmsTold(
  tx: Tx,
  told: { accountId: number; contact: string; kinds: readonly AlarmKind[]; now: Date },
): Promise<void> {
  if (told.kinds.length === 0) return;
  await tx
    .updateTable('alarm')
    .set({ told_at: told.now, told_by: 'delivery', tell_at: null })
    .where('account_id', '=', told.accountId)
    .where('contact', '=', told.contact)
    .where('kind', 'in', [...told.kinds])
    .where('tell_at', 'is not', null)
    .execute();
}

/** Without the evidence, which can be large. `verified`: a person checked the contact's fingerprint. */
export type DueAlarm = Pick<StoredAlarm, 'id' | 'contact' | 'kind' | 'cause' | 'times' | 'first_at' | 'summed'> & {
  verified: boolean;
};

/** What is to be told now, oldest first, at most `limit`, locked. The caller holds the mailbox. */
export async function lockDueAlarms(tx: Tx, accountId: number, now: Date, limit: number): Promise<DueAlarm[]> {
  const rows = await tx
    .selectFrom('alarm')
    .leftJoin('pin', (join) =>
      join.onRef('pin.account_id', '=', 'alarm.account_id').onRef('pin.contact', '=', 'alarm.contact'),
    )
    .select(['alarm.id', 'alarm.contact', 'kind', 'cause', 'times', 'first_at', 'summed', 'pin.verified_at'])
    .where('alarm.account_id', '=', accountId)
    .where('tell_at', '<=', now)
    .orderBy('alarm.id')
    .limit(limit)
    .forUpdate('alarm')
    .execute();
  return rows.map(({ verified_at, ...alarm }) => ({ ...alarm, verified: verified_at !== null }));
}

export async function markTold(
  tx: Tx,
  ids: readonly number[],
  told: { by: 'mail' | 'summary'; now: Date },
): Promise<void> {
  if (ids.length === 0) return;
  await tx
    .updateTable('alarm')
    .set({ told_at: told.now, told_by: told.by, tell_at: null })
    .where('id', 'in', [...ids])
    .execute();
}

/** Not told one by one: they go into a mail about many, or wait for a better time. */
export async function putOff(tx: Tx, ids: readonly number[], to: { tellAt: Date; summed: boolean }): Promise<void> {
  if (ids.length === 0) return;
  await tx
    .updateTable('alarm')
    .set({ tell_at: to.tellAt, summed: to.summed })
    .where('id', 'in', [...ids])
    .execute();
}

/** Everything that is due waits: it could not be told. */
export async function putOffDue(
  db: Executor,
  accountId: number,
  { now, tellAt }: { now: Date; tellAt: Date },
): Promise<void> {
  await db
    .updateTable('alarm')
    .set({ tell_at: tellAt })
    .where('account_id', '=', accountId)
    .where('tell_at', '<=', now)
    .execute();
}

/** What an account was told since then: alarms with a mail of their own, by contact, and the last mail about many. */
export async function toldSince(
  tx: Tx,
  accountId: number,
  since: Date,
): Promise<{ mails: Map<string, number>; lastSummary: Date | null }> {
  const rows = await tx
    .selectFrom('alarm')
    .select((eb) => [
      'contact',
      eb.fn.countAll<number>().filterWhere('told_by', '=', 'mail').as('mails'),
      eb.fn.max<Date | null>('told_at').filterWhere('told_by', '=', 'summary').as('summary'),
    ])
    .where('account_id', '=', accountId)
    .where('told_at', '>', since)
    .groupBy('contact')
    .execute();
  const summaries = rows.flatMap(({ summary }) => (summary === null ? [] : [summary.getTime()]));
  return {
    mails: new Map(rows.map(({ contact, mails }) => [contact, mails])),
    lastSummary: summaries.length === 0 ? null : new Date(Math.max(...summaries)),
  };
}

export async function hasDueAlarms(db: Executor, accountId: number, now: Date): Promise<boolean> {
  const row = await db
    .selectFrom('alarm')
    .select('id')
    .where('account_id', '=', accountId)
    .where('tell_at', '<=', now)
    .limit(1)
    .executeTakeFirst();
  return row !== undefined;
}

/** There is nobody to tell: what is due is only remembered. */
export async function silenceDueAlarms(db: Executor, accountId: number, now: Date): Promise<void> {
  await db
    .updateTable('alarm')
    .set({ tell_at: null })
    .where('account_id', '=', accountId)
    .where('tell_at', '<=', now)
    .execute();
}

/** Accounts that have something to be told now. */
export async function accountsWithDueAlarms(db: Executor, now: Date): Promise<number[]> {
  const rows = await db
    .selectFrom('alarm')
    .innerJoin('mail_user', 'mail_user.account_id', 'alarm.account_id')
    .select('alarm.account_id')
    .distinct()
    .where('tell_at', '<=', now)
    .execute();
  return rows.map(({ account_id }) => account_id);
}

/** All of one contact, or of all contacts, oldest first. */
export function listAlarms(db: Executor, accountId: number, contact?: string): Promise<StoredAlarm[]> {
  let query = db.selectFrom('alarm').selectAll().where('account_id', '=', accountId);
  if (contact !== undefined) query = query.where('contact', '=', contact);
  return query.orderBy('first_at').orderBy('id').execute();
}

/** Those that ended before `before` and of which nothing is left to tell. */
export async function forgetEndedAlarms(db: Executor, before: Date): Promise<void> {
  await db.deleteFrom('alarm').where('ended_at', '<', before).where('tell_at', 'is', null).execute();
}
