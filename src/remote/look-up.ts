/**
 * Finding the server of a domain (SMIMP 0.1 §2.1–§2.7). One look-up at a time goes out for a domain; what was found is kept
 * in a memory: PostgreSQL for the bridge, plain data for the client library.
 *
 * A domain that once spoke SMIMP never counts as absent again: for it every failure means "try again later".
 */
import type { Domain } from '../smimp/address.ts';
import { versionsAnswer } from '../smimp/api.ts';
import {
  type BaseUrl,
  chooseVersion,
  DISCOVERY_PATH,
  MAX_DISCOVERY_BYTES,
  parseDiscovery,
} from '../smimp/discovery.ts';
import { ProfileError } from '../smimp/errors.ts';
import { parseFields } from '../smimp/fields.ts';
import { parseStrictJson } from '../smimp/json.ts';
import { RemoteError, type RemoteErrorCode } from './errors.ts';
import type { Https, HttpsResponse } from './https.ts';

export type DiscoveryOutcome =
  | { readonly outcome: 'found'; readonly baseUrl: BaseUrl }
  /** 404 or 410 over valid TLS, and never seen speaking SMIMP. */
  | { readonly outcome: 'absent' }
  | { readonly outcome: 'failed'; readonly everFound: boolean; readonly code: RemoteErrorCode | 'failed-recently' };

export interface Discovery {
  discover(domain: Domain): Promise<DiscoveryOutcome>;
}

/** What is remembered of a domain. `firstFoundAt`, once set, is never cleared (SMIMP 0.1 §2.6). */
export type KnownDomain = {
  readonly outcome: 'found' | 'absent' | 'failed';
  readonly baseUrl: BaseUrl | null;
  readonly checkedAt: Date;
  readonly firstFoundAt: Date | null;
};

/** What one look showed. `spoke`: it showed that the domain speaks SMIMP, whatever failed later. */
export type Look = Omit<KnownDomain, 'firstFoundAt'> & { readonly spoke: boolean };

export interface DomainMemory {
  find(domain: Domain): Promise<KnownDomain | null>;
  /** Keeps a look, as `remembered` says and in one step, and gives what is known now. */
  save(domain: Domain, look: Look): Promise<KnownDomain>;
}

/** A domain that ever spoke SMIMP can no longer become absent: it failed. */
export function remembered(known: KnownDomain | null, { spoke, ...look }: Look): KnownDomain {
  const firstFoundAt = known?.firstFoundAt ?? (spoke ? look.checkedAt : null);
  const outcome = look.outcome === 'absent' && firstFoundAt !== null ? 'failed' : look.outcome;
  return { ...look, outcome, firstFoundAt };
}

/** §2.6. */
export const FOUND_FRESH_MS = 3_600_000;
export const FAILED_FRESH_MS = 60_000;
export const MAX_REDIRECTS = 3;
const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);
const ABSENT: ReadonlySet<number> = new Set([404, 410]);
/** Pages that come with a redirect or a 404 mean nothing, but they may be there. */
const MAX_OTHER_BYTES = 256 * 1024;
const MAX_VERSION_BYTES = 16 * 1024;
const STEP_TIMEOUT_MS = 10_000;

type Looked =
  | { outcome: 'found'; baseUrl: BaseUrl; spoke: true }
  | { outcome: 'absent'; spoke: false }
  | { outcome: 'failed'; spoke: boolean; code: RemoteErrorCode };

export function createLookUp(options: {
  https: Https;
  memory: DomainMemory;
  clock: () => Date;
  timeoutMs?: number;
}): Discovery {
  const { https, memory, clock, timeoutMs = STEP_TIMEOUT_MS } = options;
  const underWay = new Map<Domain, Promise<DiscoveryOutcome>>();
  const lookUp = async (domain: Domain): Promise<DiscoveryOutcome> => {
    const known = await memory.find(domain);
    if (known !== null && isFresh(known, clock())) return outcomeOf(known, 'failed-recently');
    const looked = await look(https, domain, timeoutMs);
    const baseUrl = looked.outcome === 'found' ? looked.baseUrl : null;
    const { outcome, spoke } = looked;
    const kept = await memory.save(domain, { outcome, baseUrl, spoke, checkedAt: clock() });
    return outcomeOf(kept, looked.outcome === 'failed' ? looked.code : 'bad-response');
  };
  return {
    discover(domain) {
      const started = underWay.get(domain) ?? lookUp(domain).finally(() => underWay.delete(domain));
      underWay.set(domain, started);
      return started;
    },
  };
}

function isFresh(known: KnownDomain, now: Date): boolean {
  const ageMs = now.getTime() - known.checkedAt.getTime();
  return ageMs >= 0 && ageMs < (known.outcome === 'found' ? FOUND_FRESH_MS : FAILED_FRESH_MS);
}

function outcomeOf(known: KnownDomain, code: RemoteErrorCode | 'failed-recently'): DiscoveryOutcome {
  if (known.outcome === 'found' && known.baseUrl !== null) return { outcome: 'found', baseUrl: known.baseUrl };
  if (known.outcome === 'absent') return { outcome: 'absent' };
  return { outcome: 'failed', everFound: known.firstFoundAt !== null, code };
}

async function look(https: Https, domain: Domain, timeoutMs: number): Promise<Looked> {
  let spoke = false;
  try {
    const answer = await followRedirects(https, domain, timeoutMs);
    if (ABSENT.has(answer.status)) return { outcome: 'absent', spoke: false };
    if (answer.status !== 200) throw new RemoteError('api', { status: answer.status });
    const baseUrl = parseDiscovery(answer.body);
    spoke = true;
    await checkVersion(https, baseUrl, timeoutMs);
    return { outcome: 'found', baseUrl, spoke };
  } catch (error) {
    if (error instanceof RemoteError) return { outcome: 'failed', spoke, code: error.code };
    if (!(error instanceof ProfileError)) throw error;
    const code = error.code === 'no-common-version' ? 'no-common-version' : 'bad-response';
    return { outcome: 'failed', spoke, code };
  }
}

async function followRedirects(https: Https, domain: Domain, timeoutMs: number): Promise<HttpsResponse> {
  let url = new URL(`https://${domain}${DISCOVERY_PATH}`);
  for (let redirects = 0; ; redirects++) {
    const answer = await https.request({ method: 'GET', url, maxBytes: MAX_OTHER_BYTES, timeoutMs });
    if (!REDIRECTS.has(answer.status)) return bounded(answer);
    if (redirects === MAX_REDIRECTS) throw new RemoteError('redirect');
    url = redirectTarget(answer.headers.location ?? '', url);
  }
}

function bounded(answer: HttpsResponse): HttpsResponse {
  if (answer.status === 200 && answer.body.length > MAX_DISCOVERY_BYTES) throw new RemoteError('too-large');
  return answer;
}

/** Where a redirect leads. `https` only; that its host is a name, and where that name may lie, is vetted on connecting. */
function redirectTarget(location: string, from: URL): URL {
  const target = location !== '' && URL.canParse(location, from.href) ? new URL(location, from) : null;
  if (target === null || target.protocol !== 'https:') throw new RemoteError('redirect');
  target.hash = '';
  return target;
}

async function checkVersion(https: Https, baseUrl: BaseUrl, timeoutMs: number): Promise<void> {
  const url = new URL(`${baseUrl}/version`);
  const answer = await https.request({ method: 'GET', url, maxBytes: MAX_VERSION_BYTES, timeoutMs });
  if (answer.status !== 200) throw new RemoteError('api', { status: answer.status });
  chooseVersion(parseFields(versionsAnswer, parseStrictJson(answer.body)).versions);
}
