/** Every message of a mailbox, whatever its type and state: for the owner's and the operator's eyes. Nothing is opened. */
import type { Executor } from './database.ts';
import type { StoredMessage } from './messages.ts';

export type ListedMessageRow = Pick<
  StoredMessage,
  | 'message_id'
  | 'folder_id'
  | 'seq'
  | 'message_type'
  | 'size_bytes'
  | 'sender_address'
  | 'time_received'
  | 'received_via'
  | 'read'
  | 'state'
  | 'reason'
  | 'next_attempt_at'
>;

const COLUMNS = [
  ...(['message_id', 'folder_id', 'seq', 'message_type', 'size_bytes', 'sender_address', 'time_received'] as const),
  ...(['received_via', 'read', 'state', 'reason', 'next_attempt_at'] as const),
] as const;

/** The newest first. `folderId`: null for all folders. */
export function listMessages(
  db: Executor,
  accountId: number,
  { folderId, limit }: { folderId: number | null; limit: number },
): Promise<ListedMessageRow[]> {
  const all = db.selectFrom('message').select(COLUMNS).where('account_id', '=', accountId);
  const asked = folderId === null ? all : all.where('folder_id', '=', folderId);
  return asked.orderBy('seq', 'desc').limit(limit).execute();
}
