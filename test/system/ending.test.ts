/** How the program ends: what it started ends with it, also when the signal comes twice, as Ctrl-C at its launcher does. */
import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { layOutSites, type Site, startSite } from '../../src/admin/demo/sites.ts';
import { temporaryDirectory } from '../../src/admin/demo/temporary-directory.ts';

const TIMEOUT_MS = 120_000;

let directory: string;
let site: Site;
beforeAll(async () => {
  directory = await temporaryDirectory('ending');
  [site] = (await layOutSites({ directory, domains: ['acme.test'] })) as [Site];
});
afterAll(() => rm(directory, { recursive: true, force: true }));

it(
  'a signal that comes twice at once ends the database as well',
  async () => {
    const events: unknown[] = [];
    const running = await startSite(site, { onEvent: ({ event }) => events.push(event) });
    const databaseRuns = join(site.directory, 'data', 'postgres', 'cluster', 'postmaster.pid');
    expect(existsSync(databaseRuns)).toBe(true);
    for (let times = 0; times < 2; times += 1) process.kill(running.pid, 'SIGINT');
    await running[Symbol.asyncDispose]();
    expect(existsSync(databaseRuns)).toBe(false);
    expect(events).toContain('stopped');
  },
  TIMEOUT_MS,
);
