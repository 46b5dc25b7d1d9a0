/** Reading a folder to its end. Nothing is thrown away: what is held or invalid is told, and stays on the server. */
import { createClient, type NetworkOptions, type ReadMessage } from 'smimp-bridge/client';
import { loadState, saveTo } from './state-file.ts';

export async function readInbox(given: { stateFile: string; network?: NetworkOptions }): Promise<string[]> {
  const { stateFile, network = {} } = given;
  await using client = createClient({ state: await loadState(stateFile), save: saveTo(stateFile), network });
  const lines: string[] = [];
  for (let after: number | null = 0; after !== null; ) {
    const page = await client.readPage({ messageType: 'short-message', after });
    lines.push(...page.messages.map(describe));
    after = page.next;
  }
  return lines;
}

function describe({ envelope, opening }: ReadMessage): string {
  const claimed = envelope.sender_address;
  if (opening.kind === 'held') return `held (${opening.reason}): something from ${claimed}`;
  if (opening.kind === 'quarantined') return `invalid message claimed to be from ${claimed} (${opening.reason})`;
  if (opening.kind === 'replayed') return `a message of ${claimed} that came before`;
  const { header, content, cautions } = opening.message;
  const warning = cautions.length === 0 ? '' : ` [caution: ${cautions.join(', ')}]`;
  return content.type === 'short-message' ? `${header.from}: ${content.value.message}${warning}` : `${header.from}`;
}
