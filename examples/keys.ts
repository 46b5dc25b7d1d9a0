/** Keys: what a client does every day, a backup, and coming back from one on another machine. */
import { readFile, writeFile } from 'node:fs/promises';
import { createClient, type NetworkOptions, openBackup, sealBackup, stateOf } from 'smimp-bridge/client';
import { loadState, saveTo } from './state-file.ts';

type Given = { stateFile: string; network?: NetworkOptions };

/** Replaces the weekly key, tops up the pool, erases what nothing needs. `readUpTo`: all mail up to then was read. */
export async function everyDay({ stateFile, network = {}, readUpTo }: Given & { readUpTo: Date }): Promise<void> {
  await using client = createClient({ state: await loadState(stateFile), save: saveTo(stateFile), network });
  await client.keys.maintain({ readUpTo });
}

/** A new master key. Friends keep the fingerprint they know; all devices log in anew. */
export async function rotate({ stateFile, network = {} }: Given): Promise<string> {
  await using client = createClient({ state: await loadState(stateFile), save: saveTo(stateFile), network });
  // Awaited here, because the client is closed on the way out.
  return await client.keys.rotateMaster();
}

export async function backUp(given: { stateFile: string; backupFile: string; passphrase: string }): Promise<void> {
  const { keystore } = await loadState(given.stateFile);
  await writeFile(given.backupFile, await sealBackup({ data: keystore, passphrase: given.passphrase }), {
    mode: 0o600,
  });
}

export async function restore(given: { stateFile: string; backupFile: string; passphrase: string }): Promise<void> {
  const { passphrase } = given;
  const keystore = await openBackup({ file: await readFile(given.backupFile), passphrase });
  await saveTo(given.stateFile)(stateOf(keystore));
}
