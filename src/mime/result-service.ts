/**
 * Whose results an `Authentication-Results` field says that it holds (RFC 8601 §2.2). Anybody may write one, so what some
 * programs would read in another way is told apart from what all read alike.
 */
import type { Buffer } from 'node:buffer';
import { type FieldRange, unfoldedValue } from './structure/header-fields.ts';

const RESULTS_FIELD = 'authentication-results';
/** The name is at the beginning, and no longer than a domain with quotes and a version. */
const MAX_SERVICE_BYTES = 400;

/** In small letters, '' where there is none; null where programs may disagree. */
function serviceIn(raw: Buffer, field: FieldRange): string | null {
  const value = unfoldedValue(raw, field, MAX_SERVICE_BYTES);
  const start = afterComments(value);
  if (start === null) return null;
  const [, name = '', behind = ''] = /^"?\s*([^\s";/()\\]*)(.?)/.exec(value.slice(start)) ?? [];
  const isCut = behind === '' && field.end - field.valueStart > MAX_SERVICE_BYTES;
  return behind === '\\' || isCut ? null : name.toLowerCase().replace(/\.$/, '');
}

/** Where the comments at the beginning end; they may hold others. Null: nowhere. */
function afterComments(value: string): number | null {
  let depth = 0;
  for (let at = 0; at < value.length; at += 1) {
    const letter = value[at] ?? '';
    if (letter === '(') depth += 1;
    else if (letter === ')' && depth > 0) depth -= 1;
    else if (letter === '\\' && depth > 0) at += 1;
    else if (depth === 0 && !/\s/.test(letter)) return at;
  }
  return depth === 0 ? value.length : null;
}

/** Whether some program may take the field for results of one of `services`. */
export function claimsToBeOf(raw: Buffer, field: FieldRange, services: readonly string[]): boolean {
  if (field.name !== RESULTS_FIELD) return false;
  const service = serviceIn(raw, field);
  return service === null || services.includes(service);
}
