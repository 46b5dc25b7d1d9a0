/**
 * The explicit policy of a home towards people of the old internet (SMIMP 0.1 §6): which domains are reached through the
 * gateway that the configuration names. Asked when a recipient is taken, and again when the message is about to leave.
 *
 * A domain that was ever seen speaking SMIMP, or at which anybody here has pinned anybody, is never among them, whatever it
 * answers now and whatever the configuration says (§2.6). Under `*` only its own word counts, 404 or 410 over valid TLS: a
 * domain that cannot be asked is waited for. So nobody can bring mail to the gateway by making SMIMP fail.
 */
import { withinTime } from '../identity/within-time.ts';
import type { Discovery, DiscoveryOutcome } from '../remote/look-up.ts';
import { type Address, addressParts, type Domain, fromMailbox, isDomain } from '../smimp/address.ts';
import { ProfileError } from '../smimp/errors.ts';
import { legacyMailbox, mailboxDomain, normalizeLegacyAddress } from '../smimp/gateway.ts';
import type { Db } from '../store/database.ts';
import { absentDomains, spokenDomains } from '../store/domains.ts';
import { codedMailbox } from './identities.ts';
import { EVERY_DOMAIN } from './settings.ts';

/** `smimp`: it speaks SMIMP, or no policy allows it anything else. `unknown`: it has to be asked again. */
export type Verdict = 'legacy' | 'smimp' | 'unknown';

/** What to do with a recipient that is about to be sent to. */
export type Turn =
  /** As it is. */
  | { to: 'same' }
  /** Under another address: through the gateway, or not any longer. */
  | { to: 'other'; address: Address }
  /** Its domain has to be asked again. */
  | { to: 'wait' }
  /** Its domain speaks SMIMP, and the mailbox cannot be an SMIMP address. */
  | { to: 'nobody' };

export interface LegacyPolicy {
  /** Null: nothing leaves SMIMP. */
  readonly gatewayDomain: Domain | null;
  /**
   * The address that a mailbox, as a mail program spells it, is written to under; null when it can be none. `native`: what it
   * is as an SMIMP address. What is not known within `timeoutMs` is decided when the message leaves.
   */
  recipientOf(ask: { mailbox: string; native: Address | null; timeoutMs: number }): Promise<Address | null>;
  /** Before anything is asked of the recipient's server. */
  turnOf(recipient: Address): Promise<Turn>;
  /** For a recipient whose domain just said that it does not speak SMIMP. */
  turnOfAbsent(recipient: Address): Promise<Turn>;
  /** Whether an address behind the gateway may be written to; `speaks`: its domain speaks SMIMP, or the coding is none. */
  check(recipient: Address, timeoutMs: number): Promise<'allowed' | 'speaks' | 'no-coding'>;
  /** Of these domains those whose people appear under the gateway's coding, as far as is known without asking anybody. */
  knownLegacy(domains: readonly string[]): Promise<ReadonlySet<string>>;
}

/** Nothing leaves SMIMP. */
export const NO_LEGACY: LegacyPolicy = {
  gatewayDomain: null,
  recipientOf: async ({ native }) => native,
  turnOf: async () => ({ to: 'same' }),
  turnOfAbsent: async () => ({ to: 'same' }),
  check: async () => 'allowed',
  knownLegacy: async () => new Set(),
};

export function createLegacyPolicy(options: {
  db: Db;
  discovery: Discovery;
  gatewayDomain: Domain;
  domains: readonly string[];
  /** Whose accounts live here. */
  ownDomains: readonly string[];
}): LegacyPolicy {
  const { db, discovery, gatewayDomain, ownDomains } = options;
  const listed: ReadonlySet<string> = new Set(options.domains);
  const isNative = (domain: string): boolean =>
    domain === gatewayDomain || ownDomains.includes(domain) || !isDomain(domain);
  const isCovered = (domain: string): boolean => listed.has(domain) || listed.has(EVERY_DOMAIN);

  /** Memory is asked last: what was seen while the domain was asked counts. */
  const look = async (domain: string, timeoutMs: number): Promise<DiscoveryOutcome['outcome'] | 'speaks'> => {
    const found = await withinTime(discovery.discover(domain as Domain), timeoutMs);
    const outcome = found?.outcome ?? 'failed';
    return (await spokenDomains(db, [domain])).length > 0 ? 'speaks' : outcome;
  };

  const judge = async (domain: string, timeoutMs: number): Promise<Verdict> => {
    if (isNative(domain) || !isCovered(domain)) return 'smimp';
    const outcome = await look(domain, timeoutMs);
    if (outcome === 'speaks' || outcome === 'found') return 'smimp';
    return outcome === 'absent' || listed.has(domain) ? 'legacy' : 'unknown';
  };

  const coded = (mailbox: string): Address | null => codedMailbox(mailbox, gatewayDomain);
  const isBehind = (recipient: Address): boolean => addressParts(recipient).domain === gatewayDomain;

  /** A coded recipient: its domain may speak SMIMP by now. */
  const turnOfCoded = async (mailbox: string): Promise<Turn> => {
    const domain = mailboxDomain(mailbox);
    const native = nativeOf(mailbox);
    if (ownDomains.includes(domain)) return native === null ? { to: 'nobody' } : { to: 'other', address: native };
    const outcome = await look(domain, ROUTE_TIMEOUT_MS);
    if (outcome === 'speaks' || outcome === 'found')
      return native === null ? { to: 'nobody' } : { to: 'other', address: native };
    const mustSay = !listed.has(domain) && listed.has(EVERY_DOMAIN);
    return outcome === 'failed' && mustSay ? { to: 'wait' } : { to: 'same' };
  };

  return {
    gatewayDomain,
    async recipientOf({ mailbox, native, timeoutMs }) {
      const domain = native === null ? legacyDomainOf(mailbox) : addressParts(native).domain;
      if (domain === null || isNative(domain)) return native;
      const verdict = await judge(domain, timeoutMs);
      if (verdict === 'legacy') return coded(mailbox);
      return native ?? (verdict === 'unknown' ? coded(mailbox) : null);
    },
    async turnOf(recipient) {
      if (!isBehind(recipient)) return { to: 'same' };
      const mailbox = legacyMailbox(recipient, gatewayDomain);
      return mailbox === null ? { to: 'nobody' } : turnOfCoded(mailbox);
    },
    async turnOfAbsent(recipient) {
      const { local, domain } = addressParts(recipient);
      if (isBehind(recipient) || (await judge(domain, ROUTE_TIMEOUT_MS)) !== 'legacy') return { to: 'same' };
      const address = coded(`${local}@${domain}`);
      return address === null ? { to: 'same' } : { to: 'other', address };
    },
    async check(recipient, timeoutMs) {
      if (!isBehind(recipient)) return 'allowed';
      const mailbox = legacyMailbox(recipient, gatewayDomain);
      if (mailbox === null) return 'no-coding';
      const domain = mailboxDomain(mailbox);
      if (ownDomains.includes(domain)) return 'speaks';
      const outcome = await look(domain, timeoutMs);
      return outcome === 'speaks' || outcome === 'found' ? 'speaks' : 'allowed';
    },
    async knownLegacy(domains) {
      const candidates = [...new Set(domains)].filter((domain) => !isNative(domain) && isCovered(domain));
      const spoken = new Set(await spokenDomains(db, candidates));
      const silent = new Set(await absentDomains(db, candidates));
      return new Set(candidates.filter((domain) => !spoken.has(domain) && (listed.has(domain) || silent.has(domain))));
    },
  };
}

/** Discovery has limits of its own; this one only bounds what is unforeseen. */
const ROUTE_TIMEOUT_MS = 60_000;

/** In A-labels; null when it is no mailbox. */
function legacyDomainOf(mailbox: string): string | null {
  return orNull(() => mailboxDomain(normalizeLegacyAddress(mailbox)));
}

const nativeOf = (mailbox: string): Address | null => orNull(() => fromMailbox(mailbox));

function orNull<T>(parse: () => T): T | null {
  try {
    return parse();
  } catch (error) {
    if (error instanceof ProfileError) return null;
    throw error;
  }
}
