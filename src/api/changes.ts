/** `changes` (SMIMP 0.1 §5): what happened in a mailbox since a cursor, waiting for it when asked to. */
import { once } from 'node:events';
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
      const waiting = AbortSignal.any([call.signal, AbortSignal.timeout((call.query.wait ?? 0) * 1000)]);
      const changed = somethingChanged(services, accountId, waiting);
      let found = await look(accountId, since);
      // A cursor from a future that a restored backup does not know: begin again.
      const reset = found.last < since;
      if (reset) found = await look(accountId, 0);
      if (found.changes.length === 0 && !reset && (call.query.wait ?? 0) > 0) {
        await changed;
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

/** Resolves at the next change of that mailbox, or when the waiting ends. */
async function somethingChanged({ listener }: ApiServices, accountId: number, waiting: AbortSignal): Promise<void> {
  try {
    for (;;) {
      const [payload] = await Promise.race([
        once(listener, 'mailbox_changed', { signal: waiting }),
        once(listener, 'mail_received', { signal: waiting }),
      ]);
      if (payload === String(accountId)) return;
    }
  } catch (error) {
    if (!waiting.aborted) throw error;
  }
}

function changeAnswer(change: Change) {
  if (change.op === 'delete') return { op: change.op, message_id: toHex(change.message_id) };
  return { op: change.op, message_id: toHex(change.summary.message_id), summary: summaryOf(change.summary) };
}
