/** `changes` (SMIMP 0.1 §5): what happened in a mailbox since a cursor, waiting for it when asked to. */
import { randomBytes } from '../smimp/crypto.ts';
import { toHex } from '../smimp/encoding.ts';
import type { Db } from '../store/database.ts';
import { type Change, changesAfter } from '../store/envelopes.ts';
import { epochToken, isKnownEpoch } from '../store/epochs.ts';
import { type ApiServices, type Call, type Handlers, ownerOf } from './call.ts';
import { ApiError } from './errors.ts';
import { summaryOf } from './mailbox.ts';

const PAGE = 500;
const TOKEN_BYTES = 8;
const CURSOR = /^r(0|[1-9][0-9]{0,15})(?:\.([1-9][0-9]{0,15}))?(?:\.e([0-9a-f]{16}))?$/;

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
      // Told by a mailbox that an old backup took the place of, or before what is remembered: begin again.
      const reset = !(await isTold(db, accountId, since)) || (since.begun ?? found.current) < found.floor;
      if (reset) found = await look(accountId, 0);
      const begun = reset ? found.current : (since.begun ?? found.current);
      if (waiter !== null && found.changes.length === 0 && !reset) {
        await waiter.changed(AbortSignal.any([call.signal, AbortSignal.timeout(waitMs)]));
        found = await look(accountId, since.last);
      }
      const cursor = await formatCursor(db, accountId, { ...found, begun });
      return { body: { cursor, reset, changes: found.changes } };
    },
  };
}

/**
 * `last`: everything up to this revision was told. `begun`: whoever began with nothing at this revision was never told of
 * what was deleted before; null for one that begins now. `token`: of the course of the mailbox that came that far.
 */
type Cursor = { last: number; begun: number | null; token: Buffer | null };

function parseCursor(cursor: Call<'get_changes'>['query']['cursor']): Cursor {
  if (cursor === undefined || cursor === '') return { last: 0, begun: null, token: null };
  const [, revision, begun, token] = CURSOR.exec(cursor) ?? [];
  if (revision === undefined) throw new ApiError('bad_request');
  return {
    last: Number(revision),
    begun: Math.max(Number(revision), Number(begun ?? 0)),
    token: token === undefined ? null : Buffer.from(token, 'hex'),
  };
}

/** Whether this mailbox told it, and did not only come to the same revision once more. Whoever was told nothing needs no proof. */
async function isTold(db: Db, accountId: number, { begun, token }: Cursor): Promise<boolean> {
  const covers = begun ?? 0;
  if (covers === 0) return true;
  return token !== null && (await isKnownEpoch(db, { accountId, covers, token }));
}

/** Where it began matters only while it has not passed what is forgotten. */
async function formatCursor(
  db: Db,
  accountId: number,
  { last, floor, current, begun }: { last: number; floor: number; current: number; begun: number },
): Promise<string> {
  if (last === 0) return 'r0';
  const place = last < floor ? `r${last}.${begun}` : `r${last}`;
  const covers = last < floor ? Math.max(last, begun) : last;
  const token = await epochToken(db, { accountId, covers, current, fresh: randomBytes(TOKEN_BYTES) });
  return `${place}.e${toHex(token)}`;
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
