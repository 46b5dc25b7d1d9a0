/**
 * Every reason why a delivery does not go on, with what a person is told about it: an enhanced status code (RFC 3463), a
 * sentence that names the address, and what to do. The same words in a bounce, a delay notice and an SMTP reply.
 */
import type { RelayErrorCode } from '../legacy/relay-error.ts';
import type { RemoteErrorCode } from '../remote/errors.ts';
import type { ApiErrorCode } from '../smimp/api-errors.ts';

/** Found out on this side. */
type OwnReason =
  | 'unknown-user'
  | 'no-smimp'
  | 'unavailable'
  | 'pin-replaced'
  | 'pin-forked'
  | 'pin-truncated'
  | 'identity-invalid'
  | 'head-mismatch'
  | 'bad-message-key'
  | 'pow-refused'
  | 'pow-approval'
  | 'account-locked'
  | 'content-lost'
  | 'relay-denied'
  | 'not-relayed'
  | 'not-rendered'
  | 'retired-key'
  | 'speaks-smimp'
  | 'local';

export type Reason = OwnReason | Exclude<RemoteErrorCode, 'api'> | RelayErrorCode | ApiErrorCode;

/** What a sender is told by mail. */
export type NoticeKind = 'failed' | 'delayed' | 'held';

export interface Explanation {
  /** RFC 3463 §2. */
  status: string;
  /** A whole sentence. */
  what: string;
  /** What the sender can do about it; empty when that is nothing. */
  advice: string;
}

type Wording = { status: string; what: (mailbox: string) => string; advice: string };

const VERIFY =
  'Ask them by phone for the fingerprint of their SMIMP identity, and have it entered with "trust verify". Until then nothing is sent to them.';
const LATER = 'Try again later.';
const ASK_OPERATOR = 'Ask whoever runs your mail server.';

const WORDINGS: Partial<Record<Reason, Wording>> = {
  'unknown-user': {
    status: '5.1.1',
    what: (mailbox) => `There is no user ${mailbox}.`,
    advice: 'Check the spelling of the address.',
  },
  'no-smimp': {
    status: '5.7.1',
    what: (mailbox) =>
      `The domain of ${mailbox} does not speak SMIMP, and no policy here allows to write to it in the clear.`,
    advice: 'Reach them another way, or ask whoever runs your mail server for a gateway.',
  },
  'pin-replaced': {
    status: '5.7.1',
    what: (mailbox) => `The identity of ${mailbox} is not the one you knew: its whole history was replaced.`,
    advice: VERIFY,
  },
  'pin-forked': {
    status: '5.7.1',
    what: (mailbox) => `The identity of ${mailbox} contradicts what was seen of it before.`,
    advice: VERIFY,
  },
  'pin-truncated': {
    status: '5.7.1',
    what: (mailbox) => `The server of ${mailbox} hides changes of identity that were seen before.`,
    advice: 'This ends by itself when the server shows them again. If it lasts, ask them another way.',
  },
  'identity-invalid': {
    status: '5.7.1',
    what: (mailbox) => `The identity that the server of ${mailbox} shows does not verify.`,
    advice: 'This may be a fault of that server or an attack on it. Ask them another way.',
  },
  'head-mismatch': {
    status: '5.7.1',
    what: (mailbox) => `The server of ${mailbox} shows different identities in different answers.`,
    advice: 'This may be a fault of that server or an attack on it. Ask them another way.',
  },
  'bad-message-key': {
    status: '5.7.1',
    what: (mailbox) => `The server of ${mailbox} gave out a message key that its owner did not sign.`,
    advice: 'This may be a fault of that server or an attack on it. Ask them another way.',
  },
  'pow-refused': {
    status: '5.7.1',
    what: (mailbox) => `The server of ${mailbox} asks for more work per message than any client does.`,
    advice: 'Ask them to lower what their server asks for.',
  },
  'pow-approval': {
    status: '5.7.1',
    what: (mailbox) =>
      `The server of ${mailbox} asks for unusually much work, and your operator has not agreed to it yet.`,
    advice: 'Ask whoever runs your mail server to look at it ("queue retry" agrees to it).',
  },
  'account-locked': {
    status: '4.7.0',
    what: () => 'The keys of your own account could not be opened.',
    advice: ASK_OPERATOR,
  },
  'relay-denied': {
    status: '5.7.1',
    what: (mailbox) => `The gateway does not carry mail to ${mailbox} for you.`,
    advice: 'Ask whoever runs the gateway to let you send through it.',
  },
  'not-relayed': {
    status: '5.6.1',
    what: (mailbox) => `Messages of this kind, such as secret keys, never leave SMIMP, so ${mailbox} cannot get one.`,
    advice: 'Send an ordinary message.',
  },
  'not-rendered': {
    status: '5.6.0',
    what: (mailbox) => `The gateway could not write the message to ${mailbox} as mail of the old internet.`,
    advice: 'This is a fault of the gateway. Send it in another form, such as plain text, and tell whoever runs it.',
  },
  'retired-key': {
    status: '5.7.7',
    what: (mailbox) =>
      `The message to ${mailbox} was signed with a retired key of yours, so it was not carried further.`,
    advice: 'If you did not send it, whoever has your old key did; otherwise send it again.',
  },
  'speaks-smimp': {
    status: '5.7.1',
    what: (mailbox) => `The domain of ${mailbox} speaks SMIMP, so mail to it does not leave in the clear.`,
    advice: 'Write to their SMIMP address.',
  },
  'no-such-domain': {
    status: '5.1.2',
    what: (mailbox) => `The domain of ${mailbox} does not exist, or takes no mail.`,
    advice: 'Check the spelling of the address.',
  },
  'null-mx': {
    status: '5.1.10',
    what: (mailbox) => `The domain of ${mailbox} says that it takes no mail.`,
    advice: 'Reach them another way.',
  },
  dns: {
    status: '4.4.3',
    what: (mailbox) => `The servers of the domain of ${mailbox} cannot be found at the moment.`,
    advice: LATER,
  },
  'smtp-connect': {
    status: '4.4.1',
    what: (mailbox) => `No mail server of ${mailbox} can be reached.`,
    advice: LATER,
  },
  'smtp-tls': {
    status: '4.7.5',
    what: (mailbox) =>
      `Mail to ${mailbox} must be sent encrypted, and their server does not allow it or is not the right one.`,
    advice: 'Tell them that their mail server has no valid certificate.',
  },
  'smtp-login': {
    status: '4.7.0',
    what: (mailbox) => `The message to ${mailbox} cannot be sent, because the gateway is not let into its relay.`,
    advice: ASK_OPERATOR,
  },
  'smtp-temporary': {
    status: '4.0.0',
    what: (mailbox) => `The mail server of ${mailbox} does not take the message at the moment.`,
    advice: LATER,
  },
  'smtp-permanent': {
    status: '5.0.0',
    what: (mailbox) => `The mail server of ${mailbox} refused the message.`,
    advice: 'Its own words say why. Check the address, or ask them another way.',
  },
  'smtp-lost': {
    status: '4.4.2',
    what: (mailbox) =>
      `The connection to the mail server of ${mailbox} was lost before it said that it has the message.`,
    advice: 'They may have got it all the same; ask them before you send it again.',
  },
  'smtp-too-large': {
    status: '5.3.4',
    what: (mailbox) => `The message is larger than the mail server of ${mailbox} takes.`,
    advice: 'Send it with smaller attachments.',
  },
  'bad-mailbox': {
    status: '5.1.3',
    what: (mailbox) => `${mailbox} cannot be written to by mail servers of the old internet.`,
    advice: 'Check the spelling of the address.',
  },
  'smtp-utf8': {
    status: '5.6.7',
    what: (mailbox) => `The mail server of ${mailbox} does not take addresses with letters beyond ASCII.`,
    advice: 'Ask them for another address.',
  },
  'content-lost': {
    status: '5.6.0',
    what: (mailbox) => `The message to ${mailbox} is no longer there.`,
    advice: 'Send it again.',
  },
  local: {
    status: '4.3.0',
    what: (mailbox) => `The message to ${mailbox} could not be worked on.`,
    advice: ASK_OPERATOR,
  },
  blocked: {
    status: '5.7.1',
    what: (mailbox) => `${mailbox} does not accept messages from you.`,
    advice: 'Reach them another way.',
  },
  too_large: {
    status: '5.3.4',
    what: (mailbox) => `The message is too large for the server of ${mailbox}.`,
    advice: 'Send it with smaller attachments.',
  },
  insufficient_storage: {
    status: '4.2.2',
    what: (mailbox) => `The mailbox of ${mailbox} is full.`,
    advice: LATER,
  },
  unknown_user: {
    status: '4.1.1',
    what: (mailbox) => `The server of ${mailbox} says it has no such user, but it had one before.`,
    advice: 'Ask them another way whether they still use this address.',
  },
  tls: {
    status: '4.7.5',
    what: (mailbox) => `The server of ${mailbox} has no valid certificate, so nothing was sent to it.`,
    advice: LATER,
  },
  'refused-address': {
    status: '4.4.4',
    what: (mailbox) => `The server of ${mailbox} lies in a network that must not be reached.`,
    advice: ASK_OPERATOR,
  },
};

const UNREACHABLE: Wording = {
  status: '4.4.1',
  what: (mailbox) => `The server of ${mailbox} cannot be reached.`,
  advice: LATER,
};
const ODD: Wording = {
  status: '4.5.0',
  what: (mailbox) => `The server of ${mailbox} did not accept the message.`,
  advice: 'Ask them another way; their server may be faulty.',
};
const UNREACHED: ReadonlySet<Reason> = new Set<Reason>([
  'unavailable',
  'unresolvable',
  'connect',
  'timeout',
  'rate-limited',
]);

/** `mailbox`: the address as a mail program spells it. */
export function explain(reason: Reason, mailbox: string): Explanation {
  const wording = WORDINGS[reason] ?? (UNREACHED.has(reason) ? UNREACHABLE : ODD);
  return { status: wording.status, what: wording.what(mailbox), advice: wording.advice };
}

/** The explanation of something that is tried again by itself: nobody is asked to do so. */
export function explainRetried(reason: Reason, mailbox: string): Explanation {
  const found = explain(reason, mailbox);
  return found.advice === LATER ? { ...found, advice: '' } : found;
}

/** The explanation of something final: a failure that could have passed says so no longer (RFC 3463 §3.5: 4.4.7). */
export function explainFinal(reason: Reason, mailbox: string): Explanation {
  const found = explain(reason, mailbox);
  return { ...found, status: found.status.replace(/^4/, '5') };
}
