/**
 * `npm run field`: programs that people have, used as they use them, against bridges of their own on loopback.
 *
 *   npm run field -- [names] [--minutes N]
 *
 * Names choose trials (one that no trial has shows all there are); `--minutes` is how long the long sessions last. One line
 * for each check; a trial whose programs are not on the PATH says so and counts for nothing. Ends with 1 when a check failed.
 */
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { temporaryDirectory } from '../../src/admin/demo/temporary-directory.ts';
import { missingPrograms } from './programs.ts';
import { Findings, type Trial } from './trial.ts';
import { TRIALS } from './trials.ts';
import { openWorld, type World } from './world.ts';

const { values, positionals } = parseArgs({
  options: { minutes: { type: 'string', default: '10' } },
  allowPositionals: true,
});
const minutes = Number(values.minutes);
const say = (line: string): void => void process.stdout.write(`${line}\n`);
const unknown = positionals.filter((name) => !TRIALS.some((trial) => trial.name === name));
if (unknown.length > 0 || !(minutes > 0)) {
  const known = TRIALS.map(({ name, what }) => `  ${name.padEnd(12)} ${what}`);
  process.stderr.write(`usage: npm run field -- [names] [--minutes N], names of\n${known.join('\n')}\n`);
  process.exit(64);
}
const chosen = TRIALS.filter(({ name }) => positionals.length === 0 || positionals.includes(name));

const findings = new Findings(say);
const directory = await temporaryDirectory('field');
const owned = new AsyncDisposableStack();
owned.defer(() => rm(directory, { recursive: true, force: true }));
let opened: Promise<World> | null = null;
try {
  for (const trial of chosen) await runTrial(trial);
} finally {
  await owned.disposeAsync();
}
const skipped = findings.skipped > 0 ? `, ${findings.skipped} trials skipped` : '';
say(`${findings.passed} checks passed, ${findings.failed} failed${skipped}`);
process.exitCode = findings.failed > 0 ? 1 : 0;

/** Two bridges for all trials that want some; each makes accounts of its own there. */
function world(): Promise<World> {
  opened ??= openWorld(join(directory, 'world')).then((one) => owned.use(one));
  return opened;
}

async function runTrial({ name, programs, run }: Trial): Promise<void> {
  const missing = await missingPrograms(programs);
  if (missing.length > 0) {
    findings.skip(name, missing);
    return;
  }
  const own = join(directory, name);
  await mkdir(own);
  const startMs = performance.now();
  try {
    await run({ directory: own, minutes, world, ...findings.of(name) });
  } catch (error) {
    findings.of(name).check('goes on to its end', [String(error instanceof Error ? error.stack : error)]);
  }
  say(`${name}: ${((performance.now() - startMs) / 1_000).toFixed(0)} s`);
}
