/**
 * Keywords that say how far the sender of a message is known. They are no flags that anybody sets: they follow from the pin
 * of the contact and from what was found when the message came, are the same for every client, and change with the pin.
 */
import { TRUST } from '../store/trust.ts';

/** Each with its bit in `message.trust`. */
const KEYWORDS = [
  /** A person compared the sender's fingerprint, and nothing is wrong with the identity since. */
  { name: '$SmimpVerified', bit: TRUST.verified },
  { name: '$SmimpUnverified', bit: TRUST.unverified },
  /** Signed with a key that came after the first one seen, and nobody compared the fingerprint since. */
  { name: '$SmimpKeyChanged', bit: TRUST.keyChanged },
  /** Signed with a key that had been retired long before the message came. */
  { name: '$SmimpRetiredKey', bit: TRUST.retiredKey },
  /** The sender says that it came from the old internet, through a gateway. */
  { name: '$ViaLegacy', bit: TRUST.viaLegacy },
] as const;

export const TRUST_KEYWORDS: readonly string[] = KEYWORDS.map(({ name }) => name);
const LOWER: ReadonlySet<string> = new Set(TRUST_KEYWORDS.map((name) => name.toLowerCase()));

export function isTrustKeyword(flag: string): boolean {
  return flag.startsWith('$') && LOWER.has(flag.toLowerCase());
}

const lists = new Map<number, readonly string[]>();

/** The keywords of a message, from its column. */
export function trustKeywords(trust: number): readonly string[] {
  const known = lists.get(trust);
  if (known !== undefined) return known;
  const names = KEYWORDS.filter(({ bit }) => (trust & bit) !== 0).map(({ name }) => name);
  lists.set(trust, names);
  return names;
}
