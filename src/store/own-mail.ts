/** Mail that its owner puts in: what is asked before, and all that is written, each in one statement. */
import type { Insertable } from 'kysely';
import { sql } from 'kysely';
import { type Executor, notifying } from './database.ts';
import { writeLarge } from './large-column.ts';
import type { NewMessage } from './messages.ts';
import type { DefaultQuota } from './quota.ts';
import type { ContentTable } from './schema.ts';
import { joinedThread, type ThreadChoice } from './threads.ts';

/** By what it is sealed and signed. Keys are null where there are none. */
export type OwnMeans = {
  master: { publicKey: Buffer; sealed: Buffer } | null;
  /** The newest non-ephemeral message key that was not replaced. */
  messageKey: Buffer | null;
  /** The signed hash of the last record of the owner's own history. Records are only ever added. */
  lastRecord: Buffer | null;
};

/** True until somebody else changes it: for good only to who holds the mailbox. */
export async function ownMeans(db: Executor, accountId: number): Promise<OwnMeans> {
  type Row = Record<'master_key' | 'master_sealed' | 'message_key' | 'last_record', Buffer | null>;
  const { rows } = await sql<Row>`
    select master.public_key as master_key, master.sealed as master_sealed,
      (select public_key from secret
        where account_id = account.id and purpose = 'message' and kind = 'non-ephemeral' and retired_at is null
        order by created_at desc limit 1) as message_key,
      (select signed_hash from own_record where account_id = account.id order by seq desc limit 1) as last_record
    from account
    left join secret as master
      on master.account_id = account.id and master.purpose = 'master' and master.retired_at is null
    where account.id = ${accountId}`.execute(db);
  const [row] = rows;
  if (row === undefined) throw new TypeError('there is no such account');
  const { master_key: publicKey, master_sealed: sealed } = row;
  return {
    master: publicKey === null || sealed === null ? null : { publicKey, sealed },
    messageKey: row.message_key,
    lastRecord: row.last_record,
  };
}

type MessageColumn =
  | ('message_id' | 'account_id' | 'folder_id' | 'message_type' | 'ciphertext' | 'nonce' | 'message_hash' | 'read')
  | ('sender_address' | 'time_received' | 'login_token_hash' | 'received_via' | 'extensions_data' | 'notes_version');

export interface OwnMailRows {
  message: Required<Pick<NewMessage, MessageColumn>>;
  content: Required<Pick<Insertable<ContentTable>, 'renderer_version' | 'sealed' | 'sealed_for' | 'rendered'>>;
  digest: Buffer;
  /** What its Message-ID (keyed hash) stands for. */
  reference: { reference: Buffer; uid: Buffer } | null;
  thread: ThreadChoice;
  /** What it was sealed and signed by. */
  by: { master: Buffer; messageKey: Buffer; lastRecord: Buffer };
  room: { defaultQuota: DefaultQuota; slackBytes: number };
}

/** `stale`: it was sealed by what is not in use any more. */
export type OwnMailRefusal = 'no-folder' | 'over-quota' | 'stale';

/**
 * The message, shown at the end of its folder; its UID there. Holds the mailbox from then on. Where it is refused, nothing is
 * written.
 */
export async function insertOwnMail(
  db: Executor,
  { message, content, digest, reference, thread, by, room }: OwnMailRows,
): Promise<number | OwnMailRefusal> {
  const { account_id: account, message_id: id, time_received: now } = message;
  const size = message.ciphertext.length;
  const added = size + (message.extensions_data?.length ?? 0);
  const ciphertext = await writeLarge(db, message.ciphertext);
  const { rows } = await sql<{ seq: number; refused: null } | { seq: null; refused: OwnMailRefusal }>`
    with place as materialized (
      select * from take_own_place(${account}, ${message.folder_id}, ${added}, ${room.defaultQuota}, ${room.slackBytes},
        ${by.master}, ${by.messageKey}, ${by.lastRecord})
    ), taken as materialized (
      select seq, revision, ${account}::bigint as account, ${id}::bytea as id, ${now}::timestamptz as now
      from place where refused is null
    ), put as (
      insert into message (message_id, account_id, folder_id, seq, revision, message_type, ciphertext, size_bytes,
        message_public_key, nonce, message_hash, sender_address, sender_public_key, time_received, login_token_hash,
        received_via, read, extensions_data, notes_version, state, thread_id)
      select id, account, ${message.folder_id}::bigint, seq, revision, ${message.message_type}::text, ${ciphertext},
        ${size}::bigint, ${by.messageKey}::bytea, ${message.nonce}::bytea, ${message.message_hash}::bytea,
        ${message.sender_address}::text, ${by.master}::bytea, now, ${message.login_token_hash}::bytea,
        ${message.received_via}::text, ${message.read}::boolean, ${message.extensions_data}::bytea,
        ${message.notes_version}::int, 'shown', ${joinedThread(account, thread)}
      from taken
    ), received as (
      insert into seen (account_id, kind, value, message_id, first_seen_at)
      select account, 'digest', ${digest}::bytea, id, now from taken on conflict do nothing
    ), listed as (
      insert into content (message_id, account_id, renderer_version, sealed, sealed_for, rendered)
      select id, account, ${content.renderer_version}::int, ${content.sealed}::bytea, ${content.sealed_for}::bytea,
        ${content.rendered}::bytea from taken
    ), referred as (
      insert into message_reference (account_id, reference, uid)
      select account, reference, ${reference?.uid ?? null}::bytea
      from taken, (select ${reference?.reference ?? null}::bytea as reference) as own where reference is not null
      on conflict do nothing
    )
    select seq, refused, case when refused is null then ${notifying('mailbox_changed', account)} end from place`.execute(
    db,
  );
  const [place] = rows;
  if (place === undefined) throw new TypeError('a function answers in one row');
  return place.refused ?? place.seq;
}
