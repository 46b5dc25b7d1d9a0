/**
 * Where connections to other people's servers may go (SMIMP 0.1 §2.5). A name is resolved once, every address is vetted,
 * and the connection goes to exactly that address: there is no second look-up that could answer differently.
 */
import { lookup as dnsLookup } from 'node:dns/promises';
import { BlockList, isIP, isIPv6 } from 'node:net';
import { isDomain } from '../smimp/address.ts';
import { RemoteError } from './errors.ts';

export type Target = { readonly address: string; readonly port: number };
/** All addresses of a name, as `dns.lookup` with `all` gives them. */
export type Lookup = (name: string) => Promise<readonly { address: string }[]>;

/** What no public server can have (IANA special-purpose registries): v4. */
const REFUSED_V4: readonly [string, number][] = [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 4],
  ['240.0.0.0', 4],
];
/** v6: global unicast is 2000::/3; all else (loopback, mapped, translated, ULA, link-local, multicast) is refused. */
const GLOBAL_V6: readonly [string, number] = ['2000::', 3];
/** Within it: protocol assignments with Teredo, documentation, 6to4, documentation again. */
const REFUSED_V6: readonly [string, number][] = [
  ['2001::', 23],
  ['2001:db8::', 32],
  ['2002::', 16],
  ['3fff::', 20],
];

function blockList(subnets: readonly (readonly [string, number])[]): BlockList {
  const list = new BlockList();
  for (const [net, prefix] of subnets) list.addSubnet(net, prefix, isIPv6(net) ? 'ipv6' : 'ipv4');
  return list;
}

const refusedV4 = blockList(REFUSED_V4);
const globalV6 = blockList([GLOBAL_V6]);
const refusedV6 = blockList(REFUSED_V6);

/** Whether an address is one that a server on the public internet can have. */
export function isPublicAddress(address: string): boolean {
  const family = isIP(address);
  if (family === 4) return !refusedV4.check(address, 'ipv4');
  return family === 6 && globalV6.check(address, 'ipv6') && !refusedV6.check(address, 'ipv6');
}

/** `10.0.0.0/8` or `fd00::/8`. The configuration has checked their form. */
function allowList(cidrs: readonly string[]): BlockList {
  return blockList(
    cidrs.map((cidr) => {
      const [net = '', prefix = ''] = cidr.split('/');
      return [net, Number(prefix)] as const;
    }),
  );
}

/** `127.0.0.1`, `127.0.0.1:9443`, `[::1]`, `[::1]:9443`. */
function parseHost(target: string, port: number): Target {
  const [, v6, v4, own] = /^(?:\[([^\]]+)\]|([^:]+))(?::(\d+))?$/.exec(target) ?? [];
  const address = v6 ?? v4 ?? '';
  if (isIP(address) === 0) throw new RemoteError('refused-address');
  return { address, port: own === undefined ? port : Number(own) };
}

const defaultLookup: Lookup = (name) => dnsLookup(name, { all: true, order: 'verbatim' });

/**
 * Finds where a connection to `name` may go. `hosts` maps names to addresses, for closed networks, and is not vetted:
 * whoever wrote it meant it. `allow` lists networks that may be used though they are not public.
 */
export function createResolver(options: {
  hosts: Readonly<Record<string, string>>;
  allow: readonly string[];
  lookup?: Lookup;
}): (name: string, port: number) => Promise<Target[]> {
  const { hosts, lookup = defaultLookup } = options;
  const allowed = allowList(options.allow);
  const mayConnect = (address: string): boolean =>
    isPublicAddress(address) || allowed.check(address, isIPv6(address) ? 'ipv6' : 'ipv4');
  return async (name, port) => {
    if (!isDomain(name)) throw new RemoteError('refused-address');
    const fixed = Object.hasOwn(hosts, name) ? hosts[name] : undefined;
    if (fixed !== undefined) return [parseHost(fixed, port)];
    const found = await lookup(name).catch((cause: unknown) => {
      throw new RemoteError('unresolvable', { cause });
    });
    if (found.length === 0) throw new RemoteError('unresolvable');
    const targets = found.filter(({ address }) => mayConnect(address)).map(({ address }) => ({ address, port }));
    if (targets.length === 0) throw new RemoteError('refused-address');
    return targets;
  };
}
