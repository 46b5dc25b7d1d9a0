/** Where reports on mail that came in at a gateway go, sealed. */
import type { Executor, Tx } from './database.ts';

export async function insertReturnPath(tx: Tx, submissionId: number, sealed: Buffer): Promise<void> {
  await tx.insertInto('return_path').values({ submission_id: submissionId, sealed }).execute();
}

export async function findReturnPath(db: Executor, submissionId: number): Promise<Buffer | null> {
  const found = db.selectFrom('return_path').select('sealed').where('submission_id', '=', submissionId);
  return (await found.executeTakeFirst())?.sealed ?? null;
}
