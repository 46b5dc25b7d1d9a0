/**
 * Keeps the mirrors of all accounts that live elsewhere: one loop for each, in one process at a time. A loop looks at once
 * when something was changed here, waits at the home for what is changed there, and tries again later when the home cannot
 * be had: nothing here waits for it.
 */
import { KeystoreError } from '../keystore/errors.ts';
import { RemoteError } from '../remote/errors.ts';
import { ProfileError } from '../smimp/errors.ts';
import type { Listener } from '../store/database.ts';
import { differsHere } from '../store/mirror-differences.ts';
import { changeMirror, listMirrors, type StoredMirror, withMirrorLock } from '../store/mirrors.ts';
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

export interface MirrorTimes {
  firstRetryMs: number;
  longestRetryMs: number;
  lookEveryMs: number;
}

const TIMES: MirrorTimes = {
  firstRetryMs: FIRST_RETRY_MS,
  longestRetryMs: LONGEST_RETRY_MS,
  lookEveryMs: LOOK_EVERY_MS,
};

export function startMirrors(
  services: MirrorServices & { listener: Listener },
  times: MirrorTimes = TIMES,
): AsyncDisposable {
  const { db, events } = services;
  const ending = new AbortController();
  const running = new Map<number, Promise<unknown>>();

  const keep = (stored: StoredMirror): void => {
    const loop = withMirrorLock(db, stored.account_id, (isHeld) =>
      keepMirror({ services, stored, times, isHeld, signal: ending.signal }),
    )
      .catch((error: unknown) => events.unexpected('mirror', error))
      .finally(() => running.delete(stored.account_id));
    running.set(stored.account_id, loop);
  };
  const look = async (): Promise<void> => {
    for (const stored of await listMirrors(db)) {
      if (!running.has(stored.account_id) && !ending.signal.aborted) keep(stored);
    }
  };
  let looking = Promise.resolve();
  const lookNow = (): void => {
    looking = looking.then(look).catch((error: unknown) => events.unexpected('mirrors', error));
  };

  lookNow();
  const timer = setInterval(lookNow, times.lookEveryMs);
  return {
    async [Symbol.asyncDispose]() {
      clearInterval(timer);
      ending.abort();
      await looking;
      await Promise.all(running.values());
    },
  };
}

interface Keeping {
  services: MirrorServices & { listener: Listener };
  stored: StoredMirror;
  times: MirrorTimes;
  isHeld: () => Promise<boolean>;
  signal: AbortSignal;
}

/** Until the program ends. An account that was removed, or is not published yet, ends it too; it is looked for again. */
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
      await waitForChange(mirror, wake);
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
async function waitForChange(mirror: Mirror, wake: Wake): Promise<void> {
  const { cursor } = await storedMirror(mirror);
  for (;;) {
    if (wake.signal.aborted && (await differs(mirror))) return;
    wake.forget();
    if (await poll(mirror, cursor, wake.signal)) return;
  }
}

async function differs({ services, accountId }: Mirror): Promise<boolean> {
  const { db } = services;
  return (await differsHere(db, accountId)) || foldersDiffer(await readFolderBook(db, accountId));
}

/** False: it was ended by a change here. */
async function poll(mirror: Mirror, cursor: string | null, signal: AbortSignal): Promise<boolean> {
  const { owner } = mirror.services;
  try {
    await mirror.asOwner((session) => owner.changes(session, { cursor, waitSeconds: POLL_SECONDS, signal }));
    return true;
  } catch (error) {
    const isWoken = error instanceof RemoteError && error.code === 'cancelled' && !mirror.signal.aborted;
    if (!isWoken) throw error;
    return false;
  }
}
