/** A fresh, migrated database for one test file or one test. */
import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { inject } from 'vitest';
import { type Channel, type OpenedDatabase, openDatabase } from '../../src/store/database.ts';
import { TEMPLATE_DATABASE } from './global-setup.ts';

const CHANNELS: Channel[] = ['mailbox_changed', 'mail_received', 'delivery_ready'];

/** Connection settings of a new database made from the migrated template. */
export async function newDatabase(): Promise<pg.PoolConfig> {
  const connection = inject('postgres');
  const database = `test_${randomUUID().replaceAll('-', '')}`;
  const client = new pg.Client({ ...connection, database: 'postgres' });
  await client.connect();
  try {
    await client.query(`create database ${database} template ${TEMPLATE_DATABASE}`);
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
