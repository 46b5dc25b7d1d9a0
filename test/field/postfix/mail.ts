/** Mail as it is brought to a server, what becomes of it behind, and looking for it there. */
import { randomBytes } from 'node:crypto';
import { createTransport } from 'nodemailer';
import { imapClient, type Person } from '../../../src/admin/demo/mail-clients.ts';

export interface Mail {
  readonly from: string;
  readonly to: readonly string[];
  readonly raw: Buffer;
}

let mails = 0;

/** A message of its own with the right header for its sender; `subject` names it. */
export function mail(from: string, to: readonly string[], subject: string, rest = TEXT_8BIT): Mail {
  mails += 1;
  const id = `<postfix.${process.pid}.${mails}@${from.replace(/^.*@/, '')}>`;
  const fields = [`From: ${from}`, `To: ${to.join(', ')}`, `Subject: ${subject}`, `Message-ID: ${id}`];
  const raw = `${fields.join('\r\n')}\r\nDate: Thu, 15 Jan 2026 12:00:00 +0000\r\nMIME-Version: 1.0\r\n${rest}`;
  return { from, to, raw: Buffer.from(raw) };
}

/** Lines that easily come out otherwise. */
export const TEXT_8BIT =
  'Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nGrüße, 日本  \r\n.\r\n..dots\r\nFrom here\t\r\n\r\n';

export function withFile(sizeBytes: number): string {
  const file = randomBytes(sizeBytes).toString('base64').replace(/.{76}/g, '$&\r\n');
  return `Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nSee.\r\n--b\r\nContent-Type: application/zip; name=f.zip\r\nContent-Transfer-Encoding: base64\r\n\r\n${file}\r\n--b--\r\n`;
}

/** Hands mail to a server without a login, all on one connection. */
export async function bring(port: number, all: readonly Mail[]): Promise<void> {
  const transport = createTransport({
    ...{ host: '127.0.0.1', port, pool: true, maxConnections: 1, maxMessages: Number.POSITIVE_INFINITY },
    tls: { rejectUnauthorized: false },
  });
  for (const { from, to, raw } of all) await transport.sendMail({ envelope: { from, to: [...to] }, raw });
  transport.close();
}

/** Hands mail in as its user. */
export async function submit(person: Person, all: readonly Mail[]): Promise<void> {
  const transport = createTransport({
    ...{ host: '127.0.0.1', port: person.site.ports.submissions, secure: true, pool: true, maxConnections: 1 },
    auth: { user: person.mailbox, pass: person.password },
    tls: { ca: person.site.ca, servername: 'localhost' },
  });
  for (const { to, raw } of all) await transport.sendMail({ envelope: { from: person.mailbox, to: [...to] }, raw });
  transport.close();
}

const WAIT_MS = 90_000;
const LOOK_AGAIN_MS = 300;

/** The inbox, once this many of its messages are wanted ones. */
export async function inboxWith(person: Person, count: number, wanted: (raw: Buffer) => boolean): Promise<Buffer[]> {
  const client = imapClient(person);
  await client.connect();
  try {
    for (const deadline = Date.now() + WAIT_MS; ; await new Promise((done) => setTimeout(done, LOOK_AGAIN_MS))) {
      const { exists } = await client.mailboxOpen('INBOX');
      const all = exists === 0 ? [] : await client.fetchAll('1:*', { source: true });
      const found = all.flatMap(({ source }) => (source !== undefined && wanted(source) ? [source] : []));
      if (found.length >= count || Date.now() > deadline) return found;
    }
  } finally {
    await client.logout();
  }
}

/** It ends with what was sent: servers only put fields on top. */
export const endsAs =
  ({ raw }: Mail) =>
  (source: Buffer): boolean =>
    source.subarray(-raw.length).equals(raw);

export const isAbout =
  (subject: string) =>
  (source: Buffer): boolean =>
    new RegExp(`^Subject: ${subject}\\r$`, 'm').test(source.toString('utf8'));

/** A report on mail that was not delivered, which says this. */
export const isReport =
  (words: RegExp) =>
  (source: Buffer): boolean => {
    const text = source.toString('utf8');
    return text.includes('multipart/report') && words.test(text);
  };

export const once = (name: string, found: readonly Buffer[]): string[] =>
  found.length === 1 ? [] : [`${name}: ${found.length} times`];
