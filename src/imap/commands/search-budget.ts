/** How much work one search may make: keys that are compared, and bytes of messages that are opened for it. */
import { Refusal } from '../replies.ts';
import type { SearchKey } from '../wire/search-commands.ts';

export class SearchBudget {
  #bytesLeft: number;

  /** Throws Refusal `LIMIT` before anything is done, when there are too many keys for so many messages. */
  constructor(
    limits: { searchSteps: number; searchBytes: number },
    { key, messages }: { key: SearchKey; messages: number },
  ) {
    if (countKeys(key) * messages > limits.searchSteps)
      throw new Refusal('NO', 'The search has too many keys for so many messages', 'LIMIT');
    this.#bytesLeft = limits.searchBytes;
  }

  /** The bytes of a message. Throws Refusal `LIMIT` when too many were opened already. */
  async open(read: () => Promise<Buffer | null>): Promise<Buffer | null> {
    if (this.#bytesLeft <= 0)
      throw new Refusal('NO', 'The search opens too much mail: narrow it by date, sender or size', 'LIMIT');
    const raw = await read();
    this.#bytesLeft -= raw?.length ?? 0;
    return raw;
  }
}

function countKeys(key: SearchKey): number {
  switch (key.type) {
    case 'not':
      return 1 + countKeys(key.key);
    case 'or':
      return 1 + countKeys(key.left) + countKeys(key.right);
    case 'and':
      return key.keys.reduce((sum, part) => sum + countKeys(part), 0);
    case 'sequence':
    case 'uid':
      // Each range of a set is compared.
      return Math.max(1, key.set.length);
    default:
      return 1;
  }
}
