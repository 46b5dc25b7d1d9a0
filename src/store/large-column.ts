/** Reading columns of many megabytes. */
import { type AliasedRawBuilder, sql } from 'kysely';

/** PostgreSQL sends bytes as text of twice the size; in slices that is never more than this at a time. */
const SLICE_BYTES = 2 * 1024 * 1024;

type Slice = (column: string) => [AliasedRawBuilder<Buffer, 'part'>, AliasedRawBuilder<number, 'total'>];

/** Null: no such row. Written once and never changed, so the slices belong together. */
export async function readLarge(
  read: (slice: Slice) => Promise<{ part: Buffer; total: number } | undefined>,
): Promise<Buffer | null> {
  const from = (offset: number) => read((column) => slice(column, offset));
  const first = await from(0);
  if (first === undefined || first.part.length === first.total) return first?.part ?? null;
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
