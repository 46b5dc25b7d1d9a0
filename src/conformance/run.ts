/** One run of the kit against one server: finds it, runs what was selected, and says how it went. */

import { RemoteError } from '../remote/errors.ts';
import { createHttps } from '../remote/https.ts';
import { type Address, type Domain, isDomain } from '../smimp/address.ts';
import { randomBytes } from '../smimp/crypto.ts';
import { type BaseUrl, DISCOVERY_PATH, MAX_DISCOVERY_BYTES, parseBaseUrl, parseDiscovery } from '../smimp/discovery.ts';
import { toHex } from '../smimp/encoding.ts';
import { ProfileError } from '../smimp/errors.ts';
import { CHECKS } from './all.ts';
import type { Counterpart } from './counterpart.ts';
import { createProbe } from './probe.ts';
import { type Result, runChecks, selects } from './runner.ts';
import { createWorld, type GivenAccount, type Network } from './world.ts';

export type RunOptions = {
  /** `https://server/path`, or a domain whose smimp.txt names the server. */
  target: string;
  network: Network & { ca: readonly string[] };
  accounts: readonly GivenAccount[];
  /** Somebody who has an account there, for what everybody may look at. */
  user: Address | null;
  counterpart: Counterpart | null;
  only: readonly string[];
  maxRequests: number;
  maxSeconds: number;
  clock: () => Date;
  /** For checks that take minutes; null leaves them out. */
  sleep: ((seconds: number) => Promise<void>) | null;
  report?: (result: Result) => void;
};

export type Report = {
  readonly target: string;
  readonly baseUrl: BaseUrl;
  readonly requests: number;
  readonly results: readonly Result[];
};

const DISCOVERY_TIMEOUT_MS = 10_000;
/** Lower case letters and digits, so that it can stand in an address. */
const MARKER_BYTES = 8;

export class TargetError extends Error {
  override readonly name = 'TargetError';
  /** `bad-target`: no URL and no domain. `unreachable`: nothing that names a server could be had from the domain. */
  readonly code: 'bad-target' | 'unreachable';

  constructor(code: TargetError['code'], options?: ErrorOptions) {
    super(code, options);
    this.code = code;
  }
}

/** Throws TargetError when there is no server to test. */
export async function runConformance(options: RunOptions): Promise<Report> {
  const { target, network, maxSeconds, clock, only } = options;
  await using https = createHttps(network);
  const domain = isDomain(target) ? (target as Domain) : null;
  const baseUrl = domain === null ? urlOf(target) : await discover(https, domain);
  const marker = `kit${toHex(randomBytes(MARKER_BYTES))}`;
  const startedMs = clock().getTime();
  const isOver = (): boolean => clock().getTime() - startedMs > maxSeconds * 1000;
  const probe = createProbe({ https, baseUrl, maxRequests: options.maxRequests, isOver, marker });
  const world = createWorld({ ...options, probe, https, domain, marker });
  const results = await runChecks({
    world,
    checks: CHECKS.filter(({ id }) => selects(only, id)),
    isOver,
    ...(options.report === undefined ? {} : { report: options.report }),
  });
  return { target, baseUrl, requests: probe.requests(), results };
}

function urlOf(target: string): BaseUrl {
  try {
    return parseBaseUrl(target);
  } catch (cause) {
    if (cause instanceof ProfileError) throw new TargetError('bad-target', { cause });
    throw cause;
  }
}

async function discover(https: ReturnType<typeof createHttps>, domain: Domain): Promise<BaseUrl> {
  const url = new URL(`https://${domain}${DISCOVERY_PATH}`);
  try {
    const bounds = { maxBytes: MAX_DISCOVERY_BYTES, timeoutMs: DISCOVERY_TIMEOUT_MS };
    return parseDiscovery((await https.request({ method: 'GET', url, ...bounds })).body);
  } catch (cause) {
    if (cause instanceof RemoteError || cause instanceof ProfileError) throw new TargetError('unreachable', { cause });
    throw cause;
  }
}
