/** What clients list of messages, sealed with the account key; and references of mail programs to messages. */
import type { Insertable, Selectable } from 'kysely';
import { sql } from 'kysely';
import type { Executor, Tx } from './database.ts';
import type { ContentTable } from './schema.ts';

export type StoredContent = Selectable<ContentTable>;

export async function insertContents(db: Executor, contents: Insertable<ContentTable>[]): Promise<void> {
  if (contents.length > 0) await db.insertInto('content').values(contents).execute();
}

export async function replaceContent(db: Executor, content: Insertable<ContentTable>): Promise<void> {
  const { renderer_version, sealed, sealed_for } = content;
  await db
    .insertInto('content')
    .values(content)
    .onConflict((conflict) => conflict.column('message_id').doUpdateSet({ renderer_version, sealed, sealed_for }))
    .execute();
}

export function findContents(db: Executor, accountId: number, messageIds: Buffer[]): Promise<StoredContent[]> {
  return db
    .selectFrom('content')
    .selectAll()
    .where('account_id', '=', accountId)
    .where(sql<boolean>`message_id = any(${messageIds}::bytea[])`)
    .execute();
}

/** Remembers what a Message-ID (keyed hash) stands for. The first one stays. */
export async function insertReference(tx: Tx, accountId: number, reference: Buffer, uid: Buffer): Promise<void> {
  await tx
    .insertInto('message_reference')
    .values({ account_id: accountId, reference, uid })
    .onConflict((conflict) => conflict.doNothing())
    .execute();
}

/** The uid that a Message-ID (keyed hash) stands for. */
export async function findReference(db: Executor, accountId: number, reference: Buffer): Promise<Buffer | null> {
  const row = await db
    .selectFrom('message_reference')
    .select('uid')
    .where('account_id', '=', accountId)
    .where('reference', '=', reference)
    .executeTakeFirst();
  return row?.uid ?? null;
}
