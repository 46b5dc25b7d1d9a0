/**
 * Takes what arrived for a legacy identity of a gateway, and passed every check of a client (SMIMP 0.1 §4.4), on its way to
 * the old internet: a submission of its own, whose delivery begins at the stage `relay`. What may not leave becomes one as
 * well, without its content: the stage refuses it, and its sender is told. So is the sender of what cannot be written as mail;
 * that is kept, for whoever mends this program.
 */
import type { Events } from '../events.ts';
import type { AccountKeys } from '../keystore/keystore.ts';
import { referenceOf } from '../keystore/references.ts';
import { isNamed } from '../legacy/senders.ts';
import { isShown } from '../mime/from-email.ts';
import { outgoingFacts, outgoingMail } from '../mime/outgoing.ts';
import { threadIdOf } from '../mime/threads.ts';
import { type Address, toMailbox } from '../smimp/address.ts';
import { randomBytes } from '../smimp/crypto.ts';
import { parseHex } from '../smimp/encoding.ts';
import { decodeLegacy, legacyMailbox } from '../smimp/gateway.ts';
import type { OpenedMessage } from '../smimp/open.ts';
import { paddedLength } from '../smimp/payload.ts';
import { insertReference } from '../store/contents.ts';
import { notify, type Tx } from '../store/database.ts';
import { insertSubmission } from '../store/submissions.ts';
import type { Gateway } from './relay.ts';
import { type RelayFacts, sealRelayContent } from './relay-content.ts';

export interface Outward {
  /** Whether this is a legacy identity: nobody reads its mail here. */
  serves(address: Address): boolean;
  take(account: { accountId: number; address: Address; keys: AccountKeys }, opened: OpenedMessage): Onward;
}

export interface Onward {
  /** Puts the message on its way, within the transaction that opens it. */
  carry(tx: Tx): Promise<void>;
  /** Why it is kept here all the same: it could not be written, which is a fault of this program. */
  kept: 'not-rendered' | null;
}

const DIGEST_BYTES = 32;
const UID_BYTES = 32;
const NOTHING = Buffer.alloc(0);
const NOT_RENDERED = 'not-rendered' as const;

export function createOutward(options: {
  gateway: Pick<Gateway, 'domain' | 'senders'>;
  giveUpAfterMs: number;
  events: Events;
  clock: () => Date;
  /** How it is written. */
  write?: typeof outgoingMail;
}): Outward {
  const { gateway, giveUpAfterMs, events, clock, write = outgoingMail } = options;
  /** Null: it cannot be, now or later: what does not depend on others fails each time. */
  const written = ({ header, content }: OpenedMessage, now: Date): Buffer | null => {
    try {
      const received = Math.floor(now.getTime() / 1000);
      return write({ header, content, gatewayDomain: gateway.domain, received });
    } catch (error) {
      events.unexpected('writing a message that leaves', error);
      return null;
    }
  };
  const serves: Outward['serves'] = (address) => legacyMailbox(address, gateway.domain) !== null;
  const take: Outward['take'] = ({ accountId, address, keys }, opened) => {
    const now = clock();
    const uid = Buffer.from(parseHex(opened.header.uid, UID_BYTES));
    const about = factsOf(gateway, address, opened);
    const message = about.refused === null ? written(opened, now) : NOTHING;
    const facts = message === null ? { ...about, refused: NOT_RENDERED } : about;
    const sealed = sealRelayContent(keys, uid, { facts, message: message ?? NOTHING });
    const { isReport } = outgoingFacts(opened.content);
    const carry: Onward['carry'] = async (tx) => {
      const { deliveryIds } = await insertSubmission(tx, {
        ...{ accountId, uid, sealed, now, isReport },
        digest: randomBytes(DIGEST_BYTES),
        retiredDigest: randomBytes(DIGEST_BYTES),
        messageType: opened.content.type === 'opaque' ? 'x-custom' : opened.content.type,
        sizeBytes: paddedLength(message?.length ?? 0),
        recipients: [address],
        deadline: new Date(now.getTime() + giveUpAfterMs),
        repeatsSince: now,
        stage: 'relay',
        relayedFor: opened.header.from,
      });
      // Who answers from outside names the Message-ID that it left under; one of the bridge's own names the uid itself.
      if (facts.message_id !== null) await insertReference(tx, accountId, referenceOf(keys, facts.message_id), uid);
      for (const id of deliveryIds) await notify(tx, 'delivery_ready', id);
    };
    return { carry, kept: message === null ? NOT_RENDERED : null };
  };
  return { serves, take };
}

function factsOf(gateway: Pick<Gateway, 'domain' | 'senders'>, address: Address, opened: OpenedMessage): RelayFacts {
  const { header, content } = opened;
  const { isReport, subject, messageId } = outgoingFacts(content);
  const isEmail = content.type === 'email';
  return {
    v: 1,
    own: false,
    from: isReport ? null : toMailbox(header.from),
    to: decodeLegacy(address, gateway.domain),
    refused: refusalOf(gateway, opened),
    subject,
    message_id: messageId,
    thread_id: isEmail ? content.value.thread_id : threadIdOf(header.uid),
    date_sent: isEmail ? content.value.date_sent : header.sent,
  };
}

/** Secret keys and what programs send one another never leave (SMIMP 0.1 §4.1), nor what a retired key has signed. */
function refusalOf(
  gateway: Pick<Gateway, 'senders'>,
  { header, content, cautions }: OpenedMessage,
): RelayFacts['refused'] {
  if (!isNamed(gateway.senders, header.from)) return 'relay-denied';
  if (!isShown(content) || content.type.startsWith('secret-')) return 'not-relayed';
  return cautions.includes('retired-key') ? 'retired-key' : null;
}
