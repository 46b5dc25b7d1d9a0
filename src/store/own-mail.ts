/** Mail that its owner puts in: all that is asked before and all that is written, each in one statement. */
import type { Insertable } from 'kysely';
import { sql } from 'kysely';
import { advanced } from './accounts.ts';
import { notifying, type Tx } from './database.ts';
import { writeLarge } from './large-column.ts';
import type { NewMessage } from './messages.ts';
import { type DefaultQuota, UNLIMITED, type Usage } from './quota.ts';
import type { ContentTable } from './schema.ts';

/** What it takes to put mail in. Keys are null where there are none. */
export type OwnMeans = Usage & {
  hasFolder: boolean;
  master: { publicKey: Buffer; sealed: Buffer } | null;
  /** The newest non-ephemeral message key that was not replaced. */
  messageKey: Buffer | null;
  /** Of the owner's own history: how many records, and the last one's signed hash. */
  history: { records: number; last: Buffer | null };
};

/** The caller holds the mailbox, so that none of it changes before the mail is in. */
export async function ownMeans(
  tx: Tx,
  ask: { accountId: number; folderId: number; defaultQuota: DefaultQuota },
): Promise<OwnMeans> {
  const { accountId, folderId, defaultQuota } = ask;
  type Row = Record<'master_key' | 'master_sealed' | 'message_key' | 'last', Buffer | null> &
    Record<'size_bytes' | 'records', number> & { quota_bytes: number | null; has_folder: boolean };
  const { rows } = await sql<Row>`
    select account.size_bytes, account.quota_bytes,
      exists (select 1 from folder where id = ${folderId} and account_id = account.id) as has_folder,
      master.public_key as master_key, master.sealed as master_sealed, message.public_key as message_key,
      own.records, (select signed_hash from own_record where account_id = account.id order by seq desc limit 1) as last
    from account
    left join secret as master
      on master.account_id = account.id and master.purpose = 'master' and master.retired_at is null
    left join lateral (
      select public_key from secret
      where account_id = account.id and purpose = 'message' and kind = 'non-ephemeral' and retired_at is null
      order by created_at desc limit 1
    ) as message on true
    left join lateral (select count(*) as records from own_record where account_id = account.id) as own on true
    where account.id = ${accountId}`.execute(tx);
  const [row] = rows;
  if (row === undefined) throw new TypeError('there is no such account');
  const { master_key: publicKey, master_sealed: sealed } = row;
  return {
    usedBytes: row.size_bytes,
    quotaBytes: row.quota_bytes === UNLIMITED ? null : (row.quota_bytes ?? defaultQuota),
    hasFolder: row.has_folder,
    master: publicKey === null || sealed === null ? null : { publicKey, sealed },
    messageKey: row.message_key,
    history: { records: row.records, last: row.last },
  };
}

export interface OwnMailRows {
  message: NewMessage;
  content: Insertable<ContentTable>;
  digest: Buffer;
  /** What its Message-ID (keyed hash) stands for. */
  reference: { reference: Buffer; uid: Buffer } | null;
  now: Date;
}

/** The message, shown at the end of its folder; its UID there. The caller holds the mailbox. */
export async function insertOwnMail(tx: Tx, rows: OwnMailRows): Promise<number> {
  const { message, content, digest, reference, now } = rows;
  const { account_id, message_id, folder_id } = message;
  const size_bytes = message.ciphertext.length;
  const sizeBytes = size_bytes + (message.extensions_data?.length ?? 0);
  const ciphertext = await writeLarge(tx, message.ciphertext);
  const uidNext = sql<number>`(select next_seq from place)`;
  const put = tx
    .with('place', (cte) => advanced(cte, account_id, { seqs: 1, sizeBytes }))
    .with('put', (cte) =>
      cte
        .insertInto('message')
        .values({
          ...{ ...message, ciphertext, size_bytes, seq: sql<number>`${uidNext} - 1` },
          revision: sql<number>`(select revision from place)`,
        })
        .returning('seq'),
    )
    .with('raised', (cte) =>
      cte
        .updateTable('folder')
        .set({ uid_next: sql<number>`greatest(uid_next, ${uidNext})` })
        .where('id', '=', folder_id),
    )
    .with('received', (cte) =>
      cte
        .insertInto('seen')
        .values({ account_id, kind: 'digest', value: digest, message_id, first_seen_at: now })
        .onConflict((conflict) => conflict.doNothing()),
    )
    .with('listed', (cte) => cte.insertInto('content').values(content));
  const referred =
    reference === null
      ? put
      : put.with('referred', (cte) =>
          cte
            .insertInto('message_reference')
            .values({ account_id, ...reference })
            .onConflict((conflict) => conflict.doNothing()),
        );
  const { seq } = await referred
    .selectFrom('put')
    .select(['seq', notifying('mailbox_changed', account_id).as('told')])
    .executeTakeFirstOrThrow();
  return seq;
}
