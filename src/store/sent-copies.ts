/**
 * Which messages in the folder of sent mail have a twin to come: the bridge keeps one when mail is submitted, many programs
 * put one in themselves. The first of a pair waits here for the second, which then is the first.
 */
import type { Insertable, Selectable } from 'kysely';
import type { Executor, Tx } from './database.ts';
import type { SentCopyTable } from './schema.ts';

export type SentCopy = Selectable<SentCopyTable>;
export type SentSource = SentCopyTable['source'];

export async function insertSentCopy(tx: Tx, copy: Insertable<SentCopyTable>): Promise<void> {
  await tx.insertInto('sent_copy').values(copy).execute();
}

/** One that still lies in the folder and has no twin yet, the oldest first, with what its flags are kept in. */
export function findUnpaired(
  tx: Tx,
  wanted: { accountId: number; folderId: number; digest: Buffer; source: SentSource; since: Date },
) {
  return tx
    .selectFrom('sent_copy')
    .innerJoin('message', 'message.message_id', 'sent_copy.message_id')
    .select(['sent_copy.message_id', 'sent_copy.has_bcc', 'message.seq'])
    .where('sent_copy.account_id', '=', wanted.accountId)
    .where('digest', '=', wanted.digest)
    .where('source', '=', wanted.source)
    .where('sent_copy.saved_at', '>=', wanted.since)
    .where('message.folder_id', '=', wanted.folderId)
    .where('message.state', '=', 'shown')
    .orderBy('message.seq')
    .limit(1)
    .executeTakeFirst();
}

/** It has its twin. */
export async function forgetSentCopy(tx: Tx, messageId: Buffer): Promise<void> {
  await tx.deleteFrom('sent_copy').where('message_id', '=', messageId).execute();
}

/** No twin came for so long. */
export async function forgetUnpaired(db: Executor, before: Date): Promise<void> {
  await db.deleteFrom('sent_copy').where('saved_at', '<', before).execute();
}
