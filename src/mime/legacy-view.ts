/**
 * Which people behind a gateway are shown as the mailboxes of the old internet that they have (SMIMP 0.1 §6). One gateway is
 * believed, that of the configuration. A mailbox at a domain that speaks SMIMP, or at one's own, stays coded: it would look
 * like somebody whom the gateway does not speak for. What was decided when a message was opened is kept with it.
 */
import { type Address, type Domain, isAddress } from '../smimp/address.ts';
import type { ParsedBody } from '../smimp/email.ts';
import { ProfileError } from '../smimp/errors.ts';
import { decodeLegacy, mailboxDomain } from '../smimp/gateway.ts';
import { resemblesBridge } from './bridge-mail.ts';

export interface LegacyView {
  readonly gatewayDomain: Domain;
  /** Domains whose people are shown under the coding all the same. */
  readonly codedDomains: readonly string[];
}

/** How somebody behind the gateway is shown; null: as the address says. */
export function shownMailbox(address: Address, view: LegacyView | null): string | null {
  if (view === null) return null;
  const mailbox = decoded(address, view.gatewayDomain);
  if (mailbox === null || resemblesBridge(localOf(mailbox))) return null;
  return view.codedDomains.includes(mailboxDomain(mailbox)) ? null : mailbox;
}

/** The legacy domains of everybody whom a message names, each once: what is to be asked before a view is decided. */
export function legacyDomains(from: Address, content: ParsedBody, gatewayDomain: Domain): string[] {
  const named =
    content.type === 'email' ? [content.value.to, content.value.cc, content.value.reply_to ?? []].flat() : [];
  const mailboxes = [from, ...named].map((address) => decoded(address, gatewayDomain));
  return [...new Set(mailboxes.flatMap((mailbox) => (mailbox === null ? [] : [mailboxDomain(mailbox)])))];
}

function decoded(address: Address, gatewayDomain: Domain): string | null {
  if (!isAddress(address)) return null;
  try {
    return decodeLegacy(address, gatewayDomain);
  } catch (error) {
    if (!(error instanceof ProfileError)) throw error;
    return null;
  }
}

const localOf = (mailbox: string): string => mailbox.slice(0, mailbox.lastIndexOf('@'));
