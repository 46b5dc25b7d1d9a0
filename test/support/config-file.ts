/** A configuration file for the bridge over a test database, in a directory of its own that goes with it. */
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { PoolConfig } from 'pg';
import { temporaryDirectory } from '../../src/admin/demo/temporary-directory.ts';

export interface ConfigFile extends AsyncDisposable {
  readonly path: string;
}

/** `more`: further lines of YAML. The server key is that of the sites in this folder. */
export async function configFile(connection: PoolConfig, more: readonly string[] = []): Promise<ConfigFile> {
  const directory = await temporaryDirectory('config');
  const { host = '', port = 5432, user = '', database = '' } = connection;
  const place = `host=${encodeURIComponent(host)}&port=${port}`;
  await writeFile(join(directory, 'server.key'), `${'07'.repeat(32)}\n`, { mode: 0o600 });
  const lines = [
    `data_directory: ${directory}`,
    'database:',
    `  url: postgres://${user}@localhost/${database}?${place}`,
    'domains: [corp.test]',
    'log: { level: silent }',
    ...more,
  ];
  const path = join(directory, 'bridge.yaml');
  await writeFile(path, lines.join('\n'));
  return {
    path,
    async [Symbol.asyncDispose]() {
      await rm(directory, { recursive: true, force: true });
    },
  };
}
