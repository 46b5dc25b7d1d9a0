/** People: looking at somebody without pinning, and checking the fingerprint she told you. */
import { createClient, IdentityError, type NetworkOptions, timeline } from 'smimp-bridge/client';
import { normalizeAddress } from 'smimp-bridge/smimp';
import { loadState, saveTo } from './state-file.ts';

type Given = { address: string; stateFile: string; network?: NetworkOptions };

export async function whoIs({ address, stateFile, network = {} }: Given): Promise<string[]> {
  await using client = createClient({ state: await loadState(stateFile), save: saveTo(stateFile), network });
  const { state, shown } = await client.examine(normalizeAddress(address));
  if (shown === null) return [state];
  const changes = timeline(shown.history).map(({ seq, date, changed }) => `${seq} ${date} ${changed.join(', ')}`);
  return [state, shown.fingerprint, shown.uri, ...changes];
}

/** `told`: what she read out over the phone, or the text of the QR code on her screen. */
export async function check({ address, stateFile, network = {}, told }: Given & { told: string }): Promise<string> {
  await using client = createClient({ state: await loadState(stateFile), save: saveTo(stateFile), network });
  try {
    await client.verify(normalizeAddress(address), told);
    return 'verified';
  } catch (error) {
    if (error instanceof IdentityError) return error.code;
    throw error;
  }
}
