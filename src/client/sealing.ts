/**
 * Encrypting one message to one recipient (SMIMP 0.1 §4.1), under a key that counts only when the head beside it was that
 * of the recipient's verified history and its owner signed it (§1.4, §3).
 */
import type { ContactHistory } from '../identity/contact.ts';
import type { Address } from '../smimp/address.ts';
import { sealMessage } from '../smimp/boxes.ts';
import type { MasterKeyPair } from '../smimp/crypto.ts';
import { formatTimestamp, type Hex32 } from '../smimp/encoding.ts';
import type { SealedMessage } from '../smimp/envelope.ts';
import type { MessageHeader } from '../smimp/header.ts';
import { type MessageKey, verifyMessageKey } from '../smimp/message-key.ts';

export type Sender = { address: Address; master: MasterKeyPair; head: MessageHeader['sender_head'] };

/** The key, if it may be encrypted to now (unix seconds). Throws ProfileError. */
export function usableKey(recipient: ContactHistory, key: unknown, now: number): MessageKey {
  const { address, masterKeys } = recipient;
  return verifyMessageKey({ address, key, masterKeys, now }).key;
}

/** `key` from `usableKey`, `body` as it will arrive, `now` in unix seconds. */
export function sealTo(input: {
  sender: Sender;
  recipient: ContactHistory;
  key: MessageKey;
  message: { uid: Hex32; messageType: string; body: Uint8Array; original?: MessageHeader['original'] };
  /** How it came to the sender's server; null or absent: from the sender herself. */
  via?: MessageHeader['via'];
  now: number;
}): SealedMessage {
  const { sender, recipient, key, message, now } = input;
  const people = { from: sender.address, to: recipient.address };
  const heads = { sender_head: sender.head, recipient_head: { seq: recipient.seq, head: recipient.head } };
  const header: MessageHeader = {
    ...{ v: 1, ...people, uid: message.uid, sent: formatTimestamp(now), ...heads },
    via: input.via ?? null,
    original: message.original ?? null,
  };
  const { messageType, body } = message;
  return sealMessage({ header, body, messageType, messagePublicKey: key.public_key, senderKey: sender.master });
}
