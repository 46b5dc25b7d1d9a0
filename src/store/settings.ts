/** Single values that belong to the whole database. */
import type { Executor } from './database.ts';

export async function findSetting(db: Executor, name: string): Promise<string | null> {
  const row = await db.selectFrom('setting').select('value').where('name', '=', name).executeTakeFirst();
  return row?.value ?? null;
}

/** Sets what is not set yet; of several processes the first one wins. Returns the value that stands. */
export async function settle(db: Executor, name: string, value: string): Promise<string> {
  await db
    .insertInto('setting')
    .values({ name, value })
    .onConflict((conflict) => conflict.doNothing())
    .execute();
  const row = await db.selectFrom('setting').select('value').where('name', '=', name).executeTakeFirstOrThrow();
  return row.value;
}
