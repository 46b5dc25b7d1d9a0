/**
 * What was submitted: one row per message, with its sealed content, which goes with the last delivery that needs it. Where
 * each copy stands is in outbound.ts.
 */
import { type Executor, notify, type Tx } from './database.ts';
import { readLarge, writeLarge } from './large-column.ts';
import { ACTIVE_STAGES } from './outbound.ts';

export interface NewSubmission {
  accountId: number;
  digest: Buffer;
  uid: Buffer;
  messageType: string;
  sealed: Buffer;
  /** Sealed. */
  original?: Buffer | null;
  sizeBytes: number;
  recipients: readonly string[];
  now: Date;
  deadline: Date;
  /** An equal submission from before this is not the same one any more. */
  repeatsSince: Date;
  /** Gives an outlived submission another digest. */
  retiredDigest: Buffer;
  /** Where its deliveries begin; `route` unless it leaves for the old internet. */
  stage?: 'route' | 'relay';
  relayedFor?: string | null;
  isReport?: boolean;
}

/** Stores the submission and its deliveries, or finds the one that is there: `deliveryIds` then is empty. */
export async function insertSubmission(
  tx: Tx,
  submission: NewSubmission,
): Promise<{ submissionId: number; deliveryIds: number[]; repeated: boolean }> {
  const { accountId, digest, now } = submission;
  await tx
    .updateTable('submission')
    .set({ digest: submission.retiredDigest })
    .where('account_id', '=', accountId)
    .where('digest', '=', digest)
    .where('submitted_at', '<', submission.repeatsSince)
    .execute();
  const inserted = await tx
    .insertInto('submission')
    .values({
      account_id: accountId,
      digest,
      uid: submission.uid,
      message_type: submission.messageType,
      sealed: await writeLarge(tx, submission.sealed),
      original: submission.original == null ? null : await writeLarge(tx, submission.original),
      size_bytes: submission.sizeBytes,
      submitted_at: now,
      relayed_for: submission.relayedFor ?? null,
      is_report: submission.isReport ?? false,
    })
    .onConflict((conflict) => conflict.columns(['account_id', 'digest']).doNothing())
    .returning('id')
    .executeTakeFirst();
  if (inserted === undefined)
    return { submissionId: await submissionIdOf(tx, accountId, digest), deliveryIds: [], repeated: true };
  const deliveryIds = await insertDeliveries(tx, inserted.id, submission);
  return { submissionId: inserted.id, deliveryIds, repeated: false };
}

async function submissionIdOf(db: Executor, accountId: number, digest: Buffer): Promise<number> {
  const row = await db
    .selectFrom('submission')
    .select('id')
    .where('account_id', '=', accountId)
    .where('digest', '=', digest)
    .executeTakeFirstOrThrow();
  return row.id;
}

async function insertDeliveries(tx: Tx, submissionId: number, submission: NewSubmission): Promise<number[]> {
  const rows = await tx
    .insertInto('delivery')
    .values(
      submission.recipients.map((recipient) => ({
        submission_id: submissionId,
        account_id: submission.accountId,
        recipient,
        stage: submission.stage ?? 'route',
        next_attempt_at: submission.now,
        deadline_at: submission.deadline,
      })),
    )
    .returning('id')
    .execute();
  const ids = rows.map(({ id }) => id);
  const event = { at: submission.now, stage: 'accept', outcome: 'queued', detail: null };
  await tx
    .insertInto('delivery_event')
    .values(ids.map((id) => ({ delivery_id: id, ...event })))
    .execute();
  await notify(tx, 'outbox_changed', submission.accountId);
  return ids;
}

/** The sealed body of a submission; null once every delivery has ended. */
export function submissionContent(db: Executor, submissionId: number): Promise<Buffer | null> {
  return readLarge((slice) =>
    db
      .selectFrom('submission')
      .select(slice('sealed'))
      .where('id', '=', submissionId)
      .where('sealed', 'is not', null)
      .executeTakeFirst(),
  );
}

/** The sealed `header.original` of a submission; null when it is sent without, or once every delivery has ended. */
export function submissionOriginal(db: Executor, submissionId: number): Promise<Buffer | null> {
  return readLarge((slice) =>
    db
      .selectFrom('submission')
      .select(slice('original'))
      .where('id', '=', submissionId)
      .where('original', 'is not', null)
      .executeTakeFirst(),
  );
}

/** Erases the content of a submission when no delivery needs it any more. Call it after the delivery's own change. */
export async function eraseFinishedContent(tx: Tx, submissionId: number): Promise<void> {
  await tx.selectFrom('submission').select('id').where('id', '=', submissionId).forUpdate().execute();
  await tx
    .updateTable('submission')
    .set({ sealed: null, original: null })
    .where('id', '=', submissionId)
    .where(({ not, exists, selectFrom }) =>
      not(
        exists(
          selectFrom('delivery')
            .select('delivery.id')
            .where('delivery.submission_id', '=', submissionId)
            .where('delivery.stage', 'in', [...ACTIVE_STAGES]),
        ),
      ),
    )
    .execute();
}

/** Forgets submissions whose deliveries all ended before `before`, with their timelines. */
export async function forgetFinishedSubmissions(db: Executor, before: Date): Promise<void> {
  await db
    .deleteFrom('submission')
    .where('submitted_at', '<', before)
    .where('sealed', 'is', null)
    .where(({ not, exists, selectFrom }) =>
      not(
        exists(
          selectFrom('delivery')
            .select('delivery.id')
            .whereRef('delivery.submission_id', '=', 'submission.id')
            .where((eb) => eb.or([eb('finished_at', 'is', null), eb('finished_at', '>=', before)])),
        ),
      ),
    )
    .execute();
}
