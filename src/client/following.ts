/** Following a mailbox (SMIMP 0.1 §5, `changes`): what happened, as it happens, from a cursor that the caller keeps. */
import { setTimeout as wait } from 'node:timers/promises';
import type { OwnerClient } from '../remote/owner.ts';
import { type ChangesAnswer, MAX_WAIT_SECONDS } from '../smimp/api.ts';
import type { ClientSessions } from './sessions.ts';

export type FollowOptions = {
  /** Of the last answer that was worked on; null: from the beginning. */
  readonly cursor?: string | null;
  /** How long one question waits for something to happen: 0 to 30. */
  readonly waitSeconds?: number;
  readonly signal?: AbortSignal;
};

/** A server that does not wait, though nothing happened, is asked no more often than this. */
const LEAST_POLL_MS = 1_000;

/**
 * Yields every answer with something in it, for ever. Keep `cursor` after the changes were worked on; `reset` means that
 * what was known of the mailbox is void and the changes begin anew. Ends quietly when `signal` fires; throws RemoteError for
 * what a server or the network does, and may then be begun again with the last cursor.
 */
export async function* followChanges(
  { owner, sessions, clock }: { owner: OwnerClient; sessions: ClientSessions; clock: () => Date },
  options: FollowOptions = {},
): AsyncGenerator<ChangesAnswer> {
  const { waitSeconds = MAX_WAIT_SECONDS, signal } = options;
  let cursor = options.cursor ?? null;
  while (!signal?.aborted) {
    const since = { cursor, waitSeconds, signal };
    const askedMs = clock().getTime();
    const answer = await sessions
      .atHome((session) => owner.changes(session, since))
      .catch((error: unknown) => endedQuietly(signal, error));
    if (answer === null) return;
    const isNew = answer.changes.length > 0 || answer.reset;
    cursor = answer.cursor;
    if (isNew) yield answer;
    else await pause(LEAST_POLL_MS - (clock().getTime() - askedMs), signal);
  }
}

function endedQuietly(signal: AbortSignal | undefined, error: unknown): null {
  if (signal?.aborted) return null;
  throw error;
}

async function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  if (ms > 0) await wait(ms, undefined, { signal }).catch((error: unknown) => endedQuietly(signal, error));
}
