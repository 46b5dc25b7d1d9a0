/** `quota` (SMIMP 0.1 §5): what a mailbox holds and may hold, and refusing what does not fit any more. */
import type { Tx } from '../store/database.ts';
import { hasRoom, mailboxUsage } from '../store/quota.ts';
import { type ApiServices, type Handlers, ownerOf } from './call.ts';
import { ApiError } from './errors.ts';

/** As `space_available`: no limit. */
const NO_LIMIT = -1;

/** Throws `insufficient_storage` when `addBytes` more do not fit. The caller holds the mailbox. */
export async function requireRoom(
  tx: Tx,
  { quotaBytes: defaultQuota = null }: Pick<ApiServices, 'quotaBytes'>,
  want: { accountId: number; addBytes: number },
): Promise<void> {
  const { accountId, addBytes } = want;
  if (!(await hasRoom(tx, accountId, { addBytes, defaultQuota }))) throw new ApiError('insufficient_storage');
}

export function quotaHandlers({ db, quotaBytes: defaultQuota = null }: ApiServices): Handlers {
  return {
    get_quota: async (call) => {
      const { usedBytes, quotaBytes } = await mailboxUsage(db, ownerOf(call).accountId, defaultQuota);
      const space_available = quotaBytes === null ? NO_LIMIT : Math.max(0, quotaBytes - usedBytes);
      return { body: { total_size: usedBytes, space_available } };
    },
  };
}
