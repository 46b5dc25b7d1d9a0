/** Who else gets a copy in secret is for the sender's own copy only (RFC 5322 §3.6.3): the message as a mail server passes it on. */
import type { Buffer } from 'node:buffer';
import { headerEnd, headerFields } from '../structure/header-fields.ts';

const SECRET_FIELD = /^(?:resent-)?bcc$/;

/** The message without these fields, a view into `raw`: what stands before them is moved up. No other byte changes. */
export function removeBcc(raw: Buffer): Buffer {
  let removed = 0;
  for (const { name, start, end } of [...headerFields(raw, 0, headerEnd(raw))]) {
    if (!SECRET_FIELD.test(name)) continue;
    raw.copyWithin(removed + end - start, removed, start);
    removed += end - start;
  }
  return raw.subarray(removed);
}
