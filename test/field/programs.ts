/** Running programs of others: with a home directory of their own, with what they say kept, never for longer than a limit. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { promisify } from 'node:util';

const run = promisify(execFile);
const TIMEOUT_MS = 300_000;
const END_MS = 2_000;

export interface Outcome {
  /** Null when it was killed. */
  readonly code: number | null;
  readonly stdout: Buffer;
  readonly stderr: string;
  /** Both, as text, for messages about failures. */
  readonly said: string;
}

export interface HowToRun {
  /** The home directory it sees, and where it is run. */
  readonly home: string;
  readonly cwd?: string;
  readonly input?: Buffer | string;
  readonly variables?: Readonly<Record<string, string>>;
  readonly timeoutMs?: number;
}

/** Those that are not on the PATH. */
export async function missingPrograms(names: readonly string[]): Promise<string[]> {
  const missing: string[] = [];
  for (const name of names) {
    const isThere = await run('sh', ['-c', 'command -v "$0"', name]).then(
      () => true,
      () => false,
    );
    if (!isThere) missing.push(name);
  }
  return missing;
}

/** Starts a program that its caller ends. `env` sets variables besides those that this process has. */
export function startProgram(name: string, args: readonly string[], how: HowToRun): ChildProcess {
  const variables = Object.entries({ HOME: how.home, LC_ALL: 'C.UTF-8', ...how.variables });
  const set = variables.map(([variable, value]) => `${variable}=${value}`);
  return spawn('env', [...set, name, ...args], { cwd: how.cwd ?? how.home, stdio: 'pipe' });
}

/** Resolves when it has ended; one that is still there after the limit is killed. */
export async function runProgram(name: string, args: readonly string[], how: HowToRun): Promise<Outcome> {
  return outcomeOf(startProgram(name, args, how), how);
}

/** Of a program that runs: gives it its input and waits for its end. */
export async function outcomeOf(child: ChildProcess, how: HowToRun): Promise<Outcome> {
  const out: Buffer[] = [];
  const err: Buffer[] = [];
  child.stdout?.on('data', (chunk: Buffer) => out.push(chunk));
  child.stderr?.on('data', (chunk: Buffer) => err.push(chunk));
  // One that ends without reading its input is no failure of ours.
  child.stdin?.on('error', () => undefined);
  child.stdin?.end(how.input ?? '');
  const timer = setTimeout(() => child.kill('SIGKILL'), how.timeoutMs ?? TIMEOUT_MS);
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  clearTimeout(timer);
  const [stdout, stderr] = [Buffer.concat(out), Buffer.concat(err).toString('utf8')];
  return { code, stdout, stderr, said: `${stdout.toString('utf8')}${stderr}`.trim() };
}

/** As runProgram; throws with what it said unless it ended well. */
export async function succeed(name: string, args: readonly string[], how: HowToRun): Promise<Outcome> {
  const outcome = await runProgram(name, args, how);
  if (outcome.code !== 0) throw new Error(`${name} ${args.join(' ')} ended with ${outcome.code}: ${outcome.said}`);
  return outcome;
}

/** Asks a program to end, and ends it when it does not. */
export async function endProgram(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), END_MS);
  await ended;
  clearTimeout(timer);
}
