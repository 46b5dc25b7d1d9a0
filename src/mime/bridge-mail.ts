/**
 * What mail of the bridge itself looks like, and that nothing else does: one mailbox, one name, one header field. Which
 * message is the bridge's is decided by whoever holds the keys (mailbox/bridge-mark.ts); here it is only dressed, and others
 * that would wear the dress are undressed.
 */
import { type Address, addressParts } from '../smimp/address.ts';
import { decodeMailboxes, decodeText, type Mailbox } from './headers.ts';

/** What people are told of contacts, and of themselves (SMIMP 0.1 §3, §4.4). */
export const ALARM_KINDS = [
  /** A contact's server hides records that were seen. */
  'pin-truncated',
  /** A contact's history contradicts what was seen. */
  'pin-forked',
  /** A contact's whole history is another. */
  'pin-replaced',
  /** What a contact's server shows does not verify. */
  'identity-invalid',
  /** A contact's server shows different identities in different answers. */
  'head-mismatch',
  /** A contact has a new key, in good order. */
  'key-changed',
  /** A message is signed with a key that was retired long ago. */
  'retired-key',
  /** A sender was shown an old state of one's own keys. */
  'recipient-head-stale',
  /** A sender was shown keys of one's own that never were. */
  'recipient-head-unknown',
  /** One's own server shows another history of oneself than the own copy. */
  'own-history',
  /** Mail of a sender waits because her server cannot be reached for long. */
  'unavailable',
  /** A message does not verify. */
  'message-invalid',
] as const;
export type AlarmKind = (typeof ALARM_KINDS)[number];

/** What the bridge writes to people: reports on their messages, alarms, and `alarms`, many in one. */
export const NOTICE_KINDS = ['failed', 'delayed', 'held', ...ALARM_KINDS, 'alarms'] as const;
export type NoticeKind = (typeof NOTICE_KINDS)[number];

/** Says what kind of notice it is; only messages of the bridge have it. */
export const NOTICE_FIELD = 'X-SMIMP-Notice';
/** Fields of this kind are written here and come in from nobody. */
const RESERVED_FIELD = /^x-smimp(?:-|$)/;
/** No SMIMP address has a hyphen in its local part (SMIMP 0.1 §1.2), so no account and no sender can have this one. */
const LOCAL = 'smimp-bridge';
const NAME = 'SMIMP bridge';
/** Letters and digits of the name and of the mailbox. */
const SKELETON = 'smimpbridge';

/** Who mail of the bridge to `owner` comes from. */
export function bridgeMailbox(owner: Address): Mailbox {
  return { name: NAME, address: `${LOCAL}@${addressParts(owner).domain}` };
}

/** Letters of other scripts that look like those of the name, brought down to it. */
const LOOKALIKES: Readonly<Record<string, string>> = {
  ...{ ѕ: 's', м: 'm', і: 'i', ı: 'i', ι: 'i', ӏ: 'i', l: 'i', '1': 'i', '|': 'i', '!': 'i', р: 'p', ρ: 'p' },
  ...{ в: 'b', ь: 'b', β: 'b', г: 'r', ԁ: 'd', ɡ: 'g', ց: 'g', е: 'e', ε: 'e', μ: 'm', '3': 'e', '5': 's', '6': 'b' },
};

const ASCII = /^[\x00-\x7f]*$/;
const ASCII_LOOKALIKES = /[l1|!356]/g;
const lookalike = (letter: string): string => LOOKALIKES[letter] ?? letter;

/** What the eye sees of a text: compatibility forms, accents, case, look-alikes and all that is no letter taken away. */
function skeleton(text: string): string {
  if (ASCII.test(text))
    return text
      .toLowerCase()
      .replace(ASCII_LOOKALIKES, lookalike)
      .replace(/[^a-z0-9]/g, '');
  const plain = text.normalize('NFKD').toLowerCase().replace(/\p{M}/gu, '');
  const brought = Array.from(plain, lookalike).join('');
  return brought.replace(/[^a-z0-9]/g, '').replace(/l/g, 'i');
}

/** Whether a name or a local part could be taken for the bridge's. */
export function resemblesBridge(text: string): boolean {
  return skeleton(text).includes(SKELETON);
}

/** A mailbox without a name that could be taken for the bridge's. */
export function modest(mailbox: Mailbox): Mailbox {
  return resemblesBridge(mailbox.name) ? { ...mailbox, name: '' } : mailbox;
}

/** Whether a field named `name` (lower case) may come from outside. */
export function isReservedField(name: string): boolean {
  return RESERVED_FIELD.test(name);
}

/**
 * Whether the letters of the bridge's name stand in a value in their order, whatever is between them. Where it is plain ASCII
 * and nothing in it is encoded, each name in it is made of its letters, so there is none without them.
 */
function couldName(value: string): boolean {
  if (!ASCII.test(value) || value.includes('=?')) return true;
  const letters = skeleton(value);
  let at = 0;
  for (const letter of SKELETON) {
    at = letters.indexOf(letter, at) + 1;
    if (at === 0) return false;
  }
  return true;
}

/** Whether an address field from outside, its value as bytes, names the bridge in any spelling. Domains do not count. */
export function namesBridge(value: string): boolean {
  if (!couldName(value)) return false;
  const mailboxes = decodeMailboxes(value);
  const texts = [value, decodeText(value)].map((text) => text.replace(/@[^\s<>,;"]*/g, ' '));
  const locals = mailboxes.map(({ address }) => address.slice(0, address.lastIndexOf('@')));
  return [...texts, ...mailboxes.map(({ name }) => name), ...locals].some(resemblesBridge);
}
