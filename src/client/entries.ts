/** Entries of the stored state, and what they are in memory. Times are stored in whole seconds. */
import type { KeptPin } from '../identity/pins.ts';
import type { Session } from '../remote/home.ts';
import type { KnownDomain } from '../remote/look-up.ts';
import type { KeptSession } from '../remote/session-life.ts';
import type { Address } from '../smimp/address.ts';
import type { BaseUrl } from '../smimp/discovery.ts';
import { formatTimestamp, parseTimestamp, type Timestamp } from '../smimp/encoding.ts';
import type { KeystoreData } from './keystore-data.ts';
import type { ClientState } from './state.ts';

export function timestampOf(date: Date): Timestamp {
  return formatTimestamp(date.getTime() / 1000);
}

export function dateOf(timestamp: string): Date {
  return new Date(parseTimestamp(timestamp) * 1000);
}

type DomainEntry = ClientState['domains'][number];

export function knownDomain(entry: DomainEntry | undefined): KnownDomain | null {
  if (entry === undefined) return null;
  const { outcome, base_url, checked, first_found } = entry;
  const firstFoundAt = first_found === null ? null : dateOf(first_found);
  return { outcome, baseUrl: base_url as BaseUrl | null, checkedAt: dateOf(checked), firstFoundAt };
}

export function domainEntry(domain: string, known: KnownDomain): DomainEntry {
  const { outcome, baseUrl, checkedAt, firstFoundAt } = known;
  const first_found = firstFoundAt === null ? null : timestampOf(firstFoundAt);
  return { domain, outcome, base_url: baseUrl, checked: timestampOf(checkedAt), first_found };
}

type SessionEntry = ClientState['sessions'][number];

export function readSession(entry: SessionEntry | undefined): KeptSession | null {
  if (entry === undefined) return null;
  const { base_url, public_key, login_token_hash, last_used, ...rest } = entry;
  const session: Session = {
    ...rest,
    baseUrl: base_url as BaseUrl,
    publicKey: public_key,
    loginTokenHash: login_token_hash,
  };
  return { session, lastUsedAt: dateOf(last_used) };
}

export function sessionEntry(session: Session, lastUsed: Date): SessionEntry {
  const { baseUrl, publicKey, loginTokenHash, ...rest } = session;
  const names = { base_url: baseUrl, public_key: publicKey, login_token_hash: loginTokenHash };
  return { ...rest, ...names, last_used: timestampOf(lastUsed) };
}

type PinEntry = KeystoreData['pins'][number];

export function keptPin(entry: PinEntry | undefined): KeptPin | null {
  if (entry === undefined) return null;
  const { state, pin, evidence, verified, checked } = entry;
  return {
    state,
    pin,
    evidence: evidence === null ? null : (JSON.parse(evidence) as object),
    verifiedAt: verified === null ? null : dateOf(verified),
    checkedAt: dateOf(checked),
  };
}

export function pinEntry(contact: Address, kept: KeptPin): PinEntry {
  const { state, pin, evidence, verifiedAt, checkedAt } = kept;
  return {
    contact,
    state,
    pin,
    evidence: evidence === null ? null : JSON.stringify(evidence),
    verified: verifiedAt === null ? null : timestampOf(verifiedAt),
    checked: timestampOf(checkedAt),
  };
}
