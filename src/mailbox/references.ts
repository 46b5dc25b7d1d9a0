/** What answers by Message-ID find: the uid of the message they answer. */
import { referenceOf } from '../keystore/references.ts';
import type { MessageIndex } from '../mime/structure/types.ts';
import type { Hex32 } from '../smimp/encoding.ts';
import { insertReference } from '../store/contents.ts';
import type { Tx } from '../store/database.ts';
import type { MailAccount } from './mail-account.ts';

export async function keepReference(
  tx: Tx,
  account: MailAccount,
  { envelope }: MessageIndex,
  uid: Hex32,
): Promise<void> {
  if (envelope.messageId === null) return;
  const reference = referenceOf(account.keys, envelope.messageId);
  await insertReference(tx, account.accountId, reference, Buffer.from(uid, 'hex'));
}
