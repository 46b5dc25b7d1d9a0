/** Opens mail as it arrives, and tells alarms: woken by other processes at once, and by a sweep of what nobody told of. */
import { KeystoreError } from '../keystore/errors.ts';
import { accountsWithDueAlarms } from '../store/alarms.ts';
import type { Listener } from '../store/database.ts';
import { accountsWithDueMessages } from '../store/unopened.ts';
import { type OpenServices, openPending } from './open.ts';

/** What is held becomes due by the clock, and a notification may be lost. */
const SWEEP_MS = 5_000;

export async function startOpener(options: OpenServices & { listener: Listener }): Promise<AsyncDisposable> {
  const { db, listener, events, clock } = options;
  const running = new Map<number, Promise<void>>();
  const again = new Set<number>();
  let ended = false;

  const open = async (accountId: number): Promise<void> => {
    do {
      again.delete(accountId);
      await openPending(options, accountId);
    } while (again.has(accountId) && !ended);
  };
  /** One round at a time for an account; what arrives meanwhile makes another. */
  const wake = (accountId: number): void => {
    if (ended) return;
    again.add(accountId);
    if (running.has(accountId)) return;
    const round = open(accountId)
      .catch((error: unknown) => {
        // The owner reads with another client, which has the keys.
        if (error instanceof KeystoreError && error.code === 'unknown-account') return;
        events.unexpected('opening mail', error);
      })
      .finally(() => running.delete(accountId));
    running.set(accountId, round);
  };
  const sweep = async (): Promise<void> => {
    const now = clock();
    const due = [...(await accountsWithDueMessages(db, now)), ...(await accountsWithDueAlarms(db, now))];
    for (const accountId of new Set(due)) wake(accountId);
  };
  const heard = (payload: string): void => wake(Number(payload));
  const sweepNow = (): void => void sweep().catch((error: unknown) => events.unexpected('sweep of mail', error));

  listener.on('mail_received', heard);
  listener.on('reconnected', sweepNow);
  const timer = setInterval(sweepNow, SWEEP_MS);
  await sweep();
  return {
    async [Symbol.asyncDispose]() {
      ended = true;
      clearInterval(timer);
      listener.off('mail_received', heard);
      listener.off('reconnected', sweepNow);
      await Promise.all(running.values());
    },
  };
}
