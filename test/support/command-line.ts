/** The command line as an operator uses it, over a database of the test; what it prints is caught. */
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type pg from 'pg';
import { type MockInstance, vi } from 'vitest';
import { runCommandLine } from '../../src/admin/cli.ts';
import { temporaryDirectory } from '../../src/admin/demo/temporary-directory.ts';

export type Ended = { exitCode: number; stdout: string; stderr: string };

export interface CommandLine extends AsyncDisposable {
  run(...args: string[]): Promise<Ended>;
  /** What it printed with `--json`. Throws when it failed. */
  json(...args: string[]): Promise<unknown>;
}

function databaseUrl({ host, port, user, password, database }: pg.PoolConfig): string {
  const login = `${user ?? ''}:${encodeURIComponent(String(password ?? ''))}`;
  return `postgres://${login}@localhost:${port}/${database}?host=${encodeURIComponent(host ?? 'localhost')}`;
}

/** `settings`: lines of the configuration besides domain, database and directory. `serverKey`: 32 bytes. */
export async function commandLine(
  connection: pg.PoolConfig,
  { settings = [], serverKey = null }: { settings?: string[]; serverKey?: Buffer | null } = {},
): Promise<CommandLine> {
  const directory = await temporaryDirectory('bridge');
  const config = join(directory, 'config.yaml');
  const lines = ['domains: [corp.test]', 'base_url: https://smimp.corp.test', `data_directory: ${directory}`];
  await writeFile(config, [...lines, `database: { url: '${databaseUrl(connection)}' }`, ...settings].join('\n'));
  if (serverKey !== null)
    await writeFile(join(directory, 'server.key'), `${serverKey.toString('hex')}\n`, { mode: 0o600 });
  const run = async (...args: string[]): Promise<Ended> => {
    const [stdout, stderr] = [caught(process.stdout), caught(process.stderr)];
    try {
      const stop = new AbortController().signal;
      const exitCode = await runCommandLine([...args, '--config', config], { stop });
      return { exitCode, stdout: stdout.lines.join(''), stderr: stderr.lines.join('') };
    } finally {
      for (const { spy } of [stdout, stderr]) spy.mockRestore();
    }
  };
  return {
    run,
    async json(...args) {
      const { exitCode, stdout, stderr } = await run(...args, '--json');
      if (exitCode !== 0) throw new Error(`${args.join(' ')} ended with ${exitCode}: ${stderr}`);
      return JSON.parse(stdout);
    },
    [Symbol.asyncDispose]: () => rm(directory, { recursive: true }),
  };
}

function caught(stream: NodeJS.WriteStream): { lines: string[]; spy: MockInstance } {
  const lines: string[] = [];
  const spy = vi.spyOn(stream, 'write').mockImplementation((chunk) => {
    lines.push(String(chunk));
    return true;
  });
  return { lines, spy };
}
