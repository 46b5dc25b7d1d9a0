/** Finding servers, with a memory in PostgreSQL that all processes share. The rules are in look-up.ts. */
import type { BaseUrl } from '../smimp/discovery.ts';
import type { Db } from '../store/database.ts';
import { findDomain, type StoredDomain, saveDomain } from '../store/domains.ts';
import type { Https } from './https.ts';
import { createLookUp, type Discovery, type DomainMemory, type KnownDomain } from './look-up.ts';

export {
  type Discovery,
  type DiscoveryOutcome,
  FAILED_FRESH_MS,
  FOUND_FRESH_MS,
  MAX_REDIRECTS,
} from './look-up.ts';

export function createDiscovery(options: { https: Https; db: Db; clock: () => Date; timeoutMs?: number }): Discovery {
  const { db, ...others } = options;
  return createLookUp({ ...others, memory: storedDomains(db) });
}

function storedDomains(db: Db): DomainMemory {
  return {
    async find(domain) {
      const row = await findDomain(db, domain);
      return row === undefined ? null : knownDomain(row);
    },
    async save(domain, { outcome, baseUrl, spoke, checkedAt: now }) {
      return knownDomain(await saveDomain(db, { domain, outcome, baseUrl, spoke, now }));
    },
  };
}

function knownDomain(row: StoredDomain): KnownDomain {
  const { outcome, base_url, checked_at: checkedAt, first_found_at: firstFoundAt } = row;
  return { outcome, baseUrl: base_url as BaseUrl | null, checkedAt, firstFoundAt };
}
