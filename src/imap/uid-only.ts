/** UIDONLY (RFC 9586): who turned it on neither says message numbers nor hears them. */
import { Refusal } from './replies.ts';
import type { Command } from './wire/commands.ts';
import type { SearchKey } from './wire/search-commands.ts';
import { SAVED } from './wire/sets.ts';

/** Throws Refusal `UIDREQUIRED` for a command with message numbers (RFC 9586 §3). */
export function requireUids(command: Command): void {
  if (hasNumbers(command)) throw new Refusal('BAD', 'Message numbers are not in use: say UIDs', 'UIDREQUIRED');
}

function hasNumbers(command: Command): boolean {
  if ('key' in command && searchesNumbers(command.key)) return true;
  if ('qresync' in command) return command.qresync?.match != null;
  // What EXPUNGE removes is marked, not named.
  return 'uid' in command && !command.uid && command.name !== 'EXPUNGE';
}

function searchesNumbers(key: SearchKey): boolean {
  switch (key.type) {
    case 'sequence':
      return key.set !== SAVED;
    case 'not':
      return searchesNumbers(key.key);
    case 'or':
      return searchesNumbers(key.left) || searchesNumbers(key.right);
    case 'and':
      return key.keys.some(searchesNumbers);
    default:
      return false;
  }
}
