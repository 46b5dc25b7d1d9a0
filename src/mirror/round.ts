/** One round of a mirror: keys, then pull and push until both sides agree. */
import { changeMirror } from '../store/mirrors.ts';
import { MirrorError } from './errors.ts';
import { maintainKeys } from './keys.ts';
import type { Mirror } from './mirror.ts';
import { pull } from './pull.ts';
import { push } from './push.ts';
import { finishRotation } from './rotation.ts';

/** Another client may change things while we look; more than this in a row is no coincidence. */
const MAX_LOOKS = 6;

/** Throws RemoteError, MirrorError. */
export async function syncMirror(mirror: Mirror): Promise<void> {
  for (let looks = 1; ; looks += 1) {
    await pull(mirror);
    if (!(await push(mirror))) break;
    if (looks === MAX_LOOKS) throw new MirrorError('restless');
  }
  const { db, clock } = mirror.services;
  await changeMirror(db, mirror.accountId, { synced_at: clock(), error_code: null });
}

/** What is due of the account's keys; often enough once a minute. */
export async function maintainMirror(mirror: Mirror): Promise<void> {
  await finishRotation(mirror);
  await maintainKeys(mirror);
}
