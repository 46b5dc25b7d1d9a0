/**
 * Which servers take the mail of a legacy domain (RFC 5321 §5.1), and where connections to them may go: every address is
 * vetted as that of an SMIMP server is (SMIMP 0.1 §2.5), because anybody can point an MX record into a private network.
 */
import { promises as dns } from 'node:dns';
import { RemoteError } from '../remote/errors.ts';
import { createResolver, type Lookup, type Target } from '../remote/network.ts';
import { isDomain } from '../smimp/address.ts';
import { RelayError } from './relay-error.ts';

/** As `dns.promises.resolve`: records of one type. */
export type ResolveDns = (name: string, type: 'MX' | 'TXT' | 'A' | 'AAAA') => Promise<unknown>;

/** One server that may take the mail. */
export interface Exchanger {
  readonly name: string;
  /** Its vetted addresses. Throws RelayError. */
  targets(): Promise<readonly Target[]>;
}

export interface Exchangers {
  /** In the order in which they are tried; at least one. Throws RelayError. */
  of(domain: string): Promise<readonly Exchanger[]>;
}

export const SMTP_PORT = 25;
/** More servers than this are not tried for one message (RFC 5321 §5.1 asks for two at least). */
export const MAX_EXCHANGERS = 5;
/** Of one server, IPv4 and IPv6. */
export const MAX_ADDRESSES = 2;

/** A name that does not exist, or has no such records. Anything else is trouble with DNS. */
const NOTHING: ReadonlySet<string> = new Set(['ENOTFOUND', 'ENODATA']);

export function createExchangers(options: {
  /** Domains whose mail goes to a fixed address, for closed networks; what stands here is not vetted. */
  routes: Readonly<Record<string, string>>;
  /** Networks that may be used though they are not public, as CIDR. */
  allow: readonly string[];
  resolve?: ResolveDns;
  lookup?: Lookup;
  port?: number;
}): Exchangers {
  const { routes, allow, resolve = dns.resolve as ResolveDns, port = SMTP_PORT } = options;
  const lookup = options.lookup === undefined ? {} : { lookup: options.lookup };
  const routed = createResolver({ hosts: routes, allow, ...lookup });
  // Who points an MX record at a domain that has a route is not led there.
  const vetted = createResolver({ hosts: {}, allow, ...lookup });
  const exchanger = (name: string, by = vetted): Exchanger => ({ name, targets: () => targetsOf(by, name, port) });
  return {
    async of(domain) {
      if (Object.hasOwn(routes, domain)) return [exchanger(domain, routed)];
      const records = await mxRecords(resolve, domain);
      if (records === null) return [exchanger(domain)];
      return records.slice(0, MAX_EXCHANGERS).map((name) => exchanger(name));
    },
  };
}

type Mx = { exchange: string; priority: number };

/** Names by preference, equal ones as DNS has shuffled them; null: there is no MX, the domain itself is the server. */
async function mxRecords(resolve: ResolveDns, domain: string): Promise<string[] | null> {
  const found = (await resolve(domain, 'MX').catch(noRecords)) as Mx[];
  if (found.length === 0) return null;
  if (found.every(({ exchange }) => exchange === '' || exchange === '.')) throw new RelayError('null-mx');
  const names = [...found]
    .sort((a, b) => a.priority - b.priority)
    .map(({ exchange }) => exchange.replace(/\.$/, '').toLowerCase())
    .filter(isDomain);
  if (names.length === 0) throw new RelayError('no-such-domain');
  return [...new Set(names)];
}

function noRecords(cause: unknown): Mx[] {
  if (isNothing(cause)) return [];
  throw new RelayError('dns', { cause });
}

export function isNothing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && NOTHING.has(String(error.code));
}

/** Addresses by the same servers as all else, where the configuration names some. */
export function lookupBy(resolve: ResolveDns): Lookup {
  return async (name) => {
    const asked = (['A', 'AAAA'] as const).map((type) => resolve(name, type) as Promise<string[]>);
    const found = await Promise.allSettled(asked);
    const addresses = found.flatMap((answer) => (answer.status === 'fulfilled' ? answer.value : []));
    const [failed] = found.filter((answer) => answer.status === 'rejected').sort(worstFirst);
    if (addresses.length === 0 && failed !== undefined) throw failed.reason;
    return addresses.map((address) => ({ address }));
  };
}

/** That one type has no records says nothing when the other could not be had. */
const worstFirst = (a: PromiseRejectedResult, b: PromiseRejectedResult): number =>
  Number(isNothing(a.reason)) - Number(isNothing(b.reason));

async function targetsOf(
  vetted: ReturnType<typeof createResolver>,
  name: string,
  port: number,
): Promise<readonly Target[]> {
  try {
    return (await vetted(name, port)).slice(0, MAX_ADDRESSES);
  } catch (cause) {
    if (!(cause instanceof RemoteError)) throw cause;
    if (cause.code === 'refused-address') throw new RelayError('refused-address', { cause });
    throw new RelayError(isNothing(cause.cause) ? 'no-such-domain' : 'dns', { cause });
  }
}
