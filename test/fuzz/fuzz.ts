/**
 * `npm run fuzz`: every decoder of the program against spoilt input, 60 s each.
 *
 *   npm run fuzz -- [--seconds N] [--runs N] [--only NAME[,NAME]] [--seed S] [--list]
 *
 * Ends with 1 when something was found; what it prints then is enough to find it again.
 */
import { parseArgs } from 'node:util';
import { fuzz, type Outcome } from './engine.ts';
import { TARGETS } from './targets/all.ts';

const DEFAULT_SECONDS = 60;
const DEFAULT_SEED = 20_260_101;
/** A finding is shown whole up to here. */
const SHOWN_BYTES = 4_096;

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: String(DEFAULT_SECONDS) },
    runs: { type: 'string', default: String(Number.MAX_SAFE_INTEGER) },
    only: { type: 'string' },
    seed: { type: 'string', default: String(DEFAULT_SEED) },
    list: { type: 'boolean', default: false },
  },
});
const say = (line: string): void => void process.stdout.write(`${line}\n`);
const wanted = values.only?.split(',') ?? TARGETS.map(({ name }) => name);
const unknown = wanted.filter((name) => !TARGETS.some((target) => target.name === name));
const limits = { seed: Number(values.seed), seconds: Number(values.seconds), runs: Number(values.runs) };

if (values.list) for (const { name } of TARGETS) say(name);
else if (unknown.length > 0) {
  say(`no such decoder: ${unknown.join(', ')}. There are: ${TARGETS.map(({ name }) => name).join(', ')}`);
  process.exitCode = 2;
} else process.exitCode = (await fuzzAll()) ? 0 : 1;

async function fuzzAll(): Promise<boolean> {
  say(`seed ${limits.seed}, ${limits.seconds} s each`);
  const outcomes: Outcome[] = [];
  for (const target of TARGETS.filter(({ name }) => wanted.includes(name))) {
    const outcome = await fuzz(target, limits);
    outcomes.push(outcome);
    say(line(outcome));
    if (outcome.finding !== null) report(outcome);
  }
  const found = outcomes.filter(({ finding }) => finding !== null);
  const runs = outcomes.reduce((sum, outcome) => sum + outcome.runs, 0);
  say(`${outcomes.length} decoders, ${runs} inputs, ${found.length} with findings`);
  return found.length === 0;
}

function line({ name, runs, seconds, accepted, ends, slowestMs, peakMiB, finding }: Outcome): string {
  const perSecond = Math.round(runs / Math.max(seconds, 0.001));
  const share = `${((100 * accepted) / Math.max(runs, 1)).toFixed(0)} % taken`;
  const bounds = `slowest ${slowestMs.toFixed(1)} ms, ${peakMiB.toFixed(0)} MiB more`;
  const verdict = finding === null ? 'held' : 'BROKEN';
  return `${name.padEnd(18)} ${String(perSecond).padStart(7)} /s ${String(runs).padStart(9)} inputs, ${share}, ${ends} ends, ${bounds}: ${verdict}`;
}

function report({ name, finding }: Outcome): void {
  if (finding === null) return;
  const { kind, what, input, minimised } = finding;
  say(`  ${kind}: ${what}`);
  say(`  again: npm run fuzz -- --only ${name} --seed ${limits.seed} --runs ${input + 1}`);
  say(`  ${minimised.length} bytes: ${JSON.stringify(minimised.subarray(0, SHOWN_BYTES).toString('latin1'))}`);
  say(`  base64: ${minimised.subarray(0, SHOWN_BYTES).toString('base64')}`);
}
