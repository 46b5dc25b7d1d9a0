/** `changes` (SMIMP 0.1 §5): what happened in a mailbox since a cursor, waiting for it when asked to. */
import { toHex } from '../smimp/encoding.ts';
import { type Change, changesAfter } from '../store/envelopes.ts';
import { type ApiServices, type Call, type Handlers, ownerOf } from './call.ts';
import { ApiError } from './errors.ts';
import { summaryOf } from './mailbox.ts';

const PAGE = 500;
const CURSOR = /^r(0|[1-9][0-9]{0,15})(?:\.([1-9][0-9]{0,15}))?$/;

export function changesHandlers(services: ApiServices): Handlers {
  const { db } = services;

  const look = async (accountId: number, revision: number) => {
    const { changes, ...found } = await changesAfter(db, { accountId, revision, limit: PAGE });
    return { changes: changes.map(changeAnswer), ...found };
  };

  return {
    get_changes: async (call) => {
      const { accountId } = ownerOf(call);
      const since = parseCursor(call.query.cursor);
      const waitMs = (call.query.wait ?? 0) * 1000;
      // Listening begins before the first look: a change between the two must not be missed.
      using waiter = waitMs > 0 ? waitForChange(services, accountId) : null;
      let found = await look(accountId, since.last);
      // A cursor from a future that a restored backup does not know, or from before what is remembered: begin again.
      const reset = found.last < since.last || (since.begun ?? found.current) < found.floor;
      if (reset) found = await look(accountId, 0);
      const begun = reset ? found.current : (since.begun ?? found.current);
      if (waiter !== null && found.changes.length === 0 && !reset) {
        await waiter.changed(AbortSignal.any([call.signal, AbortSignal.timeout(waitMs)]));
        found = await look(accountId, since.last);
      }
      return { body: { cursor: formatCursor(found, begun), reset, changes: found.changes } };
    },
  };
}

/**
 * `last`: everything up to this revision was told. `begun`: whoever began with nothing at this revision was never told of
 * what was deleted before; null for one that begins now.
 */
type Cursor = { last: number; begun: number | null };

function parseCursor(cursor: Call<'get_changes'>['query']['cursor']): Cursor {
  if (cursor === undefined || cursor === '') return { last: 0, begun: null };
  const [, revision, begun] = CURSOR.exec(cursor) ?? [];
  if (revision === undefined) throw new ApiError('bad_request');
  return { last: Number(revision), begun: Math.max(Number(revision), Number(begun ?? 0)) };
}

/** Where it began matters only while it has not passed what is forgotten. */
function formatCursor({ last, floor }: { last: number; floor: number }, begun: number): string {
  return last < floor ? `r${last}.${begun}` : `r${last}`;
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
