/** Names that stay with mailboxes and messages for life (RFC 8474). */
import type { Folder } from '../mailbox/folder-tree.ts';
import type { ShownMessage } from '../mailbox/types.ts';

/** The same whatever the mailbox is called. */
export const mailboxId = ({ id }: Pick<Folder, 'id'>): string => `F${id}`;

/** The same for all messages of a conversation (RFC 8474 §5.2). */
export const threadId = (id: Buffer): string => `T${id.toString('hex')}`;

/** The same for all copies, wherever they lie. */
export const emailId = ({ digest }: Pick<ShownMessage, 'digest'>): string => `M${digest.toString('hex')}`;
