/** Ordinary mail programs, as libraries: nodemailer sends and imapflow reads, both over verified TLS. */
import { ImapFlow } from 'imapflow';
import { type ParsedMail, simpleParser } from 'mailparser';
import { createTransport, type SendMailOptions } from 'nodemailer';
import type { Site } from './sites.ts';

export interface Person {
  readonly site: Site;
  /** As a mail program knows it: `alice@acme.test`. */
  readonly mailbox: string;
  readonly password: string;
}

export interface ReadMail {
  uid: number;
  source: Buffer;
  mail: ParsedMail;
}

/** Waits at most this long for mail that is on its way. */
const ARRIVAL_TIMEOUT_MS = 120_000;

export async function send(person: Person, message: SendMailOptions): Promise<void> {
  const transport = createTransport({
    host: '127.0.0.1',
    port: person.site.ports.submissions,
    secure: true,
    auth: { user: person.mailbox, pass: person.password },
    tls: { ca: person.site.ca, servername: 'localhost' },
  });
  try {
    await transport.sendMail({ from: person.mailbox, ...message });
  } finally {
    transport.close();
  }
}

export function imapClient(person: Person): ImapFlow {
  return new ImapFlow({
    host: '127.0.0.1',
    port: person.site.ports.imaps,
    secure: true,
    auth: { user: person.mailbox, pass: person.password },
    tls: { ca: person.site.ca, servername: 'localhost' },
    logger: false,
  });
}

/** Everything in the inbox once it holds `count` messages; the client idles until then. */
export async function readInbox(person: Person, count: number): Promise<ReadMail[]> {
  const client = imapClient(person);
  await client.connect();
  const deadline = setTimeout(() => client.close(), ARRIVAL_TIMEOUT_MS);
  try {
    const mailbox = await client.mailboxOpen('INBOX');
    await messagesReach(client, mailbox.exists, count);
    const mails: ReadMail[] = [];
    for await (const { uid, source } of client.fetch('1:*', { uid: true, source: true })) {
      if (source !== undefined) mails.push({ uid, source, mail: await simpleParser(source) });
    }
    await client.logout();
    return mails;
  } finally {
    clearTimeout(deadline);
  }
}

async function messagesReach(client: ImapFlow, present: number, count: number): Promise<void> {
  if (present >= count) return;
  await new Promise<void>((resolve, reject) => {
    client.on('exists', (event) => {
      if (event.count >= count) resolve();
    });
    client.once('close', () => reject(new Error(`${count} messages did not arrive in time`)));
    client.idle().catch(reject);
  });
}
