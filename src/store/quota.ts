/** How much a mailbox may hold: the account's own limit, else the default of the configuration. */
import type { Executor, Tx } from './database.ts';

/** In `account.quota_bytes`: no limit, whatever the default is. */
export const UNLIMITED = -1;

/** Of a deployment: most bytes of a mailbox whose account has no limit of its own; null for no limit. */
export type DefaultQuota = number | null;

/** Notes on a message (`extensions_data`) up to this fit into a full mailbox as well: flags, by which it is cleared. */
export const FREE_NOTES_BYTES = 4 * 1024;

export type Usage = { usedBytes: number; quotaBytes: number | null };

export async function mailboxUsage(db: Executor, accountId: number, defaultQuota: DefaultQuota): Promise<Usage> {
  const { size_bytes: usedBytes, quota_bytes } = await db
    .selectFrom('account')
    .select(['size_bytes', 'quota_bytes'])
    .where('id', '=', accountId)
    .executeTakeFirstOrThrow();
  return { usedBytes, quotaBytes: quota_bytes === UNLIMITED ? null : (quota_bytes ?? defaultQuota) };
}

/** Whether `addBytes` more fit. The caller holds the mailbox. */
export async function hasRoom(
  tx: Tx,
  accountId: number,
  want: { addBytes: number; defaultQuota: DefaultQuota; slackBytes?: number },
): Promise<boolean> {
  const { usedBytes, quotaBytes } = await mailboxUsage(tx, accountId, want.defaultQuota);
  return quotaBytes === null || usedBytes + want.addBytes <= quotaBytes + (want.slackBytes ?? 0);
}

/** Null: the default. What is there stays, also when it is more. */
export async function setQuota(db: Executor, accountId: number, quotaBytes: number | null): Promise<void> {
  await db.updateTable('account').set({ quota_bytes: quotaBytes }).where('id', '=', accountId).execute();
}
