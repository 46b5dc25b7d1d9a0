/**
 * A submission at rest: the exact bytes of its body and what `header.original` will hold, the same for each recipient, sealed
 * with the account key.
 */
import { type AccountKeys, KeystoreError } from '../keystore/keystore.ts';
import { type Original, originalSchema } from '../mime/original/format.ts';
import { type EmailBody, parseBody } from '../smimp/email.ts';

const PURPOSE = 'submission';
const ORIGINAL_PURPOSE = 'submission-original';

export function sealContent(keys: AccountKeys, uid: Uint8Array, body: Uint8Array): Buffer {
  return keys.seal(PURPOSE, uid, body);
}

/** Throws KeystoreError `damaged`. */
export function openContent(keys: AccountKeys, uid: Uint8Array, sealed: Uint8Array): Buffer {
  return keys.unseal(PURPOSE, uid, sealed);
}

/** The email that a submission is; null when it is none, or damaged. */
export function openEmail(
  keys: AccountKeys,
  submission: { uid: Uint8Array; message_type: string },
  sealed: Uint8Array,
): EmailBody | null {
  try {
    const content = parseBody(submission.message_type, openContent(keys, submission.uid, sealed));
    return content.type === 'email' ? content.value : null;
  } catch (error) {
    if (error instanceof KeystoreError && error.code === 'damaged') return null;
    throw error;
  }
}

export function sealOriginal(keys: AccountKeys, uid: Uint8Array, original: Original): Buffer {
  return keys.seal(ORIGINAL_PURPOSE, uid, Buffer.from(JSON.stringify(original), 'utf8'));
}

/** Throws KeystoreError `damaged`. */
export function openOriginal(keys: AccountKeys, uid: Uint8Array, sealed: Uint8Array): Original {
  return originalSchema.parse(JSON.parse(keys.unseal(ORIGINAL_PURPOSE, uid, sealed).toString('utf8')));
}
