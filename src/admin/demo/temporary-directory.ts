/**
 * A directory for a demonstration or a test whose bridges keep everything in it, so that deleting it leaves nothing behind.
 * Others may pass through but not look: run by root, the database is that of the user `postgres`, who must get to it.
 */
import { chmod, mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const PASSABLE_MODE = 0o711;

export async function temporaryDirectory(name: string): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), `smimp-${name}-`));
  await chmod(directory, PASSABLE_MODE);
  return directory;
}
