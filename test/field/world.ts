/** Two bridges as programs of their own, acme.test and corp.test, each with its own database, and people at them. */
import { join } from 'node:path';
import type { Person } from '../../src/admin/demo/mail-clients.ts';
import { layOutSites, type RunningSite, runJson, type Site, startSite } from '../../src/admin/demo/sites.ts';

export interface World extends AsyncDisposable {
  readonly acme: Site;
  readonly corp: Site;
  /** PEM of the authority that signed the certificates of both; their names are their domains and `localhost`. */
  readonly caPath: string;
  /** What the bridges logged as an error. */
  readonly problems: readonly string[];
  /** A new account: `account(world.acme, 'anna')` is anna@acme.test. */
  account(site: Site, local: string): Promise<Person>;
  /** The process of a bridge. */
  pid(site: Site): number;
  /** Ends a bridge (`kill`: with SIGKILL) and starts it again. */
  restart(site: Site, options?: { kill?: boolean }): Promise<void>;
}

const ERROR_LEVEL = 50;

export async function openWorld(directory: string, settings: Record<string, unknown> = {}): Promise<World> {
  const owned = new AsyncDisposableStack();
  const limits = { message: '40MiB', connections_per_account: 300, connections_per_address: 400 };
  const [acme, corp] = (await layOutSites({
    ...{ directory, domains: ['acme.test', 'corp.test'] },
    settings: { proof_of_work: { zero_bits: 0 }, limits, ...settings },
  })) as [Site, Site];
  const problems: string[] = [];
  const running = new Map<Site, RunningSite>();
  const start = async (site: Site): Promise<void> => {
    const onEvent = (event: Record<string, unknown>): void => {
      if (Number(event.level) >= ERROR_LEVEL) problems.push(JSON.stringify(event));
    };
    running.set(site, await startSite(site, { onEvent }));
  };
  owned.defer(async () => {
    for (const site of running.values()) await site[Symbol.asyncDispose]();
  });
  try {
    for (const site of [acme, corp]) await start(site);
  } catch (error) {
    await owned.disposeAsync();
    throw error;
  }
  return {
    ...{ acme, corp, problems, caPath: join(directory, 'ca.pem'), account },
    pid: (site) => running.get(site)?.pid ?? 0,
    async restart(site, { kill = false } = {}) {
      if (kill) await running.get(site)?.kill();
      await running.get(site)?.[Symbol.asyncDispose]();
      await start(site);
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

export async function account(site: Site, local: string): Promise<Person> {
  const mailbox = `${local}@${site.domain}`;
  const { password } = (await runJson(site, ['account', 'add', mailbox])) as { password: string };
  return { site, mailbox, password };
}
