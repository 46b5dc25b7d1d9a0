/** White and black lists (SMIMP 0.1 §5): entries are digests, so that a server does not learn whom a user lists. */
import { type Address, addressParts } from './address.ts';
import { type Hex32, toHex } from './encoding.ts';
import { listDigest } from './transcript.ts';

/** The hash of a list entry. An entry for a domain means exactly that domain. */
export function listHash(entry: { owner: Address; kind: 'address' | 'domain'; value: string }): Hex32 {
  return toHex(listDigest(entry));
}

export type ListRule = 'whitelisted-address' | 'blacklisted-address' | 'whitelisted-domain' | 'blacklisted-domain';
export type ListDecision = { decision: 'accept' | 'block' | 'none'; rule: ListRule | null };

/** Decides for one sender, in the order of §5: address before domain, white before black. */
export function decideLists(input: {
  owner: Address;
  sender: Address;
  whitelist: ReadonlySet<string>;
  blacklist: ReadonlySet<string>;
}): ListDecision {
  const { owner, sender, whitelist, blacklist } = input;
  const address = listHash({ owner, kind: 'address', value: sender });
  if (whitelist.has(address)) return { decision: 'accept', rule: 'whitelisted-address' };
  if (blacklist.has(address)) return { decision: 'block', rule: 'blacklisted-address' };
  const domain = listHash({ owner, kind: 'domain', value: addressParts(sender).domain });
  if (whitelist.has(domain)) return { decision: 'accept', rule: 'whitelisted-domain' };
  if (blacklist.has(domain)) return { decision: 'block', rule: 'blacklisted-domain' };
  return { decision: 'none', rule: null };
}
