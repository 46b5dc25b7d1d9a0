/** Two whole bridges as programs of their own, over databases that a test can look into, with all that they log. */
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parse, stringify } from 'yaml';
import type { Person } from '../../src/admin/demo/mail-clients.ts';
import { layOutSites, type RunningSite, runJson, type Site, startSite } from '../../src/admin/demo/sites.ts';
import { temporaryDirectory } from '../../src/admin/demo/temporary-directory.ts';
import { createEvents } from '../../src/events.ts';
import { createKeystore, type Keystore } from '../../src/keystore/keystore.ts';
import { readServerKey } from '../../src/keystore/server-key.ts';
import { createLogger } from '../../src/log.ts';
import { type OpenedDatabase, openDatabase } from '../../src/store/database.ts';
import { newDatabase } from './database.ts';

export interface LookedInto {
  readonly site: Site;
  readonly opened: OpenedDatabase;
  /** What whoever has the server key can open. */
  readonly keystore: Keystore;
  readonly serverKey: Uint8Array;
  /** Lines of the log. */
  readonly log: string[];
  addAccount(local: string): Promise<Person>;
}

export interface BridgePair extends AsyncDisposable {
  readonly acme: LookedInto;
  readonly corp: LookedInto;
  /** Ends both programs; the databases stay open. */
  stop(): Promise<void>;
}

export const silentEvents = () => createEvents(createLogger({ level: 'silent' }));

/** `quiet`: no work for messages, and a short log, for tests that send many. */
export async function startBridgePair({ quiet = false } = {}): Promise<BridgePair> {
  const owned = new AsyncDisposableStack();
  const directory = await temporaryDirectory('pair');
  owned.defer(() => rm(directory, { recursive: true, force: true }));
  // What is kept of sent mail is kept by the mail programs of the tests, or not at all.
  const imap = { save_sent: false };
  const proof_of_work = { zero_bits: quiet ? 0 : 4, threads: 1 };
  const settings = { imap, proof_of_work, log: { level: quiet ? 'info' : 'trace' } };
  const sites = await layOutSites({ directory, domains: ['acme.test', 'corp.test'], settings });
  const running: RunningSite[] = [];
  const [acme, corp] = (await Promise.all(
    sites.map(async (site) => {
      const log: string[] = [];
      const connection = await newDatabase();
      await useDatabase(site, connection as { host: string; port: number; user: string; database: string });
      running.push(await startSite(site, { onEvent: (event) => void log.push(JSON.stringify(event)) }));
      return lookInto(site, {
        log,
        opened: owned.use(await openDatabase({ connection, onError: () => undefined })),
      });
    }),
  )) as [LookedInto, LookedInto];
  const stop = async (): Promise<void> => {
    for (const site of running.splice(0)) await site[Symbol.asyncDispose]();
  };
  owned.defer(stop);
  return { acme, corp, stop, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

export async function useDatabase(
  site: Site,
  at: { host: string; port: number; user: string; database: string },
): Promise<void> {
  const config = parse(await readFile(site.configPath, 'utf8')) as object;
  const url = `postgresql://${at.user}@localhost/${at.database}?host=${encodeURIComponent(at.host)}&port=${at.port}`;
  await writeFile(site.configPath, stringify({ ...config, database: { url } }));
}

async function lookInto(site: Site, has: { log: string[]; opened: OpenedDatabase }): Promise<LookedInto> {
  const serverKey = await readServerKey(join(site.directory, 'data', 'server.key'));
  const keystore = createKeystore({ db: has.opened.db, serverKey });
  return {
    ...{ site, serverKey, keystore },
    ...has,
    async addAccount(local) {
      const mailbox = `${local}@${site.domain}`;
      const { password } = (await runJson(site, ['account', 'add', mailbox])) as { password: string };
      return { site, mailbox, password };
    },
  };
}
