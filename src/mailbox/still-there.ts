/**
 * Whether messages are where somebody saw them. One that was moved meanwhile is another message for whoever knows it by its
 * old UID, also when it came back: what was meant for the old one must not reach it.
 */
import { toHex } from '../smimp/encoding.ts';
import type { Tx } from '../store/database.ts';
import { type ShownRow, shownAmong } from '../store/mailbox.ts';
import type { Folder } from './folder-tree.ts';
import type { ShownMessage } from './types.ts';

/** Those that are still in the folder under the same UID, as they are now, ascending. The caller holds the mailbox. */
export async function stillThere(
  tx: Tx,
  folder: Pick<Folder, 'id'>,
  messages: readonly ShownMessage[],
): Promise<ShownRow[]> {
  const uids = new Map(messages.map(({ messageId, uid }) => [toHex(messageId), uid]));
  const rows = await shownAmong(
    tx,
    folder.id,
    messages.map(({ messageId }) => messageId),
  );
  return rows.filter(({ message_id, seq }) => uids.get(toHex(message_id)) === seq);
}

export const rowIds = (rows: readonly Pick<ShownRow, 'message_id'>[]): Buffer[] =>
  rows.map(({ message_id }) => message_id);
