/**
 * Keeps the mirrors of all accounts that live elsewhere: one loop for each, in one process at a time. A loop looks at once
 * when something was changed here, waits at the home for what is changed there, and tries again later when the home cannot
 * be had: nothing here waits for it.
 */
import { setTimeout as wait } from 'node:timers/promises';
import { KeystoreError } from '../keystore/errors.ts';
import { RemoteError } from '../remote/errors.ts';
import type { ChangesAnswer } from '../smimp/api.ts';
import { ProfileError } from '../smimp/errors.ts';
import type { Listener } from '../store/database.ts';
import { differsHere } from '../store/mirror-differences.ts';
import { changeMirror, listMirrors, type MirrorLocks, type StoredMirror, withMirrorLocks } from '../store/mirrors.ts';
import { finishConnecting } from './connect.ts';
import { MirrorError } from './errors.ts';
import { readFolderBook } from './folder-book.ts';
import { type Mirror, type MirrorServices, openMirror, storedMirror } from './mirror.ts';
import { foldersDiffer } from './push-folders.ts';
import { maintainMirror, syncMirror } from './round.ts';
import { createWake, type Wake } from './wake.ts';

/** The home is waited at for this long (SMIMP 0.1 §5: at most 30 s). */
const POLL_SECONDS = 25;
const KEYS_EVERY_MS = 60_000;
/** How often new accounts, and those of a process that ended, are looked for. */
const LOOK_EVERY_MS = 5_000;
const FIRST_RETRY_MS = 1_000;
const LONGEST_RETRY_MS = 120_000;
/** A home that does not wait, though nothing happened, is asked no more often than this. */
const LEAST_POLL_MS = 2_000;

export interface MirrorTimes {
  firstRetryMs: number;
  longestRetryMs: number;
  lookEveryMs: number;
  leastPollMs: number;
}

const TIMES: MirrorTimes = {
  firstRetryMs: FIRST_RETRY_MS,
  longestRetryMs: LONGEST_RETRY_MS,
  lookEveryMs: LOOK_EVERY_MS,
  leastPollMs: LEAST_POLL_MS,
};

type Services = MirrorServices & { listener: Listener };

export function startMirrors(services: Services, times: MirrorTimes = TIMES): AsyncDisposable {
  const ending = new AbortController();
  const kept = keepAll({ services, times, signal: ending.signal });
  return {
    async [Symbol.asyncDispose]() {
      ending.abort();
      await kept;
    },
  };
}

type Keepers = { services: Services; times: MirrorTimes; signal: AbortSignal };

/** Until the end; anew when the connection to the database was lost. */
async function keepAll(keepers: Keepers): Promise<void> {
  const { services, times, signal } = keepers;
  while (!signal.aborted) {
    await withMirrorLocks(services.db, (locks) => keepUnder(keepers, locks)).catch((error: unknown) =>
      services.events.unexpected('mirrors', error),
    );
    await pause(times.lookEveryMs, signal);
  }
}

/** As long as the locks are held: every mirror that no other process keeps. */
async function keepUnder(keepers: Keepers, locks: MirrorLocks): Promise<void> {
  const { services, times, signal } = keepers;
  const running = new Map<number, Promise<void>>();
  const look = async (): Promise<void> => {
    for (const stored of await listMirrors(services.db)) {
      const id = stored.account_id;
      if (running.has(id) || !(await locks.take(id))) continue;
      running.set(
        id,
        keepOne(keepers, stored, locks).finally(() => running.delete(id)),
      );
    }
  };
  while (!signal.aborted && (await locks.areHeld())) {
    await look().catch((error: unknown) => services.events.unexpected('mirrors', error));
    await pause(times.lookEveryMs, signal);
  }
  await Promise.all(running.values());
}

async function keepOne(keepers: Keepers, stored: StoredMirror, locks: MirrorLocks): Promise<void> {
  try {
    await keepMirror({ ...keepers, stored, isHeld: locks.areHeld });
  } catch (error) {
    keepers.services.events.unexpected('mirror', error);
  }
  if (await locks.areHeld()) await locks.release(stored.account_id);
}

/** Ended early by `signal`. */
async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await wait(ms, undefined, { signal }).catch(() => undefined);
}

interface Keeping extends Keepers {
  stored: StoredMirror;
  isHeld: () => Promise<boolean>;
}

/** Until the end, or the lock is lost. An account that was removed, or is not published yet, ends it too; it is looked for again. */
async function keepMirror(keeping: Keeping): Promise<void> {
  const { services, stored, signal, isHeld, times } = keeping;
  using wake = createWake({ listener: services.listener, accountId: stored.account_id, signal });
  let keysAtMs = Number.NEGATIVE_INFINITY;
  for (let failures = 0; !signal.aborted; ) {
    try {
      if (!(await finishConnecting(services, stored))) return;
      const mirror = await openMirror(services, stored, { signal, isHeld });
      if (services.clock().getTime() - keysAtMs >= KEYS_EVERY_MS) {
        await maintainMirror(mirror);
        keysAtMs = services.clock().getTime();
      }
      wake.forget();
      await syncMirror(mirror);
      if (failures > 0 || stored.error_code !== null)
        services.events.mirrorState({ accountId: stored.account_id, code: null });
      failures = 0;
      stored.error_code = null;
      await waitForChange(mirror, wake, times);
    } catch (error) {
      if (isOver(error)) return;
      failures += 1;
      await noteFailure(keeping, error, failures);
      await wake.pause(retryMs(times, failures, error));
    }
  }
}

/** The keys are not here any more, or the work is to end. */
function isOver(error: unknown): boolean {
  if (error instanceof KeystoreError) return error.code === 'unknown-account';
  return error instanceof RemoteError && error.code === 'cancelled';
}

async function noteFailure({ services, stored }: Keeping, error: unknown, failures: number): Promise<void> {
  const code = codeOf(error);
  if (code === null) services.events.unexpected('mirror', error);
  if (failures === 1) services.events.mirrorState({ accountId: stored.account_id, code: code ?? 'unexpected' });
  await changeMirror(services.db, stored.account_id, { error_code: code ?? 'unexpected' });
}

/** Null: nobody foresaw it. */
function codeOf(error: unknown): string | null {
  if (error instanceof RemoteError) return error.apiCode ?? error.code;
  if (error instanceof MirrorError || error instanceof ProfileError || error instanceof KeystoreError)
    return error.code;
  return null;
}

function retryMs(times: MirrorTimes, failures: number, error: unknown): number {
  const asked = error instanceof RemoteError ? (error.retryAfterMs ?? 0) : 0;
  const grown = times.firstRetryMs * 2 ** Math.min(failures - 1, 20);
  return Math.min(times.longestRetryMs, Math.max(grown, asked));
}

/**
 * Returns when something changed there, or here in a way that the home does not know of. What was left over, because the
 * home will not take it now, is tried again when the wait is over, and does not end it.
 */
async function waitForChange(mirror: Mirror, wake: Wake, { leastPollMs }: MirrorTimes): Promise<void> {
  const { clock } = mirror.services;
  const { cursor } = await storedMirror(mirror);
  for (;;) {
    if (wake.signal.aborted && (await differs(mirror))) return;
    wake.forget();
    const askedMs = clock().getTime();
    const answer = await poll(mirror, cursor, wake.signal);
    if (answer === null) continue;
    const early = leastPollMs - (clock().getTime() - askedMs);
    if (answer.changes.length === 0 && early > 0) await wake.pause(early);
    return;
  }
}

async function differs({ services, accountId }: Mirror): Promise<boolean> {
  const { db } = services;
  return (await differsHere(db, accountId)) || foldersDiffer(await readFolderBook(db, accountId));
}

/** Null: it was ended by a change here. */
async function poll(mirror: Mirror, cursor: string | null, signal: AbortSignal): Promise<ChangesAnswer | null> {
  const { owner } = mirror.services;
  try {
    return await mirror.asOwner((session) => owner.changes(session, { cursor, waitSeconds: POLL_SECONDS, signal }));
  } catch (error) {
    const isWoken = error instanceof RemoteError && error.code === 'cancelled' && !mirror.signal.aborted;
    if (!isWoken) throw error;
    return null;
  }
}
