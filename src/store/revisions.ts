/** The revision of a message, and where messages that changed are found by it. See flag-changes.ts. */
import { sql } from 'kysely';

/** The revision of a row of `message`. */
export const revisionOfMessage = sql<number>`greatest(message.revision, message.flags_revision)`;
export const currentRevision = revisionOfMessage.as('revision');

/** Where changes of many after a revision lie: stretches that do not overlap, with their folder. */
export const changedStretches = ({ accountId, after }: { accountId: number; after: number }) => sql`(
  select folder_id as in_folder, lower(stretch) as first, upper(stretch) as beyond
  from (
    select folder_id, unnest(range_agg(int8range(first_seq, last_seq, '[]'))) as stretch from flag_change
    where account_id = ${accountId} and revision > ${after} group by folder_id
  ) as changed)`;
