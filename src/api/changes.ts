/** `changes` (SMIMP 0.1 §5): what happened in a mailbox since a cursor, waiting for it when asked to. */
import { toHex } from '../smimp/encoding.ts';
import { type Change, changesAfter } from '../store/envelopes.ts';
import { type ApiServices, type Call, type Handlers, ownerOf } from './call.ts';
import { ApiError } from './errors.ts';
import { summaryOf } from './mailbox.ts';

const PAGE = 500;
const CURSOR = /^r(0|[1-9][0-9]{0,15})$/;

export function changesHandlers(services: ApiServices): Handlers {
  const { db } = services;

  const look = async (accountId: number, revision: number) => {
    const { changes, last } = await changesAfter(db, { accountId, revision, limit: PAGE });
    return { changes: changes.map(changeAnswer), last };
  };

  return {
    get_changes: async (call) => {
      const { accountId } = ownerOf(call);
      const since = parseCursor(call.query.cursor);
      const waitMs = (call.query.wait ?? 0) * 1000;
      // Listening begins before the first look: a change between the two must not be missed.
      using waiter = waitMs > 0 ? waitForChange(services, accountId) : null;
      let found = await look(accountId, since);
      // A cursor from a future that a restored backup does not know: begin again.
      const reset = found.last < since;
      if (reset) found = await look(accountId, 0);
      if (waiter !== null && found.changes.length === 0 && !reset) {
        await waiter.changed(AbortSignal.any([call.signal, AbortSignal.timeout(waitMs)]));
        found = await look(accountId, since);
      }
      return { body: { cursor: `r${found.last}`, reset, changes: found.changes } };
    },
  };
}

function parseCursor(cursor: Call<'get_changes'>['query']['cursor']): number {
  if (cursor === undefined || cursor === '') return 0;
  const revision = CURSOR.exec(cursor)?.[1];
  if (revision === undefined) throw new ApiError('bad_request');
  return Number(revision);
}

interface Waiter extends Disposable {
  /** Resolves when that mailbox changed since the waiter was made, or may have; or when `until` is aborted. */
  changed(until: AbortSignal): Promise<void>;
}

/** Hears of every change from now on, however many come at once, until it is disposed. */
function waitForChange({ listener }: ApiServices, accountId: number): Waiter {
  const { promise, resolve } = Promise.withResolvers<void>();
  const wake = (): void => resolve();
  const heard = (payload: string): void => {
    if (payload === String(accountId)) resolve();
  };
  listener.on('mailbox_changed', heard).on('mail_received', heard).on('reconnected', wake);
  return {
    changed(until) {
      if (until.aborted) resolve();
      until.addEventListener('abort', wake, { once: true });
      return promise;
    },
    [Symbol.dispose]() {
      listener.off('mailbox_changed', heard).off('mail_received', heard).off('reconnected', wake);
    },
  };
}

function changeAnswer(change: Change) {
  if (change.op === 'delete') return { op: change.op, message_id: toHex(change.message_id) };
  return { op: change.op, message_id: toHex(change.summary.message_id), summary: summaryOf(change.summary) };
}
