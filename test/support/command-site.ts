/**
 * A bridge as `smimp-bridge start` runs it (API and worker), with a configuration file of its own and a real database, and
 * commands that are run against it as the command line runs them, but for standard input and output.
 */
import { appendFile, rm } from 'node:fs/promises';
import { stringify } from 'yaml';
import { layOutSites, type Site } from '../../src/admin/demo/sites.ts';
import { temporaryDirectory } from '../../src/admin/demo/temporary-directory.ts';
import { CommandError, type Output } from '../../src/admin/output.ts';
import { type Bridge, openBridge } from '../../src/bridge.ts';
import { loadConfig } from '../../src/config.ts';
import { type Db, openDatabase } from '../../src/store/database.ts';
import { newDatabase } from './database.ts';

export type Ran = { code: number; json: unknown; text: string; error: string };

export interface CommandSite extends AsyncDisposable {
  readonly site: Site;
  readonly bridge: Bridge;
  /** Its database, for what no command can do. */
  readonly db: Db;
  readonly directory: string;
  /** Runs one command; `run` gets what every command gets. */
  run(run: (common: { output: Output; configPath: string }) => Promise<void>): Promise<Ran>;
}

export async function databaseUrl(): Promise<string> {
  const { host, port, user, database } = await newDatabase();
  const query = new URLSearchParams({ host: String(host), port: String(port), user: String(user) });
  return `postgresql:///${database}?${query.toString()}`;
}

export async function commandSite(domain: string): Promise<CommandSite> {
  const owned = new AsyncDisposableStack();
  const directory = await temporaryDirectory('commands');
  owned.defer(() => rm(directory, { recursive: true, force: true }));
  const [site] = await layOutSites({ directory, domains: [domain], settings: { log: { level: 'error' } } });
  if (site === undefined) throw new Error('no site');
  const url = await databaseUrl();
  await appendFile(site.configPath, stringify({ database: { url } }));
  const onError = (error: Error): void => process.emitWarning(error);
  const { db } = owned.use(await openDatabase({ connection: { connectionString: url }, poolSize: 2, onError }));
  const config = await loadConfig({ path: site.configPath });
  const bridge = owned.use(await openBridge({ config, roles: ['api', 'worker'] }));
  await bridge.listen();
  return {
    site,
    bridge,
    db,
    directory,
    run: (run) => runCommand(site.configPath, run),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

export async function runCommand(
  configPath: string,
  run: (common: { output: Output; configPath: string }) => Promise<void>,
): Promise<Ran> {
  const said: { json: unknown; text: string } = { json: null, text: '' };
  const output: Output = {
    result(value, text) {
      said.json = JSON.parse(JSON.stringify(value));
      said.text = text;
    },
    say: () => undefined,
  };
  try {
    await run({ output, configPath });
    return { code: 0, ...said, error: '' };
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    return { code: error.exitCode, ...said, error: error.message };
  }
}

/** What a command reads from standard input. */
export async function* typed(text: string | Buffer): AsyncGenerator<Buffer> {
  yield Buffer.from(text);
}
