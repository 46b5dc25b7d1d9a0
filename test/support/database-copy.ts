/** All that a database holds, value by value, and whether a secret stands in it in any spelling. */
import { sql } from 'kysely';
import type { Db } from '../../src/store/database.ts';

export interface Value {
  /** `schema.table.column` */
  place: string;
  bytes: Buffer;
}

/** Every value of every table of every schema but PostgreSQL's own. Rows that are dead but not yet swept away are not seen. */
export async function everyValue(db: Db): Promise<Value[]> {
  const { rows } = await sql<{ schema: string; name: string }>`
    select table_schema as schema, table_name as name from information_schema.tables
    where table_type = 'BASE TABLE' and table_schema not in ('pg_catalog', 'information_schema')`.execute(db);
  const values: Value[] = [];
  for (const { schema, name } of rows) {
    const table = await sql<Record<string, unknown>>`select * from ${sql.table(`${schema}.${name}`)}`.execute(db);
    for (const row of table.rows)
      for (const [column, value] of Object.entries(row))
        if (value !== null) values.push({ place: `${schema}.${name}.${column}`, bytes: bytesOf(value) });
  }
  return values;
}

function bytesOf(value: unknown): Buffer {
  if (Buffer.isBuffer(value)) return value;
  return Buffer.from(typeof value === 'string' ? value : JSON.stringify(value), 'utf8');
}

/** Every way in which bytes may stand in other bytes: as they are, in hex, in base64 at each of its three offsets. */
export function spellings(secret: Buffer | string): Buffer[] {
  const bytes = Buffer.from(secret as string);
  const hex = bytes.toString('hex');
  const base64 = [0, 1, 2].map((offset) => {
    const text = Buffer.concat([Buffer.alloc(offset), bytes])
      .toString('base64')
      .replace(/=+$/, '');
    // The letters at the ends also hold bits of what stands beside.
    return text.slice(offset === 0 ? 0 : offset + 1, -1);
  });
  const url = base64.map((text) => text.replaceAll('+', '-').replaceAll('/', '_'));
  const utf16 = typeof secret === 'string' ? [Buffer.from(secret, 'utf16le')] : [];
  return [bytes, ...[hex, hex.toUpperCase(), ...base64, ...url].map((text) => Buffer.from(text)), ...utf16];
}

/** Where one of the secrets stands: `place: name`. */
export function findSecrets(values: readonly Value[], secrets: Readonly<Record<string, Buffer | string>>): string[] {
  const sought = Object.entries(secrets).flatMap(([name, secret]) =>
    spellings(secret).map((bytes) => ({ name, bytes })),
  );
  // All in one piece first, because nearly always nothing is there. What divides values is in no secret.
  const whole = Buffer.concat(values.flatMap(({ bytes }) => [bytes, DIVIDER]));
  const there = sought.filter(({ bytes }) => whole.includes(bytes));
  const found = there.flatMap(({ name, bytes: secret }) =>
    values.filter(({ bytes }) => bytes.includes(secret)).map(({ place }) => `${place}: ${name}`),
  );
  return [...new Set(found)];
}

const DIVIDER = Buffer.from('\0\n\0|\0\n\0');
