/**
 * The one way to PostgreSQL: a Kysely over a pool, migrations at start, and LISTEN/NOTIFY between processes.
 *
 * 64-bit integers are read as numbers: every counter of ours stays below 2^53, and one that does not is an error, not a
 * rounded number.
 */
import { EventEmitter } from 'node:events';
import { Kysely, PostgresDialect, type RawBuilder, sql, type Transaction } from 'kysely';
import { type Migration, Migrator } from 'kysely/migration';
import pg from 'pg';
import { PreparingClient, SteadyClient } from './connections.ts';
import * as first from './migrations/0001-first.ts';
import * as copies from './migrations/0002-copies.ts';
import * as listsQuotaAvatars from './migrations/0002-lists-quota-avatars.ts';
import * as proofOfWork from './migrations/0003-proof-of-work.ts';
import * as alarms from './migrations/0004-alarms.ts';
import * as mirror from './migrations/0005-mirror.ts';
import * as imap from './migrations/0008-imap.ts';
import * as gateway from './migrations/0009-gateway.ts';
import * as relay from './migrations/0010-relay.ts';
import * as epochs from './migrations/0011-epochs.ts';
import * as notes from './migrations/0012-notes.ts';
import * as outbox from './migrations/0012-outbox.ts';
import * as outboxSubmissions from './migrations/0012-outbox-submissions.ts';
import * as sent from './migrations/0012-sent.ts';
import * as trust from './migrations/0012-trust.ts';
import * as original from './migrations/0013-original.ts';
import * as saveDates from './migrations/0014-save-dates.ts';
import * as scram from './migrations/0015-scram.ts';
import * as threads from './migrations/0015-threads.ts';
import * as rendered from './migrations/0016-rendered.ts';
import * as imapRecent from './migrations/0017-imap-recent.ts';
import * as flagChanges from './migrations/0018-flag-changes.ts';
import * as ownPlace from './migrations/0021-own-place.ts';
import * as meansVersion from './migrations/0022-means-version.ts';
import type { Database } from './schema.ts';

export type Db = Kysely<Database>;
export type Tx = Transaction<Database>;
/** What a store function takes: it runs the same inside a transaction and outside. */
export type Executor = Db | Tx;

const MIGRATIONS: Record<string, Migration> = {
  '0001-first': first,
  '0002-copies': copies,
  '0002-lists-quota-avatars': listsQuotaAvatars,
  '0003-proof-of-work': proofOfWork,
  '0004-alarms': alarms,
  '0005-mirror': mirror,
  '0008-imap': imap,
  '0009-gateway': gateway,
  '0011-epochs': epochs,
  '0013-original': original,
  '0016-rendered': rendered,
  '0017-imap-recent': imapRecent,
  '0018-flag-changes': flagChanges,
  '0012-notes': notes,
  '0014-save-dates': saveDates,
  '0015-scram': scram,
  '0015-threads': threads,
  '0010-relay': relay,
  '0012-outbox': outbox,
  '0012-outbox-submissions': outboxSubmissions,
  '0012-sent': sent,
  '0012-trust': trust,
  '0021-own-place': ownPlace,
  '0022-means-version': meansVersion,
};
const INT8_OID = 20;

export interface OpenedDatabase extends AsyncDisposable {
  readonly db: Db;
  readonly listener: Listener;
  /** For BullMQ, which wants connection settings of its own. */
  readonly connection: pg.PoolConfig;
}

/** Opens the pool, brings the schema up to date (one process at a time does it) and starts listening. */
export async function openDatabase(options: {
  connection: pg.PoolConfig;
  poolSize?: number;
  onError: (error: Error) => void;
}): Promise<OpenedDatabase> {
  const connection = { ...options.connection, types: { getTypeParser } };
  const pool = new pg.Pool({ ...connection, max: options.poolSize ?? 20, Client: PreparingClient });
  // That the server goes down is no news to connections that are being ended.
  pool.on('error', (error) => {
    if (!pool.ending) options.onError(error);
  });
  const db: Db = new Kysely<Database>({ dialect: new PostgresDialect({ pool }) });
  await migrate(db);
  const listener = new Listener({ connection, onError: options.onError });
  return {
    db,
    listener,
    connection: { ...options.connection, Client: SteadyClient },
    async [Symbol.asyncDispose]() {
      await listener[Symbol.asyncDispose]();
      await db.destroy();
    },
  };
}

function getTypeParser(oid: number, format?: 'text' | 'binary'): (value: string) => unknown {
  if (oid === INT8_OID) return parseInt8;
  return pg.types.getTypeParser(oid, format as 'text');
}

function parseInt8(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value)) throw new RangeError('a 64-bit column holds a value beyond 2^53');
  return value;
}

async function migrate(db: Db): Promise<void> {
  const migrator = new Migrator({ db, provider: { getMigrations: async () => MIGRATIONS } });
  const { error } = await migrator.migrateToLatest();
  if (error === undefined) return;
  await db.destroy();
  throw new Error('The database could not be brought up to date', { cause: error });
}

/** The channels between processes. A payload is an account id or empty: ids only, never an address. */
export type Channel = 'mailbox_changed' | 'mail_received' | 'delivery_ready' | 'outbox_changed';
export const CHANNELS: readonly Channel[] = ['mailbox_changed', 'mail_received', 'delivery_ready', 'outbox_changed'];

/** Tells the other processes; within a transaction it is sent at commit, and equal ones are sent once. */
export async function notify(db: Executor, channel: Channel, payload: number | null): Promise<void> {
  await sql`select ${notifying(channel, payload)}`.execute(db);
}

/** As part of another statement. */
export function notifying(channel: Channel, payload: number | null): RawBuilder<unknown> {
  return sql`pg_notify(${channel}, ${payload === null ? '' : String(payload)})`;
}

const RECONNECT_MS = 500;

/**
 * Emits `channel` with the payload for every notification, and `reconnected` after a lost connection came back: what was
 * missed meanwhile must be looked for.
 */
export class Listener extends EventEmitter<Record<Channel, [payload: string]> & { reconnected: [] }> {
  #client: pg.Client | null = null;
  #closed = false;
  #retry: NodeJS.Timeout | null = null;
  readonly #connection: pg.ClientConfig;
  readonly #onError: (error: Error) => void;

  constructor(options: { connection: pg.ClientConfig; onError: (error: Error) => void }) {
    super();
    this.setMaxListeners(0);
    this.#connection = options.connection;
    this.#onError = options.onError;
  }

  async start(channels: readonly Channel[]): Promise<void> {
    const client = new pg.Client({ ...this.#connection, keepAlive: true });
    client.on('notification', ({ channel, payload }) => this.emit(channel as Channel, payload ?? ''));
    client.on('error', (error) => {
      this.#onError(error);
      this.#lost(client, channels);
    });
    client.on('end', () => this.#lost(client, channels));
    this.#client = client;
    await client.connect();
    for (const channel of channels) await client.query(`listen ${client.escapeIdentifier(channel)}`);
  }

  #lost(client: pg.Client, channels: readonly Channel[]): void {
    if (this.#closed || this.#client !== client) return;
    this.#client = null;
    this.#retry = setTimeout(() => {
      this.start(channels).then(
        () => this.emit('reconnected'),
        (error: Error) => {
          this.#onError(error);
          const failed = this.#client;
          if (failed !== null) this.#lost(failed, channels);
        },
      );
    }, RECONNECT_MS);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    if (this.#retry !== null) clearTimeout(this.#retry);
    await this.#client?.end().catch(this.#onError);
  }
}
