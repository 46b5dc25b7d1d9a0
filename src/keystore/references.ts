/** How a Message-ID is looked up without being stored: whoever remembers one and whoever looks for one ask here. */
import type { AccountKeys } from './account-keys.ts';

const PURPOSE = 'message-id';

/** `messageId` with its angle brackets, as in the header field. */
export function referenceOf(keys: AccountKeys, messageId: string): Buffer {
  return keys.blind(PURPOSE, messageId);
}
