/** From the bytes of a message (RFC 5322, RFC 2045) to what is stored of it for IMAP. */
import { buildEnvelope } from './envelope.ts';
import { parsePartTree } from './part-tree.ts';
import {
  type ByteString,
  DEFAULT_STRUCTURE_LIMITS,
  MESSAGE_INDEX_VERSION,
  type MessageIndex,
  type StructureLimits,
} from './types.ts';

/** Never fails: whatever the bytes are, they are a message. Linear in their number. */
export function indexMessage(raw: Buffer, limits: Partial<StructureLimits> = {}): MessageIndex {
  const bounds = { ...DEFAULT_STRUCTURE_LIMITS, ...limits };
  const { root, rootValues } = parsePartTree(raw, bounds);
  const headerBytes = root.bodyStart;
  const keepHeader = headerBytes <= bounds.keptHeaderBytes;
  return {
    version: MESSAGE_INDEX_VERSION,
    sizeBytes: raw.length,
    headerBytes,
    header: keepHeader ? (raw.toString('latin1', 0, headerBytes) as ByteString) : null,
    envelope: buildEnvelope(rootValues, bounds),
    structure: root,
  };
}
