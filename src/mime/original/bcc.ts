/** Fields that are taken out of a message without touching another byte: what stands before them is moved up. */
import { Buffer } from 'node:buffer';
import { type FieldRange, headerEnd, headerFields } from '../structure/header-fields.ts';

const SECRET_FIELD = /^(?:resent-)?bcc$/;
const isSecret = ({ name }: FieldRange): boolean => SECRET_FIELD.test(name);

/** The message without the fields that are not wanted, a view into `raw`, which is written over. */
export function removeFields(raw: Buffer, unwanted: (field: FieldRange) => boolean): Buffer {
  const fields = fieldsOf(raw, unwanted);
  let removed = 0;
  for (const { start, end } of fields) {
    raw.copyWithin(removed + end - start, removed, start);
    removed += end - start;
  }
  return raw.subarray(removed);
}

/**
 * The message as a mail server passes it on: who gets a copy in secret is for the sender's own copy only (RFC 5322 §3.6.3). A
 * view into `raw` as well; `restore` puts `raw` back as it was, and `visible` is of no use then.
 */
export function hideBcc(raw: Buffer): { visible: Buffer; restore: () => void } {
  const changedBytes = fieldsOf(raw, isSecret).at(-1)?.end ?? 0;
  const before = Buffer.from(raw.subarray(0, changedBytes));
  const restore = (): void => {
    // Memory that was given back meanwhile is not there any more.
    if (raw.length > 0) before.copy(raw);
  };
  return { visible: removeFields(raw, isSecret), restore };
}

function fieldsOf(raw: Buffer, wanted: (field: FieldRange) => boolean): FieldRange[] {
  return [...headerFields(raw, 0, headerEnd(raw))].filter(wanted);
}
