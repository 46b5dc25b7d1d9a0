/** A new account from the one-time code that its server's operator gave, and what its owner tells her friends. */
import { createClient, type NetworkOptions, newState } from 'smimp-bridge/client';
import { normalizeAddress } from 'smimp-bridge/smimp';
import { saveTo } from './state-file.ts';

export async function firstSteps(given: {
  address: string;
  name: string;
  code: string;
  stateFile: string;
  network?: NetworkOptions;
}): Promise<{ fingerprint: string; uri: string }> {
  const { name, code, network = {} } = given;
  const state = newState({ address: normalizeAddress(given.address), profile: { name }, now: new Date() });
  const save = saveTo(given.stateFile);
  // The master key is on the disk before any server hears of it.
  await save(state);
  await using client = createClient({ state, save, network });
  await client.keys.initialize(code);
  return client.ownFingerprint();
}
