/** What answers by Message-ID find: the uid of the message they answer. */
import { referenceOf } from '../keystore/references.ts';
import type { MessageIndex } from '../mime/structure/types.ts';
import type { Hex32 } from '../smimp/encoding.ts';
import { insertReference } from '../store/contents.ts';
import type { Tx } from '../store/database.ts';
import type { MailAccount } from './mail-account.ts';

export async function keepReference(tx: Tx, account: MailAccount, index: MessageIndex, uid: Hex32): Promise<void> {
  const kept = referenceTo(account, index, uid);
  if (kept !== null) await insertReference(tx, account.accountId, kept.reference, kept.uid);
}

/** What is kept of a message; null when it has no Message-ID. */
export function referenceTo(
  { keys }: MailAccount,
  { envelope }: Pick<MessageIndex, 'envelope'>,
  uid: Hex32,
): { reference: Buffer; uid: Buffer } | null {
  if (envelope.messageId === null) return null;
  return { reference: referenceOf(keys, envelope.messageId), uid: Buffer.from(uid, 'hex') };
}
