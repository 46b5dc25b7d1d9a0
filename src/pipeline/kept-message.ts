/** What earlier stages left behind, read back. */
import { z } from 'zod';
import { proofOfWork } from '../smimp/envelope.ts';
import { parseFields, signedHash } from '../smimp/fields.ts';
import type { Db } from '../store/database.ts';
import { sealedEnvelope } from '../store/outbound.ts';
import { decodeKept, type KeptMessage, type Work } from './stage.ts';

/** What seal left: from this run, or from the row; null when there is none. */
export async function keptMessage(db: Db, work: Work): Promise<KeptMessage | null> {
  if (work.kept !== null) return work.kept;
  const bytes = await sealedEnvelope(db, work.delivery.id);
  work.kept = bytes === null ? null : decodeKept(bytes, work.delivery.message_type);
  return work.kept;
}

const mintedSchema = z.object({ proofOfWork, messageHash: signedHash });

/** What mint left: proof and signature. The envelope is put together from it and the sealed message, always the same. */
export function readMinted(bytes: Buffer): z.infer<typeof mintedSchema> {
  return parseFields(mintedSchema, JSON.parse(bytes.toString('utf8')));
}
