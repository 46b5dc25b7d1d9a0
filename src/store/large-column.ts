/** Reading and writing columns of many megabytes: in slices, so that no query holds a second copy of all. */
import { type AliasedRawBuilder, type RawBuilder, sql } from 'kysely';
import { randomBytes } from '../smimp/crypto.ts';
import { view } from '../smimp/encoding.ts';
import type { Executor } from './database.ts';

/** PostgreSQL sends bytes as text of twice the size; in slices that is never more than this at a time. */
const SLICE_BYTES = 2 * 1024 * 1024;
const ID_BYTES = 16;

/** Whether writing it needs a transaction. */
export function isLarge(bytes: Uint8Array | undefined): boolean {
  return bytes !== undefined && bytes.byteLength > SLICE_BYTES;
}

/**
 * What stands for `bytes` in an INSERT or UPDATE of this transaction. Large ones are sent ahead, and the statement puts them
 * together.
 */
export async function writeLarge(db: Executor, bytes: Uint8Array): Promise<RawBuilder<Buffer>> {
  const whole = view(bytes);
  if (!isLarge(whole)) return sql<Buffer>`${whole}::bytea`;
  const id = await sendAhead(db, whole);
  return sql<Buffer>`(select string_agg(bytes, ''::bytea order by part) from pg_temp.large_value where id = ${id})`;
}

/** The same in the text of a statement (statement.ts), where the id stands at `place`. */
export function largeValue(place: string): string {
  return `(select string_agg(bytes, ''::bytea order by part) from pg_temp.large_value where id = ${place}::bytea)`;
}

/**
 * Sends a large value slice by slice into a table that only this connection sees and that ends with the transaction; the id
 * that it has there.
 */
export async function sendAhead(db: Executor, whole: Buffer): Promise<Buffer> {
  if (!db.isTransaction) throw new TypeError('a large value is written in a transaction');
  await sql`create temporary table if not exists large_value (id bytea, part int, bytes bytea) on commit drop`.execute(
    db,
  );
  const id = randomBytes(ID_BYTES);
  for (let part = 0; part * SLICE_BYTES < whole.length; part += 1) {
    const slice = whole.subarray(part * SLICE_BYTES, (part + 1) * SLICE_BYTES);
    await sql`insert into pg_temp.large_value values (${id}, ${part}, ${slice})`.execute(db);
  }
  return id;
}

type Slice = (column: string) => [AliasedRawBuilder<Buffer, 'part'>, AliasedRawBuilder<number, 'total'>];

type Part = { part: Buffer; total: number };

/** Null: no such row. Written once and never changed, so the slices belong together. */
export async function readLarge(read: (slice: Slice) => Promise<Part | undefined>): Promise<Buffer | null> {
  return (await readLargeRow(read))?.bytes ?? null;
}

/** As readLarge, with what else was read of the row. */
export async function readLargeRow<Row extends Part>(
  read: (slice: Slice) => Promise<Row | undefined>,
): Promise<{ row: Row; bytes: Buffer } | null> {
  const first = await read((column) => slice(column, 0));
  if (first === undefined) return null;
  if (first.part.length === first.total) return { row: first, bytes: first.part };
  const bytes = await readRest(first, (offset) => read((column) => slice(column, offset)));
  return bytes === null ? null : { row: first, bytes };
}

async function readRest(first: Part, from: (offset: number) => Promise<Part | undefined>): Promise<Buffer | null> {
  const whole = Buffer.allocUnsafe(first.total);
  let at = first.part.copy(whole);
  while (at < whole.length) {
    const next = await from(at);
    if (next === undefined || next.part.length === 0) return null;
    at += next.part.copy(whole, at);
  }
  return whole;
}

function slice(column: string, offset: number): ReturnType<Slice> {
  const bytes = sql.ref<Buffer>(column);
  return [
    sql<Buffer>`substring(${bytes} from ${offset + 1}::int for ${SLICE_BYTES}::int)`.as('part'),
    sql<number>`length(${bytes})`.as('total'),
  ];
}
