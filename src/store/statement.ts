/** Statements that are sent for every message: their text is put together once, and only the values change. */
import { CompiledQuery } from 'kysely';
import type { Executor } from './database.ts';

/** `:name`, but not the `::` of a cast. */
const PLACE = /(?<!:):([a-z_]+)/g;

/** `text` names its values as `:name`, each of them as often as it likes. */
export function statement<Values extends Record<string, unknown>, Row>(
  text: string,
): (db: Executor, values: Values) => Promise<readonly Row[]> {
  const names = [...new Set([...text.matchAll(PLACE)].map(([, name = '']) => name))];
  const numbered = text.replace(PLACE, (_place, name: string) => `$${names.indexOf(name) + 1}`);
  return async (db, values) => {
    const query = CompiledQuery.raw(
      numbered,
      names.map((name) => values[name]),
    ) as CompiledQuery<Row>;
    return (await db.executeQuery(query)).rows;
  };
}
