/**
 * Flags of messages, and of many at once. An index that holds the revisions of messages would have to be written anew for
 * each, and with it all others: that is most of the work. So a change of many takes a column that stands in no index
 * (`flags_revision`), whose row PostgreSQL writes in its place, and one row says where in the folder it was (`flag_change`).
 *
 * Invariant: a message whose `flags_revision` is the greater one lies within a `flag_change` of that revision. Whatever moves
 * it, or changes anything else of it, gives it a `revision` of its own.
 */
import { sql } from 'kysely';
import { type Db, type Executor, notify, type Tx } from './database.ts';
import { lockMailbox } from './folders.ts';
import { isWithinStretch, mergedStretches } from './revisions.ts';

/** Fewer are written like every other change: a row for each revision would take more than it saves. */
export const MANY_FLAGS = 64;
/** Of one account. Each has its part of the folder looked through when changes are asked for. */
export const FLAG_CHANGES_KEPT = 200;
/** Messages further apart than this are not taken for one stretch. */
const GAP = 1000;

/** A part of a folder, by the seqs of its first and its last message. */
export type Stretch = { first: number; last: number };

/** Where a change takes place, and of how many messages. */
interface Place {
  accountId: number;
  folderId: number;
  revision: number;
  stretches: readonly Stretch[];
  /** How many messages there are changed. */
  count: number;
}

/** Few stretches that hold all of these seqs, which ascend. */
export function stretchesOf(seqs: readonly number[]): Stretch[] {
  const stretches: Stretch[] = [];
  for (const seq of seqs) {
    const last = stretches.at(-1);
    if (last !== undefined && seq - last.last <= GAP) last.last = seq;
    else stretches.push({ first: seq, last: seq });
  }
  return stretches;
}

const stretchTable = (stretches: readonly Stretch[]) => {
  const firsts = stretches.map(({ first }) => first);
  const lasts = stretches.map(({ last }) => last);
  return sql`unnest(${firsts}::bigint[], ${lasts}::bigint[]) as stretch(first, last)`;
};

/** Into which column the revision of a change goes. Of one of many it is written down where it was. */
async function revisionColumn(tx: Tx, { accountId, folderId, revision, stretches, count }: Place) {
  if (count < MANY_FLAGS) return sql.ref('revision');
  await sql`
    insert into flag_change (account_id, revision, folder_id, first_seq, last_seq)
    select ${accountId}, ${revision}, ${folderId}, stretch.first, stretch.last
    from ${stretchTable(stretches)}`.execute(tx);
  return sql.ref('flags_revision');
}

/** Marks all shown messages of the stretches as read, or as not read, at one revision. The caller holds the mailbox. */
export async function writeRead(tx: Tx, { read, ...place }: Place & { read: boolean }): Promise<void> {
  const { accountId, folderId, revision, stretches } = place;
  const column = await revisionColumn(tx, place);
  await sql`
    update message set read = ${read}, ${column} = ${revision} from ${stretchTable(stretches)}
    where folder_id = ${folderId} and seq between stretch.first and stretch.last
      and account_id = ${accountId} and state = 'shown' and read <> ${read}`.execute(tx);
  await notify(tx, 'mailbox_changed', accountId);
}

/** `notesVersion`: of the blob; absent when it is not known, as for what another server says. */
export type FlagWrite = { messageId: Buffer; read: boolean; extensionsData: Buffer | null; notesVersion?: number };

/**
 * Writes flags of messages at one revision. `within`: the folder that all of them are in, and their seqs, ascending, where
 * they may be many. The caller holds the mailbox.
 */
export async function writeFlags(
  tx: Tx,
  change: { accountId: number; revision: number; within?: { folderId: number; seqs: readonly number[] } },
  writes: FlagWrite[],
): Promise<void> {
  const { accountId, revision, within } = change;
  const ids = writes.map(({ messageId }) => messageId);
  const reads = writes.map(({ read }) => read);
  const data = writes.map(({ extensionsData }) => extensionsData);
  const versions = writes.map(({ notesVersion }) => notesVersion ?? 0);
  const column =
    within === undefined
      ? sql.ref('revision')
      : await revisionColumn(tx, {
          ...{ accountId, revision, folderId: within.folderId },
          ...{ stretches: stretchesOf(within.seqs), count: writes.length },
        });
  await sql`
    with before as (
      select sum(octet_length(extensions_data)) as bytes from message
      where message_id = any(${ids}::bytea[]) and account_id = ${accountId}
    ), written as (
      update message set read = d.read, extensions_data = d.data, ${column} = ${revision},
        notes_version = greatest(notes_version, d.version)
      from unnest(${ids}::bytea[], ${reads}::boolean[], ${data}::bytea[], ${versions}::bigint[])
        as d(id, read, data, version)
      where message.message_id = d.id and message.account_id = ${accountId}
      returning octet_length(message.extensions_data) as bytes
    )
    update account set size_bytes = size_bytes - coalesce((select bytes from before), 0)
      + coalesce((select sum(bytes) from written), 0)
    where id = ${accountId}`.execute(tx);
  await notify(tx, 'mailbox_changed', accountId);
}

/**
 * Makes changes of many into ordinary ones where an account has more than `keep`, the oldest first. No message gets another
 * revision by it.
 */
export async function settleFlagChanges(db: Db, keep: number = FLAG_CHANGES_KEPT): Promise<void> {
  for (const { account_id, last } of await unsettled(db, keep))
    await db.transaction().execute(async (tx) => {
      await lockMailbox(tx, account_id);
      await sql`
        with settled as (delete from flag_change where account_id = ${account_id} and revision <= ${last} returning *)
        update message set revision = flags_revision from ${mergedStretches(sql`settled`)} as stretch
        where ${isWithinStretch} and message.flags_revision <= ${last} and message.revision < message.flags_revision`.execute(
        tx,
      );
    });
}

/** Accounts with more than `keep` changes, and the last revision of those that are too many. */
async function unsettled(db: Executor, keep: number): Promise<{ account_id: number; last: number }[]> {
  const { rows } = await sql<{ account_id: number; last: number }>`
    select many.account_id, old.revision as last
    from (select account_id from flag_change group by account_id having count(distinct revision) > ${keep}) as many
    cross join lateral (
      select distinct revision from flag_change where account_id = many.account_id
      order by revision desc offset ${keep} limit 1
    ) as old`.execute(db);
  return rows;
}
