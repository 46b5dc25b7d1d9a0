/** Mail that the mailbox itself writes to its owner. */
import { type Address, toMailbox } from '../smimp/address.ts';
import { randomBytes } from '../smimp/crypto.ts';
import type { EmailBody } from '../smimp/email.ts';
import { formatTimestamp, type Hex32, toHex } from '../smimp/encoding.ts';

const UID_BYTES = 32;

export const newUid = (): Hex32 => toHex(randomBytes(UID_BYTES));

/** All that is said of a message that does not verify (SMIMP 0.1 §4.4). */
export function invalidMessageNotice(about: { owner: Address; claimed: Address; now: Date }): {
  uid: Hex32;
  body: EmailBody;
} {
  const uid = newUid();
  const body: EmailBody = {
    to: [about.owner],
    cc: [],
    subject: `Invalid message claimed to be from ${toMailbox(about.claimed)}`,
    thread_id: uid,
    reply_to_message_id: null,
    date_sent: formatTimestamp(Math.floor(about.now.getTime() / 1000)),
    body:
      'A message arrived that does not verify. It is kept apart, unopened, and nothing of it is shown. ' +
      'If you expect a message from this address, ask for it again.',
    signature_text: null,
    attachments: [],
    extensions_data: null,
    reply_to: null,
    auto_reply_address: null,
  };
  return { uid, body };
}
