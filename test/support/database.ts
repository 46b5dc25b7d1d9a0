/** A fresh, migrated database for one test file or one test. */
import { randomUUID } from 'node:crypto';
import { sql } from 'kysely';
import pg from 'pg';
import { inject } from 'vitest';
import { CHANNELS, type Db, type OpenedDatabase, openDatabase } from '../../src/store/database.ts';
import { TEMPLATE_DATABASE } from './global-setup.ts';

/** Where the kernel copies files, that takes half the time. */
const CLONES = process.platform === 'linux';
const STRATEGY = CLONES ? 'file_copy' : 'wal_log';

/** Connection settings of a new database made from the migrated template. */
export async function newDatabase(): Promise<pg.PoolConfig> {
  const connection = inject('postgres');
  const database = `test_${randomUUID().replaceAll('-', '')}`;
  const client = new pg.Client({ ...connection, database: 'postgres' });
  await client.connect();
  try {
    if (CLONES) await client.query('set file_copy_method = clone');
    await client.query(`create database ${database} template ${TEMPLATE_DATABASE} strategy ${STRATEGY}`);
  } finally {
    await client.end();
  }
  return { ...connection, database };
}

export async function testDatabase(): Promise<OpenedDatabase> {
  const opened = await openDatabase({
    connection: await newDatabase(),
    poolSize: 5,
    onError: (error) => process.emitWarning(error),
  });
  await opened.listener.start(CHANNELS);
  return opened;
}

export interface Backup {
  /** Puts the database back as it was, in place: its connections end, and come back by themselves. */
  restore(): Promise<void>;
}

/** A real copy of a database as it is now. */
export async function backUp(db: Db): Promise<Backup> {
  const connection = inject('postgres');
  const { rows } = await sql<{ name: string }>`select current_database() as name`.execute(db);
  const name = rows[0]?.name ?? '';
  const copy = `backup_${randomUUID().replaceAll('-', '')}`;
  /** PostgreSQL copies no database that others are connected to. */
  const alone = async (work: (client: pg.Client) => Promise<void>): Promise<void> => {
    const client = new pg.Client({ ...connection, database: 'postgres' });
    await client.connect();
    try {
      await client.query(`alter database ${name} allow_connections false`);
      await client.query('select pg_terminate_backend(pid) from pg_stat_activity where datname = $1', [name]);
      await work(client);
    } finally {
      await client.query(`alter database ${name} allow_connections true`);
      await client.end();
    }
  };
  await alone(async (client) => void (await client.query(`create database ${copy} template ${name}`)));
  return {
    restore: () =>
      alone(async (client) => {
        await client.query(`drop database ${name}`);
        await client.query(`create database ${name} template ${copy}`);
      }),
  };
}
