/** Who of a message is shown as a mailbox of the old internet: decided once, when it is opened (mime/legacy-view.ts). */
import { type LegacyView, legacyDomains } from '../mime/legacy-view.ts';
import type { Address, Domain } from '../smimp/address.ts';
import type { ParsedBody } from '../smimp/email.ts';
import type { Db } from '../store/database.ts';
import { spokenDomains } from '../store/domains.ts';

/** Whose word is taken for people of the old internet, and whose accounts live here. */
export interface LegacyDisplay {
  readonly gatewayDomain: Domain;
  readonly ownDomains: readonly string[];
}

/** Null: no gateway is believed, and everybody is shown under the address. */
export async function decideView(
  db: Db,
  display: LegacyDisplay | null,
  { from, content }: { from: Address; content: ParsedBody },
): Promise<LegacyView | null> {
  if (display === null) return null;
  const { gatewayDomain, ownDomains } = display;
  const named = legacyDomains(from, content, gatewayDomain);
  const spoken = named.length === 0 ? [] : await spokenDomains(db, named);
  const codedDomains = named.filter((domain) => ownDomains.includes(domain) || spoken.includes(domain));
  return { gatewayDomain, codedDomains };
}
