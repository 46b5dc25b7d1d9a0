/** What clients list of messages, sealed with the account key; and references of mail programs to messages. */
import type { Insertable, Selectable } from 'kysely';
import { sql } from 'kysely';
import type { Executor, Tx } from './database.ts';
import type { ContentTable } from './schema.ts';
import { statement } from './statement.ts';

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

/** Of those of the messages that there are, in any order. The bytes are the caller's, who may write over them. */
export async function findContents(db: Executor, accountId: number, messageIds: Buffer[]): Promise<StoredContent[]> {
  const rows = await sideBySide(db, { accountId, messageIds, column: 'sealed' });
  return rows.map(({ bytes: sealed, ...row }) => ({ ...row, account_id: accountId, sealed }));
}

/** Of those of the messages whose rendered bytes are kept. */
export async function findRendered(db: Executor, accountId: number, messageIds: Buffer[]): Promise<StoredRendered[]> {
  const rows = await sideBySide(db, { accountId, messageIds, column: 'rendered' });
  return rows.map(({ message_id, sealed_for, bytes: rendered }) => ({ message_id, sealed_for, rendered }));
}

const ID_BYTES = 32;
/** Bytes in one row: a few ordinary messages, or the indexes of many. From larger rows memory is slower to be had. */
export const ROW_BYTES = 32 * 1024;

type Found = Omit<StoredContent, 'account_id' | 'sealed'> & { bytes: Buffer };

/**
 * A sealed column of many messages, end to end in few rows. A row for each, with a buffer for each of its columns, would take
 * longer, and leave behind more to be collected than is in it.
 */
async function sideBySide(
  db: Executor,
  { accountId, messageIds, column }: { accountId: number; messageIds: Buffer[]; column: 'sealed' | 'rendered' },
): Promise<Found[]> {
  const bytes = sql.ref(column);
  type Row = { ids: Buffer; owners: Buffer; bytes: Buffer; lengths: string; versions: string };
  const { rows } = await sql<Row>`
    select string_agg(message_id, '' order by message_id) as ids, string_agg(sealed_for, '' order by message_id) as owners,
      string_agg(renderer_version::text, ',' order by message_id) as versions,
      string_agg(octet_length(bytes)::text, ',' order by message_id) as lengths,
      string_agg(bytes, '' order by message_id) as bytes
    from (
      select message_id, sealed_for, renderer_version, ${bytes} as bytes,
        sum(octet_length(${bytes})) over (order by message_id) / ${sql.lit(ROW_BYTES)} as part
      from content
      where account_id = ${accountId} and message_id = any(${messageIds}::bytea[]) and ${bytes} is not null
    ) as found
    group by part`.execute(db);
  return rows.flatMap(apart);
}

function apart({ ids, owners, bytes, lengths, versions }: Record<'ids' | 'owners' | 'bytes', Buffer> & Lists): Found[] {
  const version = versions.split(',');
  let at = 0;
  return lengths.split(',').map((length, place) => {
    const [start, from] = [at, place * ID_BYTES];
    at += Number(length);
    return {
      message_id: ids.subarray(from, from + ID_BYTES),
      sealed_for: owners.subarray(from, from + ID_BYTES),
      renderer_version: Number(version[place]),
      bytes: bytes.subarray(start, at),
    };
  });
}

type Lists = Record<'lengths' | 'versions', string>;

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
  const [row] = await findUid(db, { account: accountId, reference });
  return row?.uid ?? null;
}

const findUid = statement<{ account: number; reference: Buffer }, { uid: Buffer }>(
  'select uid from message_reference where account_id = :account and reference = :reference',
);
