/** What FETCH BINARY and BINARY.SIZE tell of one message (RFC 3516 §4.3). */
import { decodeSection } from '../../mime/binary.ts';
import { applyPartial } from '../../mime/structure/section.ts';
import type { MessageIndex } from '../../mime/structure/types.ts';
import { Refusal } from '../replies.ts';
import type { FetchBinary, FetchBinarySize } from '../wire/fetch-items.ts';
import type { FetchValue } from '../wire/fetch-response.ts';

/** Throws Refusal `UNKNOWN-CTE`. A part that is not there is NIL, or has no bytes. */
export function binaryValue(item: FetchBinary | FetchBinarySize, index: MessageIndex, raw: Buffer): FetchValue {
  const decoded = decodeSection(raw, index, item.part);
  if (decoded?.known === false) throw new Refusal('NO', 'The transfer encoding of a part is not known', 'UNKNOWN-CTE');
  const bytes = decoded?.bytes ?? null;
  if (item.type === 'binary.size') return { type: 'binary.size', item, sizeBytes: bytes?.length ?? 0 };
  return { type: 'binary', item, data: bytes === null ? null : applyPartial(bytes, item.partial) };
}
