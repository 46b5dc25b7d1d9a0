/** Wakes a mirror when its mailbox was changed here, by whatever process. */
import type { Listener } from '../store/database.ts';

export interface Wake extends Disposable {
  /** Aborted by the next change since `forget`, and at the end. */
  readonly signal: AbortSignal;
  /** What was changed so far will be looked at now. */
  forget(): void;
  /** For so long, or until the end; changes here do not shorten it: the home is what is missing. */
  pause(ms: number): Promise<void>;
}

export function createWake(options: { listener: Listener; accountId: number; signal: AbortSignal }): Wake {
  const { listener, signal: ending } = options;
  let changed = new AbortController();
  const wake = (): void => changed.abort();
  const heard = (payload: string): void => {
    if (payload === String(options.accountId)) wake();
  };
  listener.on('mailbox_changed', heard).on('reconnected', wake);
  return {
    get signal() {
      return AbortSignal.any([changed.signal, ending]);
    },
    forget() {
      changed = new AbortController();
    },
    pause: (ms) =>
      new Promise((resolve) => {
        const done = (): void => {
          clearTimeout(timer);
          ending.removeEventListener('abort', done);
          resolve();
        };
        const timer = setTimeout(done, ms);
        ending.addEventListener('abort', done);
        if (ending.aborted) done();
      }),
    [Symbol.dispose]() {
      listener.off('mailbox_changed', heard).off('reconnected', wake);
    },
  };
}
