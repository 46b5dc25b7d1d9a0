/** Who else gets a copy in secret is for the sender's own copy only (RFC 5322 §3.6.3): the message as a mail server passes it on. */
import type { Buffer } from 'node:buffer';
import { type FieldRange, headerEnd, headerFields } from '../structure/header-fields.ts';

const SECRET_FIELD = /^(?:resent-)?bcc$/;

/** The message without these fields, a view into `raw`: what stands before them is moved up. No other byte changes. */
export function removeBcc(raw: Buffer): Buffer {
  return removeFields(raw, ({ name }) => SECRET_FIELD.test(name));
}

/** The message without the fields that are not wanted, likewise. */
export function removeFields(raw: Buffer, unwanted: (field: FieldRange) => boolean): Buffer {
  const fields = [...headerFields(raw, 0, headerEnd(raw))].filter(unwanted);
  let removed = 0;
  for (const { start, end } of fields) {
    raw.copyWithin(removed + end - start, removed, start);
    removed += end - start;
  }
  return raw.subarray(removed);
}
