/** Following a mailbox: each message is opened as it comes, and the cursor is kept only after that. */
import { createClient, type NetworkOptions, type ReadMessage } from 'smimp-bridge/client';
import { loadState, saveTo } from './state-file.ts';

export async function follow(given: {
  stateFile: string;
  /** Where the last run stopped; null in the beginning. */
  cursor: string | null;
  onMessage: (message: ReadMessage) => Promise<void>;
  onCursor: (cursor: string) => Promise<void>;
  signal: AbortSignal;
  network?: NetworkOptions;
}): Promise<void> {
  const { stateFile, cursor, signal, network = {} } = given;
  await using client = createClient({ state: await loadState(stateFile), save: saveTo(stateFile), network });
  for await (const answer of client.follow({ cursor, signal })) {
    const put = answer.changes.filter(({ op }) => op === 'put').map(({ message_id }) => message_id);
    for (const message of await client.read(put)) await given.onMessage(message);
    await given.onCursor(answer.cursor);
  }
}
