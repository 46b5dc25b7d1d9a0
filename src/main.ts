/**
 * The program: the command line, and the signals that end it. A second signal ends it at once, but not one that comes with the
 * first: Ctrl-C reaches the program and its launcher, which passes it on.
 */
import { runCommandLine } from './admin/cli.ts';
import { useSmallSlabs } from './memory/buffer-slabs.ts';

useSmallSlabs();

const ending = new AbortController();
const SAME_SIGNAL_MS = 1_000;
let endedAtMs = 0;
const end = (): void => {
  if (!ending.signal.aborted) endedAtMs = performance.now();
  else if (performance.now() - endedAtMs > SAME_SIGNAL_MS) process.exit(130);
  ending.abort();
};
process.on('SIGINT', end);
process.on('SIGTERM', end);

process.exitCode = await runCommandLine(process.argv.slice(2), { stop: ending.signal });
