/** What a client turned on for the rest of its connection (RFC 5161, RFC 7162 §3.1, §3.2.3, RFC 6855 §3, RFC 9051 §6.3.1, RFC 9586 §3). */
import { ASCII, type Dialect, UTF8 } from './wire/dialect.ts';

export type Enabled = 'CONDSTORE' | 'QRESYNC' | 'UTF8=ACCEPT' | 'IMAP4rev2' | 'UIDONLY';

/** What ENABLE turns on, by the names clients say, in upper case. */
export const ENABLES: ReadonlyMap<string, readonly Enabled[]> = new Map([
  ['CONDSTORE', ['CONDSTORE']],
  // RFC 7162 §3.2.3: it implies the other.
  ['QRESYNC', ['CONDSTORE', 'QRESYNC']],
  ['UTF8=ACCEPT', ['UTF8=ACCEPT']],
  ['IMAP4REV2', ['IMAP4rev2']],
  ['UIDONLY', ['UIDONLY']],
]);

export function dialectOf(enabled: ReadonlySet<Enabled>): Dialect {
  return enabled.has('UTF8=ACCEPT') || enabled.has('IMAP4rev2') ? UTF8 : ASCII;
}
