/**
 * `npm run stress`: many clients at one mailbox of a real server, doing random things, with every letter accounted for.
 *
 *   npm run stress -- [--minutes N] [--clients N] [--seed S] [--kill]
 *
 * With `--kill` the server is killed and started again every few seconds. Ends with 1 when something was wrong.
 */
import { rm } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { layOutSites, type RunningSite, runJson, type Site, startSite } from '../../src/admin/demo/sites.ts';
import { temporaryDirectory } from '../../src/admin/demo/temporary-directory.ts';
import { Random } from '../fuzz/random.ts';
import { stress } from './run.ts';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '5' },
    clients: { type: 'string', default: '10' },
    seed: { type: 'string', default: '20260301' },
    kill: { type: 'boolean', default: false },
  },
});
const [minutes, clients, seed] = [values.minutes, values.clients, values.seed].map(Number) as [number, number, number];
const STEPS = 60;
/** A server lives so long at least, and twice as long at most. */
const LIFE_MS = 4_000;
const say = (line: string): void => void process.stdout.write(`${line}\n`);

/** The server, killed and started again when its time has come. */
class KilledSite implements AsyncDisposable {
  kills = 0;
  readonly problems: string[] = [];
  readonly #site: Site;
  readonly #random = new Random(seed, 'kill');
  #running: RunningSite | null = null;
  #timer: NodeJS.Timeout | null = null;
  /** When it is killed next; a comparison may put it off. */
  #dueMs = 0;
  #restarting: Promise<void> = Promise.resolve();

  constructor(site: Site) {
    this.#site = site;
  }

  async start(): Promise<void> {
    this.#running = await startSite(this.#site, {
      roles: 'imap',
      onEvent: (event) => {
        if (Number(event.level) >= 50) this.problems.push(JSON.stringify(event));
      },
    });
  }

  stir(): void {
    if (!values.kill || this.#timer !== null) return;
    if (this.#dueMs === 0) this.#dueMs = Date.now() + LIFE_MS * (1 + this.#random.next());
    this.#timer = setTimeout(
      () => {
        this.#dueMs = 0;
        this.#restarting = this.#killAndStart().then(() => {
          this.#timer = null;
          this.stir();
        });
      },
      Math.max(0, this.#dueMs - Date.now()),
    );
  }

  async #killAndStart(): Promise<void> {
    this.kills += 1;
    await this.#running?.kill();
    await this.start();
  }

  async calm(): Promise<void> {
    await this.#restarting;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.calm();
    await this.#running?.[Symbol.asyncDispose]();
  }
}

const directory = await temporaryDirectory('stress');
try {
  process.exitCode = (await run()) ? 0 : 1;
} finally {
  await rm(directory, { recursive: true, force: true });
}

async function run(): Promise<boolean> {
  const settings = {
    limits: { connections_per_account: 100, connections_per_address: 200 },
    log: { level: 'info' },
  };
  const [site] = await layOutSites({ directory, domains: ['corp.test'], settings });
  if (site === undefined) throw new Error('no site');
  await using killed = new KilledSite(site);
  await killed.start();
  const { password } = (await runJson(site, ['account', 'add', 'stress@corp.test'])) as { password: string };
  const server = { port: () => site.ports.imaps, ca: site.ca, user: 'stress@corp.test', password };
  const until = Date.now() + minutes * 60_000;
  say(`${clients} clients, ${minutes} minutes, seed ${seed}${values.kill ? ', killing the server' : ''}`);
  const result = await stress({
    ...{ server, clients, seed, steps: STEPS, mayLose: values.kill },
    goesOn: () => Date.now() < until,
    stir: () => killed.stir(),
    calm: () => killed.calm(),
  });
  for (const mistake of result.mistakes) say(`MISTAKE ${mistake}`);
  for (const problem of killed.problems.slice(0, 20)) say(`SERVER ${problem}`);
  say(
    `${result.steps} steps, ${result.letters} letters, ${result.rounds} comparisons, ${killed.kills} kills, ` +
      `${result.lost} connections lost, ${result.mistakes.length} mistakes, ${killed.problems.length} errors logged`,
  );
  return result.mistakes.length === 0 && killed.problems.length === 0;
}
