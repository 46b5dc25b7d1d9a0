/** The program: the command line, and the signals that end it. A second signal ends it at once. */
import { runCommandLine } from './admin/cli.ts';

const ending = new AbortController();
const end = (): void => {
  if (ending.signal.aborted) process.exit(130);
  ending.abort();
};
process.on('SIGINT', end);
process.on('SIGTERM', end);

process.exitCode = await runCommandLine(process.argv.slice(2), { stop: ending.signal });
