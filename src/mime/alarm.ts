/**
 * What people are told of their contacts, and of themselves (SMIMP 0.1 §3, §4.4): what happened, whom it concerns, what was
 * done, what to do. An `email` body like any other; mail of the bridge by its mark (bridge-mail.ts).
 *
 * Of a contact only the address is said, whose form leaves nothing to inject; never a name, which its owner chose, and never
 * the fingerprint that a server shows: it must come from the contact, by another way.
 */
import { type Address, toMailbox } from '../smimp/address.ts';
import type { EmailBody } from '../smimp/email.ts';
import { formatTimestamp, type Hex32 } from '../smimp/encoding.ts';
import type { AlarmKind } from './bridge-mail.ts';
import { formatMailDate } from './date.ts';
import { textToMarkdown } from './text-to-markdown.ts';

export interface AlarmNotice {
  kind: AlarmKind;
  /** Of some kinds the code of a check, which is said. */
  cause: string;
  owner: Address;
  /** `owner` herself for alarms about oneself. */
  contact: Address;
  times: number;
  /** Unix seconds: when it was first seen. */
  since: number;
  now: number;
}

type Words = {
  subject: string;
  what: string;
  done: string;
  todo: string;
};

const BLOCKED =
  'Nothing is sent to {contact}, and messages that come under this address are held, unread. What was seen before is kept.';
const VERIFY =
  'Ask {contact} by phone, not by mail, for the fingerprint of their SMIMP identity. Enter it, or have it entered by whoever ' +
  'runs your mail server, with:\n  smimp-bridge trust verify {owner} {contact} FINGERPRINT\n' +
  'If it is the right one, everything that is held goes on by itself. Nothing else releases it.';
const ENDS_ITSELF = 'This ends by itself when the server is in order again; what is held then goes on.';
const SHOWN = 'The message is shown, with a warning at its top.';
const COMPARE =
  'Tell whoever runs your mail server. Compare your fingerprint with what {contact} sees, by phone; yours is shown by:\n' +
  '  smimp-bridge fingerprint {owner}';

const WORDS: Readonly<Record<AlarmKind, Words>> = {
  'pin-replaced': {
    subject: 'The identity of {contact} was replaced',
    what:
      'The server of {contact} shows another identity under this address than the one you knew. Either {contact} began anew, ' +
      'or somebody stands in their place.',
    done: BLOCKED,
    todo: VERIFY,
  },
  'pin-forked': {
    subject: 'The identity of {contact} contradicts what was seen',
    what:
      'The history of {contact} is not the one that was seen before: a server shows different histories to different ' +
      'people, or somebody uses a key that {contact} gave up.',
    done: BLOCKED,
    todo: VERIFY,
  },
  'pin-truncated': {
    subject: 'The server of {contact} hides changes of identity',
    what: 'The server of {contact} no longer shows changes of identity that were seen before, such as a new key.',
    done: BLOCKED,
    todo: `${ENDS_ITSELF} If it lasts, ask {contact} another way. A fingerprint does not heal this.`,
  },
  'identity-invalid': {
    subject: 'The identity of {contact} does not verify',
    what: 'What the server of {contact} shows as their identity does not verify. The server is faulty, or under attack.',
    done: BLOCKED,
    todo: `${ENDS_ITSELF} If it lasts, ask {contact} another way.`,
  },
  'head-mismatch': {
    subject: 'The server of {contact} contradicts itself',
    what: 'The server of {contact} gave out a key together with another identity than it shows. It is faulty, or it lies.',
    done: 'The message to {contact} is held; nothing of it was sent.',
    todo: `${ENDS_ITSELF} If it lasts, ask {contact} another way.`,
  },
  'key-changed': {
    subject: '{contact} has a new key',
    what: '{contact} has a new key. The change is signed with the old key and with the new one, as it should be.',
    done: 'Messages go on as before. A fingerprint stays the same when keys change, so one that was checked needs no new check.',
    todo: 'Nothing. If you did not expect it, ask {contact} by phone whether they changed their key.',
  },
  'retired-key': {
    subject: 'A message from {contact} is signed with an old key',
    what:
      'A message from {contact} is signed with a key that {contact} replaced more than a day before. Whoever found the old ' +
      'key could have made it.',
    done: SHOWN,
    todo: 'Do not rely on the message before {contact} has confirmed it another way.',
  },
  'recipient-head-stale': {
    subject: '{contact} does not know your present keys',
    what:
      'A message from {contact} was made for keys that you replaced more than a day before. Your server, or that of ' +
      '{contact}, may be hiding your changes.',
    done: SHOWN,
    todo: COMPARE,
  },
  'recipient-head-unknown': {
    subject: '{contact} was shown keys of yours that never were',
    what:
      'A message from {contact} names a history of your identity that you never published. Your server, or that of {contact}, ' +
      'shows different histories to different people.',
    done: SHOWN,
    todo: `${COMPARE}\nUntil this is clear, messages meant for you may reach somebody else.`,
  },
  'own-history': {
    subject: 'Your own server shows another history of you',
    what:
      'What your server shows to others as your identity is not what you published. The server is faulty or lies, or somebody ' +
      'has your master key.',
    done: 'Your own copy stays as it is. Mail goes on.',
    todo:
      'Tell whoever runs your mail server at once. Ask the people you write to to compare your fingerprint by phone:\n' +
      '  smimp-bridge fingerprint {owner}',
  },
  unavailable: {
    subject: 'A message from {contact} waits',
    what:
      'A message from {contact} came in, but the server of {contact} cannot be reached, and has not been for more than a day. ' +
      'So nobody can say whether the message is theirs.',
    done: 'It is kept, unread, and looked at again and again. It is shown as soon as it can be verified.',
    todo: 'Nothing. If you wait for a message, ask {contact} another way.',
  },
  'message-invalid': {
    subject: 'Invalid message claimed to be from {contact}',
    what: 'A message arrived that does not verify.',
    done: 'It is kept apart, unopened, and nothing of it is shown.',
    todo: 'If you expect a message from this address, ask for it again.',
  },
};

/** Kinds whose cause is a code of the closed list of checks, or of states. */
const SAID: ReadonlySet<AlarmKind> = new Set(['identity-invalid', 'message-invalid', 'own-history']);
/** More lines are no use to a reader; the rest is counted. */
export const MAX_LISTED = 100;

type People = Pick<AlarmNotice, 'owner' | 'contact'>;

function filled(text: string, { owner, contact }: People): string {
  return text.replaceAll('{contact}', toMailbox(contact)).replaceAll('{owner}', toMailbox(owner));
}

/** One sentence, as lists of alarms say it. */
export function alarmSubject(notice: People & Pick<AlarmNotice, 'kind'>): string {
  return filled(WORDS[notice.kind].subject, notice);
}

/** An alarm with a mail of its own. */
export function buildAlarm(notice: AlarmNotice, uid: Hex32): EmailBody {
  const { what, done, todo } = WORDS[notice.kind];
  const paragraphs = [what, done, todo].map((text) => filled(text, notice));
  return bodyOf(notice, uid, alarmSubject(notice), [...paragraphs, factsOf(notice)]);
}

function factsOf({ kind, cause, contact, owner, times, since }: AlarmNotice): string {
  return [
    ...(contact === owner ? [] : [`Contact: ${toMailbox(contact)}`]),
    `Alarm: ${kind}${SAID.has(kind) && cause !== '' ? ` (${cause})` : ''}`,
    `Since: ${formatMailDate(since)}`,
    ...(times > 1 ? [`Times: ${times}`] : []),
  ].join('\n');
}

/** Many alarms in one mail, at least one, all of one owner. */
export function buildAlarms(notices: readonly AlarmNotice[], uid: Hex32): EmailBody {
  const [first] = notices;
  if (first === undefined) throw new TypeError('no alarm');
  const listed = notices.slice(0, MAX_LISTED);
  const lines = listed.map((notice) => `- ${alarmSubject(notice)} (${notice.kind}, ${formatMailDate(notice.since)})`);
  const rest = notices.length - listed.length;
  const paragraphs = [
    `There were more alarms in a day than are told one by one. ${notices.length} are left, about ${peopleIn(notices)}.`,
    [...lines, ...(rest > 0 ? [`- and ${rest} more`] : [])].join('\n'),
    'Somebody may be making alarms to hide one among them, so look through the list for people you know. What each one means, ' +
      `and what was held, is shown by:\n  smimp-bridge trust show ${toMailbox(first.owner)}`,
  ];
  const subject = notices.length === 1 ? '1 more alarm' : `${notices.length} more alarms`;
  return bodyOf(first, uid, subject, paragraphs);
}

function peopleIn(notices: readonly AlarmNotice[]): string {
  const { size } = new Set(notices.map(({ contact }) => contact));
  return size === 1 ? '1 address' : `${size} addresses`;
}

function bodyOf({ owner, now }: AlarmNotice, uid: Hex32, subject: string, paragraphs: readonly string[]): EmailBody {
  return {
    to: [owner],
    cc: [],
    subject,
    thread_id: uid,
    reply_to_message_id: null,
    date_sent: formatTimestamp(now),
    body: textToMarkdown(paragraphs.join('\n\n')),
    signature_text: null,
    attachments: [],
    extensions_data: null,
    reply_to: null,
    auto_reply_address: null,
  };
}
