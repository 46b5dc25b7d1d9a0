/** One PostgreSQL for the whole run, in a directory of its own that goes when the run ends. */
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { temporaryDirectory } from '../../src/admin/demo/temporary-directory.ts';
import { openDatabase } from '../../src/store/database.ts';
import { ensureDatabase, removeCluster, startEmbeddedPostgres } from '../../src/store/embedded.ts';

declare module 'vitest' {
  export interface ProvidedContext {
    postgres: { host: string; port: number; user: string };
  }
}

export const TEMPLATE_DATABASE = 'template_bridge';

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const directory = await temporaryDirectory('test');
  // Nothing here outlives the run; and vacuuming in turn the hundreds of databases that tests make takes a core of its own.
  const flags = [
    ...['fsync=off', 'synchronous_commit=off', 'full_page_writes=off', 'autovacuum=off'],
    ...['wal_level=minimal', 'max_wal_senders=0', 'max_wal_size=2GB'],
  ];
  const postgres = await startEmbeddedPostgres({ directory: join(directory, 'pg'), flags });
  await ensureDatabase(postgres, TEMPLATE_DATABASE);
  const template = await openDatabase({
    connection: { ...postgres.connection, database: TEMPLATE_DATABASE },
    onError: (error) => {
      throw error;
    },
  });
  await template[Symbol.asyncDispose]();
  project.provide('postgres', postgres.connection);
  return async () => {
    await postgres[Symbol.asyncDispose]();
    await removeCluster(directory);
  };
}
