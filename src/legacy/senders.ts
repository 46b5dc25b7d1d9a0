/** For whom mail is relayed outward (SMIMP 0.1 §6): domains and addresses, each exactly. A domain says nothing of those below it. */
import { type Address, addressParts } from '../smimp/address.ts';

/** `corp.test` or `alice#corp.test`. */
export type SenderRule = string;

export function isNamed(rules: readonly SenderRule[], sender: Address): boolean {
  return rules.includes(sender) || rules.includes(addressParts(sender).domain);
}
