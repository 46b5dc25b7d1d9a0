/** Letters that trials send, the programs that send them, and what of an arrived one was above it. */
import { join } from 'node:path';
import type { Person } from '../../src/admin/demo/mail-clients.ts';
import { succeed } from './programs.ts';

export interface Letter {
  /** Also its Subject. */
  readonly name: string;
  /** In CRLF lines. */
  readonly raw: Buffer;
  /** What is wrong with it, to the program that it was made by; of what arrived, without what the bridge put above. */
  verify(arrived: Buffer): Promise<readonly string[]>;
}

let letters = 0;

/** The fields of a letter of its own, without the empty line. */
export function head(from: string, to: string, subject: string): string {
  letters += 1;
  return [
    `From: ${from}`,
    `To: ${to}`,
    `Subject: ${subject}`,
    'Date: Thu, 15 Jan 2026 12:00:00 +0000',
    `Message-ID: <field.${process.pid}.${letters}@${from.replace(/^.*@|>$/g, '')}>`,
    'MIME-Version: 1.0',
    '',
  ].join('\r\n');
}

export function asLines(text: Buffer | string): Buffer {
  const latin = (typeof text === 'string' ? Buffer.from(text) : text).toString('latin1').replace(/\r?\n/g, '\r\n');
  return Buffer.from(latin.endsWith('\r\n') ? latin : `${latin}\r\n`, 'latin1');
}

/** The block that the bridge of the reader puts above (docs/imap.md, "Trust in a sender"). */
const TRACE = /^(?:(?:Authentication-Results|X-SMIMP-[^:\r\n]*):[^\r\n]*\r\n(?:[ \t][^\r\n]*\r\n)*)+/;

export function withoutTrace(source: Buffer): Buffer {
  return source.subarray(TRACE.exec(source.toString('latin1'))?.[0].length ?? 0);
}

export interface Sending {
  readonly person: Person;
  readonly to: string;
  readonly raw: Buffer;
  /** A home directory, which also has `ca.pem`. */
  readonly home: string;
}

/** Each hands a letter in by SMTP in its own way: TLS from the start, STARTTLS, and curl's. */
export const SENDERS: Readonly<Record<'swaks' | 'msmtp' | 'curl', (sending: Sending) => Promise<void>>> = {
  async swaks({ person, to, raw, home }) {
    const at = ['--server', '127.0.0.1', '--port', String(person.site.ports.submissions), '--tlsc'];
    const login = ['--auth', 'PLAIN', '--auth-user', person.mailbox, '--auth-password', person.password];
    const who = ['--from', person.mailbox, '--to', to, '--data', '-', '--silent', '2'];
    // It ends the last line itself.
    await succeed('swaks', [...at, ...login, ...who], { home, input: raw.subarray(0, -2) });
  },
  async msmtp({ person, to, raw, home }) {
    const at = ['--host=127.0.0.1', `--port=${person.site.ports.submission}`, '--tls=on', '--tls-starttls=on'];
    const tls = [`--tls-trust-file=${join(home, 'ca.pem')}`, '--tls-host-override=localhost'];
    const login = ['--auth=plain', `--user=${person.mailbox}`, `--passwordeval=echo '${person.password}'`];
    await succeed('msmtp', [...at, ...tls, ...login, `--from=${person.mailbox}`, '--', to], { home, input: raw });
  },
  async curl({ person, to, raw, home }) {
    const port = person.site.ports.submissions;
    const at = ['--silent', '--show-error', `smtps://localhost:${port}`, '--resolve', `localhost:${port}:127.0.0.1`];
    const login = ['--cacert', join(home, 'ca.pem'), '--user', `${person.mailbox}:${person.password}`];
    const who = ['--mail-from', person.mailbox, '--mail-rcpt', to, '--upload-file', '-'];
    await succeed('curl', [...at, ...login, ...who], { home, input: raw });
  },
};
