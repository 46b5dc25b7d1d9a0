/** Gauges of what the database holds, counted when somebody asks, but not more often than the database should bear. */
import { Gauge, type Registry } from 'prom-client';
import type { Events } from '../events.ts';
import { LASTING } from '../identity/alarms.ts';
import type { Db } from '../store/database.ts';
import { countWaiting, type Waiting } from '../store/gauges.ts';

/** Counts are given again to whoever asks sooner. */
export const COUNTS_FRESH_MS = 5_000;

/** Adds the gauges to `registry`. What is gone counts as nothing; a database that does not answer says so by `database_up`. */
export function createGauges(options: { registry: Registry; db: Db; events: Events; clock: () => Date }): {
  refresh(): Promise<void>;
} {
  const { registry, db, events, clock } = options;
  const gauges = createAll(registry);
  let askedMs = Number.NEGATIVE_INFINITY;
  let underWay: Promise<void> | null = null;

  const count = async (): Promise<void> => {
    try {
      show(gauges, await countWaiting(db, { lasting: LASTING, now: clock() }));
      gauges.up.set(1);
    } catch (error) {
      events.unexpected('metrics', error);
      gauges.up.set(0);
    }
  };
  return {
    refresh() {
      const nowMs = clock().getTime();
      if (underWay === null && nowMs - askedMs < COUNTS_FRESH_MS) return Promise.resolve();
      askedMs = nowMs;
      underWay ??= count().finally(() => {
        underWay = null;
      });
      return underWay;
    },
  };
}

type Gauges = ReturnType<typeof createAll>;

function createAll(registry: Registry) {
  const gauge = (name: string, help: string, labelNames: string[] = []) =>
    new Gauge({ name: `smimp_${name}`, help, labelNames, registers: [registry] });
  return {
    up: gauge('database_up', 'Whether the database answered the last time it was asked.'),
    deliveries: gauge('queue_deliveries', 'Deliveries that are not over, by the stage that is next.', ['stage']),
    overdue: gauge('queue_overdue_seconds', 'How long the oldest delivery that could go on has been waiting.'),
    messages: gauge('mailbox_messages', 'Messages that are not shown: pending, held, quarantined.', ['state']),
    alarms: gauge('alarms_lasting', 'Alarms that last, by kind.', ['kind']),
  };
}

function show(gauges: Gauges, waiting: Waiting): void {
  for (const gauge of [gauges.deliveries, gauges.messages, gauges.alarms]) gauge.reset();
  for (const { stage, count } of waiting.deliveries) gauges.deliveries.set({ stage }, count);
  for (const { state, count } of waiting.messages) gauges.messages.set({ state }, count);
  for (const { kind, count } of waiting.alarms) gauges.alarms.set({ kind }, count);
  gauges.overdue.set(waiting.overdueSeconds);
}
