/**
 * Fetches a message key and encrypts, once (SMIMP 0.1 §4.1): the ciphertext is kept, so that a retry burns no second
 * single-use key. The key counts only when the head beside it is that of the verified history (§3) and its owner signed it
 * (§1.4).
 */
import { sealTo, usableKey } from '../client/sealing.ts';
import type { Identity } from '../identity/resolve.ts';
import { freeMemory } from '../memory/free-memory.ts';
import type { HomeClient, Session } from '../remote/home.ts';
import type { Sessions } from '../remote/sessions.ts';
import { addressParts, type Domain } from '../smimp/address.ts';
import type { MessageKeyAnswer } from '../smimp/api.ts';
import type { BaseUrl } from '../smimp/discovery.ts';
import { type Hex32, toHex } from '../smimp/encoding.ts';
import type { Db } from '../store/database.ts';
import { submissionContent, submissionOriginal } from '../store/submissions.ts';
import { forgetRefused } from './failures.ts';
import { refusedContact } from './route.ts';
import { encodeKept, type Stage, type Work } from './stage.ts';
import { openContent, openOriginal } from './submission-content.ts';

export function createSeal(options: {
  db: Db;
  identity: Identity;
  sessions: Sessions;
  home: HomeClient;
  /** Of a gateway: what its own identities send came from outside (SMIMP 0.1 §6). */
  gatewayDomain?: Domain | null;
  clock: () => Date;
}): Stage {
  const { db, identity, sessions, home, clock } = options;

  const fetchKey = async (session: Session, work: Work): Promise<MessageKeyAnswer> =>
    home
      .getMessageKey(session, work.recipient)
      .catch((error: unknown) => forgetRefused(sessions, work.delivery.account_id, session, error));

  return async (work) => {
    const { delivery, recipient } = work;
    const accountId = delivery.account_id;
    const session = await sessions.get({ accountId, baseUrl: delivery.base_url as BaseUrl, keys: work.keys });
    const answer = await fetchKey(session, work);
    const contact = await identity.confirmHead({ accountId, contact: recipient, head: answer.head });
    if (contact.history === null) return refusedContact(contact);
    const now = Math.floor(clock().getTime() / 1000);
    const key = usableKey(contact.history, answer.message_key, now);
    const sealed = await submissionContent(db, delivery.submission_id);
    if (sealed === null) return { kind: 'fail', reason: 'content-lost' };
    const packed = await submissionOriginal(db, delivery.submission_id);
    const keys = await work.keys();
    const own = await identity.ownHistory(accountId);
    const senderKey = await keys.master();
    const body = openContent(keys, delivery.uid, sealed);
    freeMemory(sealed);
    const original = packed && openOriginal(keys, delivery.uid, packed);
    const message = sealTo({
      sender: { address: work.sender, master: senderKey, head: { seq: own.seq, head: own.head } },
      recipient: contact.history,
      key,
      message: { uid: toHex<Hex32>(delivery.uid), messageType: delivery.message_type, body, original },
      via: addressParts(work.sender).domain === options.gatewayDomain ? 'smtp_bridge' : null,
      now,
    });
    freeMemory(body);
    work.kept = { ...message, senderPublicKey: toHex<Hex32>(senderKey.publicKey) };
    work.singleUse = key.kind === 'ephemeral';
    return {
      kind: 'advance',
      to: 'mint',
      change: { sealed_envelope: encodeKept(work.kept), minted_envelope: null, session: null },
      detail: { single_use_key: work.singleUse, size_bytes: message.ciphertext.byteLength },
    };
  };
}
