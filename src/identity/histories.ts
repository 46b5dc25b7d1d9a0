/**
 * Fetching histories, for all accounts of the process together: one fetch at a time per question, answers kept for a
 * minute and then asked for again by ETag. What an answer means is decided per account, in pins.ts.
 */

import { RemoteError } from '../remote/errors.ts';
import type { HistoryReply, HomeClient } from '../remote/home.ts';
import type { Discovery } from '../remote/look-up.ts';
import { type Address, addressParts } from '../smimp/address.ts';
import type { BaseUrl } from '../smimp/discovery.ts';
import { ProfileError, type ProfileErrorCode } from '../smimp/errors.ts';

export type HistoryLook = { readonly baseUrl: BaseUrl | null } & (
  | { readonly kind: 'answer'; readonly reply: HistoryReply; readonly cached: boolean }
  /** An answer that is no history: not strict JSON, or not its fields. */
  | { readonly kind: 'invalid'; readonly reason: ProfileErrorCode }
  | { readonly kind: 'unknown-user' }
  | { readonly kind: 'no-smimp' }
  | { readonly kind: 'unavailable' }
);

export interface Histories {
  /** Records from `from` on. `fresh`: no answer that was given before this call. */
  look(ask: { address: Address; from: number; fresh: boolean }): Promise<HistoryLook>;
}

/** How long an answer serves other accounts. */
export const HISTORY_FRESH_MS = 60_000;
/** Characters of records kept; the oldest answers go first. */
const MAX_KEPT_CHARACTERS = 16 * 1024 * 1024;

type Kept = { reply: HistoryReply; baseUrl: BaseUrl; askedMs: number; characters: number };

export function createHistories(options: { discovery: Discovery; home: HomeClient; clock: () => Date }): Histories {
  const { discovery, home, clock } = options;
  const kept = new Map<string, Kept>();
  const underWay = new Map<string, Promise<HistoryLook>>();
  let keptCharacters = 0;

  const forget = (name: string): void => {
    keptCharacters -= kept.get(name)?.characters ?? 0;
    kept.delete(name);
  };
  const keep = (name: string, entry: Omit<Kept, 'characters'>): void => {
    forget(name);
    const characters = JSON.stringify(entry.reply.records).length;
    keptCharacters += characters;
    kept.set(name, { ...entry, characters });
    for (const oldest of kept.keys()) {
      if (keptCharacters <= MAX_KEPT_CHARACTERS) break;
      forget(oldest);
    }
  };

  const fetchReply = async (name: string, baseUrl: BaseUrl, address: Address, from: number): Promise<HistoryReply> => {
    const askedMs = clock().getTime();
    const before = kept.get(name);
    const etag = before?.baseUrl === baseUrl ? before.reply.etag : null;
    const reply = await home.history({ baseUrl, address, from, etag });
    const current = reply ?? before?.reply;
    if (current === undefined) throw new RemoteError('bad-response');
    keep(name, { reply: current, baseUrl, askedMs });
    return current;
  };

  const fetchLook = async (name: string, address: Address, from: number): Promise<HistoryLook> => {
    const found = await discovery.discover(addressParts(address).domain);
    if (found.outcome === 'absent') return { kind: 'no-smimp', baseUrl: null };
    if (found.outcome === 'failed') return { kind: 'unavailable', baseUrl: null };
    const { baseUrl } = found;
    try {
      return { kind: 'answer', reply: await fetchReply(name, baseUrl, address, from), cached: false, baseUrl };
    } catch (error) {
      return { ...failedLook(error), baseUrl };
    }
  };

  return {
    async look({ address, from, fresh }) {
      const name = `${address} ${from}`;
      const known = kept.get(name);
      const ageMs = known === undefined ? -1 : clock().getTime() - known.askedMs;
      if (!fresh && known !== undefined && ageMs >= 0 && ageMs < HISTORY_FRESH_MS) {
        return { kind: 'answer', reply: known.reply, cached: true, baseUrl: known.baseUrl };
      }
      const running = fresh ? undefined : underWay.get(name);
      if (running !== undefined) return running.then(asKept);
      const started: Promise<HistoryLook> = fetchLook(name, address, from).finally(() => {
        if (underWay.get(name) === started) underWay.delete(name);
      });
      underWay.set(name, started);
      return started;
    },
  };
}

/** An answer that was already under way counts as given before: it may be older than what is pinned by now. */
function asKept(look: HistoryLook): HistoryLook {
  return look.kind === 'answer' ? { ...look, cached: true } : look;
}

function failedLook(
  error: unknown,
): { kind: 'invalid'; reason: ProfileErrorCode } | { kind: 'unknown-user' | 'unavailable' } {
  if (!(error instanceof RemoteError)) throw error;
  if (error.code === 'bad-response' && error.cause instanceof ProfileError) {
    return { kind: 'invalid', reason: error.cause.code };
  }
  return { kind: error.apiCode === 'unknown_user' ? 'unknown-user' : 'unavailable' };
}
