/**
 * The key of a user of another server, for checking a login (SMIMP 0.1 §5): single-flight per address, at most two at once
 * and thirty a minute per domain, so that nobody can make this server a hammer.
 */
import { type Address, addressParts, type Domain } from '../smimp/address.ts';
import { MAX_REMOTE_FETCHES_AT_ONCE, MAX_REMOTE_FETCHES_PER_MINUTE, type PublicKeyAnswer } from '../smimp/api.ts';
import type { Discovery } from './discovery.ts';
import { RemoteError } from './errors.ts';
import type { HomeClient } from './home.ts';

/** Throws RemoteError; `api` with `unknown_user` when the user's own server says so, or its domain has none. */
export type FetchPublicKey = (address: Address) => Promise<PublicKeyAnswer>;

const MINUTE_MS = 60_000;
/** Requests for one domain that wait for a place; more are refused. */
export const MAX_WAITING_PER_DOMAIN = 30;
/** Domains remembered at once; beyond it those with nothing to remember go. */
const MAX_DOMAINS = 10_000;

type Lane = { running: number; waiting: (() => void)[]; startedMs: number[] };

export function createFetchPublicKey(options: {
  discovery: Discovery;
  home: HomeClient;
  clock: () => Date;
}): FetchPublicKey {
  const { discovery, home, clock } = options;
  const lanes = new Map<Domain, Lane>();
  const underWay = new Map<Address, Promise<PublicKeyAnswer>>();

  const fetchKey = async (address: Address): Promise<PublicKeyAnswer> => {
    const { domain } = addressParts(address);
    const lane = laneOf(lanes, domain, clock().getTime());
    await enter(lane, clock);
    try {
      const found = await discovery.discover(domain);
      if (found.outcome === 'found') return await home.publicKey(found.baseUrl, address);
      if (found.outcome === 'absent') throw new RemoteError('api', { status: 404, apiCode: 'unknown_user' });
      throw new RemoteError(found.code === 'failed-recently' ? 'connect' : found.code);
    } finally {
      leave(lane);
    }
  };

  return (address) => {
    const started = underWay.get(address) ?? fetchKey(address).finally(() => underWay.delete(address));
    underWay.set(address, started);
    return started;
  };
}

function laneOf(lanes: Map<Domain, Lane>, domain: Domain, nowMs: number): Lane {
  if (lanes.size >= MAX_DOMAINS) {
    for (const [name, lane] of lanes) {
      const recent = lane.startedMs.some((startedMs) => nowMs - startedMs < MINUTE_MS);
      if (lane.running === 0 && !recent) lanes.delete(name);
    }
  }
  if (lanes.size >= MAX_DOMAINS && !lanes.has(domain)) throw new RemoteError('rate-limited');
  const lane = lanes.get(domain) ?? { running: 0, waiting: [], startedMs: [] };
  lanes.set(domain, lane);
  return lane;
}

async function enter(lane: Lane, clock: () => Date): Promise<void> {
  const nowMs = clock().getTime();
  lane.startedMs = lane.startedMs.filter((startedMs) => nowMs - startedMs < MINUTE_MS);
  const full = lane.startedMs.length >= MAX_REMOTE_FETCHES_PER_MINUTE || lane.waiting.length >= MAX_WAITING_PER_DOMAIN;
  if (full) throw new RemoteError('rate-limited', { retryAfterMs: MINUTE_MS });
  lane.startedMs.push(nowMs);
  if (lane.running < MAX_REMOTE_FETCHES_AT_ONCE) lane.running += 1;
  else await new Promise<void>((resolve) => lane.waiting.push(resolve));
}

/** A place that another one waits for is handed on. */
function leave(lane: Lane): void {
  const next = lane.waiting.shift();
  if (next === undefined) lane.running -= 1;
  else next();
}
