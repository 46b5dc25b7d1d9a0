/** Mail that its owner puts in: what it is put in by, and all that is written in one statement. */
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
  /** Holds for as long as the account has this one: also its folders are what they were. */
  version: string;
  master: { publicKey: Buffer; sealed: Buffer } | null;
  /** The newest non-ephemeral message key that was not replaced. */
  messageKey: Buffer | null;
  /** The signed hash of the last record of the owner's own history. Records are only ever added. */
  lastRecord: Buffer | null;
};

const findMeans = statement<
  { account: number },
  Record<'master_key' | 'master_sealed' | 'message_key' | 'last_record', Buffer | null> & { means_version: string }
>(`
  select means_version, master.public_key as master_key, master.sealed as master_sealed,
    (select public_key from secret
      where account_id = account.id and purpose = 'message' and kind = 'non-ephemeral' and retired_at is null
      order by created_at desc, public_key limit 1) as message_key,
    (select signed_hash from own_record where account_id = account.id order by seq desc limit 1) as last_record
  from account
  left join secret as master
    on master.account_id = account.id and master.purpose = 'master' and master.retired_at is null
  where account.id = :account`);

/** True until the account has another version. */
export async function ownMeans(db: Executor, account: number): Promise<OwnMeans> {
  const [row] = await findMeans(db, { account });
  if (row === undefined) throw new TypeError('there is no such account');
  const { master_key: publicKey, master_sealed: sealed } = row;
  return {
    version: row.means_version,
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
  by: { version: string; master: Buffer; messageKey: Buffer };
  room: { defaultQuota: DefaultQuota; slackBytes: number };
}

/** `stale`: keys, history or folders are not what they were when it was made ready. */
export type OwnMailRefusal = 'no-folder' | 'over-quota' | 'stale';

/** All of this is looked at once the row of the account, and with it the mailbox, is held: it is in that row. */
const IS_CURRENT = 'means_version = :version::uuid';
const HAS_ROOM = `(quota_bytes is distinct from -1
      and size_bytes + :added::bigint > coalesce(quota_bytes, :default_quota::bigint) + :slack::bigint) is not true`;
/** For who holds the mailbox already, and found the folder before: otherwise the version tells. */
const HAS_FOLDER = 'exists (select from folder where id = :folder::bigint and account_id = :account::bigint)';

/** `ciphertext`: what stands for it in the statement. */
const putText = (ciphertext: string): string => `
  with place as (
    update account set next_seq = next_seq + 1, revision = revision + 1, size_bytes = size_bytes + :added::bigint
    where id = :account::bigint and ${IS_CURRENT} and ${HAS_FOLDER} and ${HAS_ROOM}
    returning next_seq - 1 as seq, revision
  ), taken as materialized (
    select seq, revision, :account::bigint as account, :id::bytea as id, :now::timestamptz as now from place
  ), raised as (
    update folder set uid_next = greatest(uid_next, taken.seq + 1) from taken where folder.id = :folder::bigint
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
  select seq, pg_notify('mailbox_changed', account::text) from taken`;

type Put = ReturnType<typeof valuesOf> & { ciphertext: Buffer };
type Place = { seq: number };
const put = statement<Put, Place>(putText(':ciphertext::bytea'));
const putLarge = statement<Put, Place>(putText(largeValue(':ciphertext')));

const findHindrance = statement<
  Pick<Put, 'account' | 'version' | 'folder'>,
  { is_current: boolean; has_folder: boolean }
>(`select ${IS_CURRENT} as is_current, ${HAS_FOLDER} as has_folder from account where id = :account::bigint`);

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
  return place === undefined ? hindrance(db, values) : place.seq;
}

async function hindrance(
  db: Executor,
  { account, version, folder }: Put | Omit<Put, 'ciphertext'>,
): Promise<OwnMailRefusal> {
  const [found] = await findHindrance(db, { account, version, folder });
  if (found?.is_current !== true) return 'stale';
  return found.has_folder ? 'over-quota' : 'no-folder';
}

function valuesOf({ message, content, digest, reference, thread, by, room }: OwnMailRows) {
  const size = message.ciphertext.length;
  return {
    ...{ account: message.account_id, folder: message.folder_id, id: message.message_id, type: message.message_type },
    ...{ size, added: size + (message.extensions_data?.length ?? 0), now: message.time_received },
    ...{ nonce: message.nonce, hash: message.message_hash, token: message.login_token_hash, digest },
    ...{ sender: message.sender_address, via: message.received_via, read: message.read },
    ...{ notes: message.extensions_data, notes_version: message.notes_version },
    ...{ version: by.version, master: by.master, message_key: by.messageKey },
    ...{ default_quota: room.defaultQuota, slack: room.slackBytes },
    ...{ references: thread.references, fresh_thread: thread.fresh },
    ...{ renderer: content.renderer_version, content: content.sealed, sealed_for: content.sealed_for },
    ...{ rendered: content.rendered, reference: reference?.reference ?? null, uid: reference?.uid ?? null },
  };
}
