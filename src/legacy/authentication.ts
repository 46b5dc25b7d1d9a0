/**
 * Whether mail of the old internet is from whom it says: SPF, DKIM, DMARC and ARC (RFC 7208, RFC 6376, RFC 7489, RFC 8617), by
 * mailauth. Its answer is about one mailbox, that in From; a parser that found another author than ours did is an answer about
 * somebody else, and refused.
 */
import { Resolver } from 'node:dns/promises';
import { type AuthenticateResult, authenticate, type DNSResolver } from 'mailauth';
import { withinTime } from '../identity/within-time.ts';
import { type AuthenticationResult, type GatewayData, MAX_SIGNATURES_SHOWN } from '../mime/gateway-data.ts';
import { ProfileError } from '../smimp/errors.ts';
import { mailboxDomain, normalizeLegacyAddress } from '../smimp/gateway.ts';

/** `late`: DNS did not answer in time. `other-author`: From reads differently to the checks. */
export type AuthenticationErrorCode = 'late' | 'other-author';

export class AuthenticationError extends Error {
  override readonly name = 'AuthenticationError';
  readonly code: AuthenticationErrorCode;

  constructor(code: AuthenticationErrorCode) {
    super(code);
    this.code = code;
  }
}

export type { DNSResolver } from 'mailauth';

/** All look-ups for one message. The client waits ten minutes for the reply to its message (RFC 5321 §4.5.3.2.6). */
export const AUTHENTICATION_MS = 30_000;
/** One question to one server, and how often it is asked. */
const QUESTION_MS = 3_000;
const TRIES = 2;
/** RFC 8301 §3.2: shorter keys count for nothing. */
const MIN_KEY_BITS = 1024;

/** Asks the given servers (`address:port`), or those of the system. */
export function dnsResolver(servers: readonly string[]): DNSResolver {
  const resolver = new Resolver({ timeout: QUESTION_MS, tries: TRIES });
  if (servers.length > 0) resolver.setServers(servers);
  return (name, type) => resolver.resolve(name, type) as Promise<string[] | string[][]>;
}

export type Incoming = {
  message: Buffer;
  /** The mailbox in From, in its normal form (SMIMP 0.1 §6). */
  from: string;
  /** The reverse path, '' for none. */
  returnPath: string;
  client: { address: string; name: string };
};

/** Throws AuthenticationError. */
export type Authenticate = (incoming: Incoming) => Promise<GatewayData>;

export function createAuthenticate(options: {
  /** How the gateway calls itself. */
  name: string;
  resolver: DNSResolver;
  timeoutMs?: number;
}): Authenticate {
  const { name: mta, resolver, timeoutMs = AUTHENTICATION_MS } = options;
  return async ({ message, from, returnPath, client }) => {
    const checking = authenticate(message, {
      ...{ ip: client.address, helo: client.name, sender: returnPath, mta, resolver },
      ...{ minBitLength: MIN_KEY_BITS, rejectRsaSha1: true, disableBimi: true },
    });
    const found = await withinTime(checking, timeoutMs);
    if (found === null) throw new AuthenticationError('late');
    const { headerFrom, fromFields } = found.dkim;
    const [author = ''] = headerFrom;
    if (fromFields !== 1 || headerFrom.length !== 1 || !isSameDomain(author, from))
      throw new AuthenticationError('other-author');
    return dataOf(found, { from, returnPath });
  };
}

/** `written` as mailauth read it, in any form. */
function isSameDomain(written: string, from: string): boolean {
  try {
    return mailboxDomain(normalizeLegacyAddress(written)) === mailboxDomain(from);
  } catch (error) {
    if (error instanceof ProfileError) return false;
    throw error;
  }
}

/** What mailauth found, in the closed form that travels. */
function dataOf(found: AuthenticateResult, { from, returnPath }: Pick<Incoming, 'from' | 'returnPath'>): GatewayData {
  const { spf, dkim, dmarc, arc } = found;
  // One without a domain stands for no signature at all.
  const made = dkim.results.filter(({ signingDomain }) => signingDomain !== undefined);
  const signatures = made.map(({ status, signingDomain, selector }) => ({
    result: resultOf(status.result),
    domain: safeName(signingDomain),
    selector: safeName(selector),
  }));
  const data = {
    v: 1 as const,
    from,
    spf: {
      result: resultOf(spf === false ? 'none' : spf.status.result),
      domain: safeName(spf === false ? '' : spf.domain),
      identity: returnPath === '' ? ('helo' as const) : ('mailfrom' as const),
    },
    dkim: signatures.slice(0, MAX_SIGNATURES_SHOWN),
    dmarc: dmarcOf(dmarc),
    arc: {
      result: resultOf(arc === false ? 'none' : arc.status.result),
      domain: safeName(arc === false || !arc.signature ? '' : arc.signature.signingDomain),
    },
  };
  return { ...data, authenticated: isAuthentic(found, data) };
}

function dmarcOf(dmarc: AuthenticateResult['dmarc']): GatewayData['dmarc'] {
  if (dmarc === false) return { result: 'none', domain: null, policy: null };
  const { status, policy, domain } = dmarc;
  const known = (['none', 'quarantine', 'reject'] as const).find((one) => one === policy) ?? null;
  return { result: resultOf(status.result), domain: safeName(domain), policy: known };
}

/**
 * By DMARC where the domain has such a policy, else by a signature of the domain itself or by SPF for exactly the domain. A
 * signature that leaves a part of the message unsigned (`l=`) vouches for nothing.
 */
function isAuthentic({ dkim, dmarc }: AuthenticateResult, data: Omit<GatewayData, 'authenticated'>): boolean {
  const own = mailboxDomain(data.from);
  const vouches = dkim.results.some(
    ({ status }) => status.result === 'pass' && status.aligned !== false && status.underSized === undefined,
  );
  if (data.dmarc.result === 'none') return vouches || (data.spf.result === 'pass' && data.spf.domain === own);
  const bySpf = dmarc !== false && dmarc.alignment?.spf.result !== undefined;
  return data.dmarc.result === 'pass' && (vouches || bySpf);
}

const RESULTS: Readonly<Record<string, AuthenticationResult>> = {
  ...{ none: 'none', pass: 'pass', fail: 'fail', softfail: 'softfail', neutral: 'neutral', policy: 'policy' },
  ...{ temperror: 'temperror', temperr: 'temperror', permerror: 'permerror', skipped: 'none' },
};

const resultOf = (result: string): AuthenticationResult => RESULTS[result] ?? 'permerror';

/** A name in DNS as it may stand in a header field; null for anything else. */
function safeName(name: string | undefined): string | null {
  const lower = (name ?? '').toLowerCase().replace(/\.$/, '');
  return /^[a-z0-9_]([a-z0-9_.-]{0,251}[a-z0-9_])?$/.test(lower) ? lower : null;
}

export type Verdict = 'take' | 'refuse' | 'later';

/**
 * What becomes of a message. `later`: a server of DNS did not answer that could have made it pass. Where mail that fails is
 * only marked, nothing is refused for it.
 */
export function verdictOn({ spf, dkim, dmarc }: GatewayData, policy: 'enforce' | 'mark'): Verdict {
  if (dmarc.result === 'pass') return 'take';
  if ([dmarc, spf, ...dkim].some(({ result }) => result === 'temperror')) return 'later';
  return policy === 'enforce' && dmarc.result === 'fail' && dmarc.policy === 'reject' ? 'refuse' : 'take';
}
