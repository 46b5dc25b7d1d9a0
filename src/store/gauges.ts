/** Counts of what waits, for whoever watches the bridge. Each is answered from an index of little more than what it counts. */
import { sql } from 'kysely';
import type { AlarmKind } from '../mime/bridge-mail.ts';
import type { Db } from './database.ts';
import { ACTIVE_STAGES } from './outbound.ts';

export interface Waiting {
  deliveries: { stage: string; count: number }[];
  /** Since when the oldest due delivery could have gone on. */
  overdueSeconds: number;
  messages: { state: string; count: number }[];
  alarms: { kind: string; count: number }[];
}

/** A count that takes longer is given up: watching must not add to the trouble. */
const TIMEOUT_MS = 5_000;

/** `lasting`: kinds of alarms that end. */
export function countWaiting(db: Db, { lasting, now }: { lasting: readonly AlarmKind[]; now: Date }): Promise<Waiting> {
  return db.transaction().execute(async (tx) => {
    await sql`select set_config('statement_timeout', ${String(TIMEOUT_MS)}, true)`.execute(tx);
    const deliveries = await tx
      .selectFrom('delivery')
      .select((eb) => ['stage', eb.fn.countAll<number>().as('count')])
      .where('stage', 'in', [...ACTIVE_STAGES])
      .groupBy('stage')
      .execute();
    const oldest = await tx
      .selectFrom('delivery')
      .select((eb) => eb.fn.min<Date | null>('next_attempt_at').as('at'))
      .where('stage', 'in', [...ACTIVE_STAGES])
      .executeTakeFirst();
    const messages = await tx
      .selectFrom('message')
      .select((eb) => ['state', eb.fn.countAll<number>().as('count')])
      .where('state', 'in', ['pending', 'held', 'quarantined'])
      .groupBy('state')
      .execute();
    const alarms = await tx
      .selectFrom('alarm')
      .select((eb) => ['kind', eb.fn.countAll<number>().as('count')])
      .where('ended_at', 'is', null)
      .where('kind', 'in', [...lasting])
      .groupBy('kind')
      .execute();
    const overdueMs = oldest?.at == null ? 0 : now.getTime() - oldest.at.getTime();
    return { deliveries, overdueSeconds: Math.max(0, overdueMs) / 1000, messages, alarms };
  });
}
