/** Mail that its owner puts in: what is asked before, and all that is written, each in one statement. */
import type { Insertable } from 'kysely';
import type { Executor } from './database.ts';
import { isLarge, largeValue, sendAhead } from './large-column.ts';
import type { NewMessage } from './messages.ts';
import type { DefaultQuota } from './quota.ts';
import type { ContentTable } from './schema.ts';
import { statement } from './statement.ts';
import type { ThreadChoice } from './threads.ts';

/** By what it is sealed and signed. Keys are null where there are none. */
export type OwnMeans = {
  master: { publicKey: Buffer; sealed: Buffer } | null;
  /** The newest non-ephemeral message key that was not replaced. */
  messageKey: Buffer | null;
  /** The signed hash of the last record of the owner's own history. Records are only ever added. */
  lastRecord: Buffer | null;
};

const findMeans = statement<
  { account: number },
  Record<'master_key' | 'master_sealed' | 'message_key' | 'last_record', Buffer | null>
>(`
  select master.public_key as master_key, master.sealed as master_sealed,
    (select public_key from secret
      where account_id = account.id and purpose = 'message' and kind = 'non-ephemeral' and retired_at is null
      order by created_at desc, public_key limit 1) as message_key,
    (select signed_hash from own_record where account_id = account.id order by seq desc limit 1) as last_record
  from account
  left join secret as master
    on master.account_id = account.id and master.purpose = 'master' and master.retired_at is null
  where account.id = :account`);

/** True until somebody else changes it: for good only to who holds the mailbox. */
export async function ownMeans(db: Executor, account: number): Promise<OwnMeans> {
  const [row] = await findMeans(db, { account });
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

/** `ciphertext`: what stands for it in the statement. */
const putText = (ciphertext: string): string => `
  with place as materialized (
    select * from take_own_place(:account, :folder, :added, :default_quota, :slack, :master, :message_key, :last_record)
  ), taken as materialized (
    select seq, revision, :account::bigint as account, :id::bytea as id, :now::timestamptz as now
    from place where refused is null
  ), put as (
    insert into message (message_id, account_id, folder_id, seq, revision, message_type, ciphertext, size_bytes,
      message_public_key, nonce, message_hash, sender_address, sender_public_key, time_received, login_token_hash,
      received_via, read, extensions_data, notes_version, state, thread_id)
    select id, account, :folder::bigint, seq, revision, :type::text, ${ciphertext}, :size::bigint,
      :message_key::bytea, :nonce::bytea, :hash::bytea, :sender::text, :master::bytea, now, :token::bytea,
      :via::text, :read::boolean, :notes::bytea, :notes_version::int, 'shown',
      join_thread(account, :references::bytea[], :fresh_thread::bytea, null)
    from taken
  ), received as (
    insert into seen (account_id, kind, value, message_id, first_seen_at)
    select account, 'digest', :digest::bytea, id, now from taken on conflict do nothing
  ), listed as (
    insert into content (message_id, account_id, renderer_version, sealed, sealed_for, rendered)
    select id, account, :renderer::int, :content::bytea, :sealed_for::bytea, :rendered::bytea from taken
  ), referred as (
    insert into message_reference (account_id, reference, uid)
    select account, :reference::bytea, :uid::bytea from taken where :reference::bytea is not null
    on conflict do nothing
  )
  select seq, refused, case when refused is null then pg_notify('mailbox_changed', :account::bigint::text) end from place`;

type Put = ReturnType<typeof valuesOf> & { ciphertext: Buffer };
type Place = { seq: number; refused: null } | { seq: null; refused: OwnMailRefusal };
const put = statement<Put, Place>(putText(':ciphertext::bytea'));
const putLarge = statement<Put, Place>(putText(largeValue(':ciphertext')));

/**
 * The message, shown at the end of its folder; its UID there. Holds the mailbox from then on. Where it is refused, nothing is
 * written.
 */
export async function insertOwnMail(db: Executor, rows: OwnMailRows): Promise<number | OwnMailRefusal> {
  const { ciphertext } = rows.message;
  const values = valuesOf(rows);
  const [place] = isLarge(ciphertext)
    ? await putLarge(db, { ...values, ciphertext: await sendAhead(db, ciphertext) })
    : await put(db, { ...values, ciphertext });
  if (place === undefined) throw new TypeError('a function answers in one row');
  return place.refused ?? place.seq;
}

function valuesOf({ message, content, digest, reference, thread, by, room }: OwnMailRows) {
  const size = message.ciphertext.length;
  return {
    ...{ account: message.account_id, folder: message.folder_id, id: message.message_id, type: message.message_type },
    ...{ size, added: size + (message.extensions_data?.length ?? 0), now: message.time_received },
    ...{ nonce: message.nonce, hash: message.message_hash, token: message.login_token_hash, digest },
    ...{ sender: message.sender_address, via: message.received_via, read: message.read },
    ...{ notes: message.extensions_data, notes_version: message.notes_version },
    ...{ master: by.master, message_key: by.messageKey, last_record: by.lastRecord },
    ...{ default_quota: room.defaultQuota, slack: room.slackBytes },
    ...{ references: thread.references, fresh_thread: thread.fresh },
    ...{ renderer: content.renderer_version, content: content.sealed, sealed_for: content.sealed_for },
    ...{ rendered: content.rendered, reference: reference?.reference ?? null, uid: reference?.uid ?? null },
  };
}
