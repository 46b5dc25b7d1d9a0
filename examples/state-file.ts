/**
 * A place for what a client remembers: one file that only its owner reads, replaced in one step, on the disk before `save`
 * returns. It holds the keys in the clear; keep it on an encrypted disk, or seal it before writing.
 */
import { open, readFile, rename } from 'node:fs/promises';
import { type ClientState, parseState } from 'smimp-bridge/client';

export async function loadState(path: string): Promise<ClientState> {
  return parseState(JSON.parse(await readFile(path, 'utf8')));
}

export function saveTo(path: string): (state: ClientState) => Promise<void> {
  return async (state) => {
    const handle = await open(`${path}.new`, 'w', 0o600);
    try {
      await handle.writeFile(JSON.stringify(state));
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(`${path}.new`, path);
  };
}
