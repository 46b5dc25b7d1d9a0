/** The revision of a message, and where messages that changed are found by it. See flag-changes.ts. */
import { type RawBuilder, sql } from 'kysely';

/** The revision of a row of `message`. */
export const revisionOfMessage = sql<number>`greatest(message.revision, message.flags_revision)`;
export const currentRevision = revisionOfMessage.as('revision');

/** Rows of `flag_change` as stretches that do not overlap, with their folder. */
export const mergedStretches = (changes: RawBuilder<unknown>) => sql`(
  select folder_id as in_folder, lower(stretch) as first, upper(stretch) as beyond
  from (
    select folder_id, unnest(range_agg(int8range(first_seq, last_seq, '[]'))) as stretch from ${changes}
    group by folder_id
  ) as changed)`;

/** Whether a message lies in a `stretch` of those. */
export const isWithinStretch = sql<boolean>`stretch.in_folder = message.folder_id and message.seq >= stretch.first
  and message.seq < stretch.beyond`;

/** Where changes of many after a revision lie. */
export const changedStretches = ({ accountId, after }: { accountId: number; after: number }) =>
  mergedStretches(sql`flag_change where account_id = ${accountId} and revision > ${after}`);
