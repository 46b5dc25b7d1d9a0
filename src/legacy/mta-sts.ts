/**
 * MTA-STS (RFC 8461): a domain says by HTTPS that its mail must be sent encrypted, and to which servers. What it said is
 * remembered as long as it asked for, so that hiding the record later changes nothing. Rules and parsing are mailauth's; the
 * policy is fetched by the same vetted way as everything else here.
 */
import { promises as dns } from 'node:dns';
import { parsePolicy, resolvePolicy, validateMx } from 'mailauth/lib/mta-sts.js';
import { RemoteError } from '../remote/errors.ts';
import type { Https } from '../remote/https.ts';
import type { Db } from '../store/database.ts';
import { findStsPolicy, saveStsPolicy } from '../store/mta-sts.ts';
import type { ResolveDns } from './mx.ts';

/** What holds for a domain. `enforce`: only to servers that match, only over TLS with a valid certificate. */
export interface StsPolicy {
  readonly mode: 'enforce' | 'testing' | 'none';
  readonly mx: readonly string[];
}

export type FindStsPolicy = (domain: string) => Promise<StsPolicy>;

/** RFC 8461 §3.3 suggests both. */
const MAX_POLICY_BYTES = 64 * 1024;
const FETCH_TIMEOUT_MS = 30_000;
/** A policy is looked for again after this; meanwhile the one that is kept holds. */
export const CHECK_AFTER_MS = 3_600_000;
/** RFC 8461 §3.2. */
const MAX_AGE_SECONDS = 31_557_600;

const NO_POLICY: StsPolicy = { mode: 'none', mx: [] };

export function matchesPolicy(name: string, { mode, mx }: StsPolicy): boolean {
  return validateMx(name, { mode, mx: [...mx], maxAge: 0, version: 'STSv1' } as Parameters<typeof validateMx>[1]).valid;
}

export function createStsPolicies(options: {
  db: Db;
  https: Https;
  clock: () => Date;
  resolve?: ResolveDns;
}): FindStsPolicy {
  const { db, https, clock, resolve = dns.resolve as ResolveDns } = options;

  const fetchPolicy = async (domain: string): Promise<StsPolicy & { maxAge: number }> => {
    const url = new URL(`https://mta-sts.${domain}/.well-known/mta-sts.txt`);
    const answer = await https.request({ method: 'GET', url, maxBytes: MAX_POLICY_BYTES, timeoutMs: FETCH_TIMEOUT_MS });
    if (answer.status !== 200) throw new RemoteError('bad-response', { status: answer.status });
    const { mode, mx = [], maxAge } = parsePolicy(answer.body, { strict: true });
    return { mode: mode as StsPolicy['mode'], mx, maxAge: Math.min(maxAge ?? 0, MAX_AGE_SECONDS) };
  };

  /** The id in DNS; null when there is none, or none that can be read: then what is kept holds (RFC 8461 §3.1, §5.1). */
  const announcedId = async (domain: string): Promise<string | null> => {
    const id = await resolvePolicy(domain, { resolver: resolve as never, strict: true }).catch(() => false as const);
    return id === false ? null : id;
  };

  return async (domain) => {
    const now = clock();
    const kept = await findStsPolicy(db, domain);
    const holds = kept !== undefined && kept.expires_at > now ? { mode: kept.mode, mx: kept.mx } : NO_POLICY;
    if (kept !== undefined && now.getTime() - kept.checked_at.getTime() < CHECK_AFTER_MS) return holds;
    const id = await announcedId(domain);
    if (id === null || (id === kept?.policy_id && holds !== NO_POLICY)) {
      if (kept !== undefined) await saveStsPolicy(db, { ...kept, checked_at: now });
      return holds;
    }
    // One that cannot be had, or is none, changes nothing: the domain is as safe as it was before (RFC 8461 §3.3).
    const fetched = await fetchPolicy(domain).catch(() => null);
    if (fetched === null) return holds;
    const { maxAge, mode, mx } = fetched;
    const expires_at = new Date(now.getTime() + maxAge * 1000);
    await saveStsPolicy(db, { domain, policy_id: id, mode, mx: [...mx], expires_at, checked_at: now });
    return { mode, mx };
  };
}
