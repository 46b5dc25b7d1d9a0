/** What clients list of messages, sealed with the account key; and references of mail programs to messages. */
import type { Insertable, Selectable } from 'kysely';
import { sql } from 'kysely';
import type { Executor, Tx } from './database.ts';
import type { ContentTable } from './schema.ts';

/** What is listed of a message. */
export type StoredContent = Omit<Selectable<ContentTable>, 'rendered'>;
/** The rendered bytes of a small message. */
export type StoredRendered = { message_id: Buffer; sealed_for: Buffer; rendered: Buffer };

export async function insertContents(db: Executor, contents: Insertable<ContentTable>[]): Promise<void> {
  if (contents.length > 0) await db.insertInto('content').values(contents).execute();
}

export async function replaceContent(db: Executor, content: Insertable<ContentTable>): Promise<void> {
  const { renderer_version, sealed, sealed_for, rendered = null } = content;
  const replaced = { renderer_version, sealed, sealed_for, rendered };
  await db
    .insertInto('content')
    .values(content)
    .onConflict((conflict) => conflict.column('message_id').doUpdateSet(replaced))
    .execute();
}

export function findContents(db: Executor, accountId: number, messageIds: Buffer[]): Promise<StoredContent[]> {
  return db
    .selectFrom('content')
    .select(['message_id', 'account_id', 'renderer_version', 'sealed', 'sealed_for'])
    .where('account_id', '=', accountId)
    .where(sql<boolean>`message_id = any(${messageIds}::bytea[])`)
    .execute();
}

/** Of those of the messages whose rendered bytes are kept. */
export async function findRendered(db: Executor, accountId: number, messageIds: Buffer[]): Promise<StoredRendered[]> {
  const rows = await db
    .selectFrom('content')
    .select(['message_id', 'sealed_for', 'rendered'])
    .where('account_id', '=', accountId)
    .where('rendered', 'is not', null)
    .where(sql<boolean>`message_id = any(${messageIds}::bytea[])`)
    .execute();
  return rows as StoredRendered[];
}

/** Adds the rendered bytes to what is stored of a message, as `seal` gives them for what its content is sealed for. */
export async function keepRendered(
  db: Executor,
  messageId: Buffer,
  seal: (sealedFor: Buffer) => Buffer,
): Promise<void> {
  const row = await db
    .selectFrom('content')
    .select('sealed_for')
    .where('message_id', '=', messageId)
    .where('rendered', 'is', null)
    .executeTakeFirst();
  if (row === undefined) return;
  // What was replaced meanwhile is sealed for something else, and may have other bytes.
  await db
    .updateTable('content')
    .set({ rendered: seal(row.sealed_for) })
    .where('message_id', '=', messageId)
    .where('sealed_for', '=', row.sealed_for)
    .where('rendered', 'is', null)
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
