/** The reverse path of a message that came in at a gateway (RFC 5321 §4.4), at rest. Reports on the message go there, or nowhere. */
import type { AccountKeys } from '../keystore/keystore.ts';
import type { Executor, Tx } from '../store/database.ts';
import { findReturnPath, insertReturnPath } from '../store/return-paths.ts';

const PURPOSE = 'return-path';

/** Within the transaction that takes the message in. */
export async function keepReturnPath(tx: Tx, keys: AccountKeys, submissionId: number, mailbox: string): Promise<void> {
  await insertReturnPath(tx, submissionId, keys.seal(PURPOSE, String(submissionId), Buffer.from(mailbox, 'utf8')));
}

/** The mailbox; null for a message that takes no reports. Throws KeystoreError `damaged`. */
export async function returnPathOf(db: Executor, keys: AccountKeys, submissionId: number): Promise<string | null> {
  const sealed = await findReturnPath(db, submissionId);
  return sealed === null ? null : keys.unseal(PURPOSE, String(submissionId), sealed).toString('utf8');
}
