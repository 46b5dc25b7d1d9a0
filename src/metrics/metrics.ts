/** What `listen.metrics` shows: what was counted in this process, and what waits in the database. */
import type { Registry } from 'prom-client';
import type { Events } from '../events.ts';
import type { Db } from '../store/database.ts';
import { createGauges } from './gauges.ts';
import { createMetricsServer, type MetricsServer } from './listener.ts';

export function createMetrics(options: {
  registry: Registry;
  db: Db;
  events: Events;
  clock: () => Date;
}): MetricsServer {
  const { registry, events } = options;
  const gauges = createGauges(options);
  const read = async (): Promise<{ text: string; contentType: string }> => {
    await gauges.refresh();
    return { text: await registry.metrics(), contentType: registry.contentType };
  };
  return createMetricsServer({ source: { read }, events });
}
