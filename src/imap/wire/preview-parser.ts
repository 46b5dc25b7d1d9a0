/** What may stand behind PREVIEW of FETCH (RFC 8970 §6): `(LAZY)`. */
import type { CommandReader } from './command-reader.ts';

const MODIFIERS = / +\( *lazy *(?: lazy *)*\)/iy;

/** True for LAZY. What follows may also be the modifiers of FETCH itself, so only the whole list is taken. */
export function parsePreviewModifiers(reader: CommandReader): boolean {
  return reader.acceptPattern(MODIFIERS);
}
