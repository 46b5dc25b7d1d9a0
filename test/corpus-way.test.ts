/** The corpus on its way: put in by IMAP, and sent from one bridge to another. What comes out is what went in, byte for byte. */
import { Buffer } from 'node:buffer';
import { describe, expect, test } from 'vitest';
import type { Person } from '../src/admin/demo/mail-clients.ts';
import { hideBcc } from '../src/mime/original/bcc.ts';
import { packOriginal } from '../src/mime/original/pack.ts';
import { originalIsFrom } from '../src/mime/original/trust.ts';
import { parseAddress } from '../src/smimp/address.ts';
import { type EmailBody, serializeBody } from '../src/smimp/email.ts';
import type { Base64 } from '../src/smimp/encoding.ts';
import { isFromOwn } from '../src/smtp/own-address.ts';
import { startBridgePair } from './support/bridge-pair.ts';
import { ImapClient } from './support/imap-client.ts';
import { toEmail } from './support/mail.ts';
import { corpus, largeMails } from './support/mail-corpus.ts';
import { mailSite } from './support/mail-site.ts';
import { SmtpDialogue } from './support/smtp-dialogue.ts';

const ALICE = parseAddress('alice#acme.test');
/** A message of no bytes takes an APPEND back. */
const SMALL = corpus().filter(({ raw }) => raw.length > 0);
const LARGE = largeMails();
const BATCH = 40;
/** Of the small ones every so manieth goes from bridge to bridge: each is sealed, minted and delivered, which takes its time. */
const STRIDE = 16;
/** Many messages, on a machine that may be busy. */
const PATIENCE_MS = 180_000;
/** All of these do: mail whose meaning hangs on its bytes. */
const DELICATE =
  /^(?:calendar-outlook|patch-plain|patch-qp|pgp-signed|pgp-enc|smime-|report-dsn|parts-rfc822|broken-long)/;

const batches = <T>(all: readonly T[]): T[][] =>
  Array.from({ length: Math.ceil(all.length / BATCH) }, (_, n) => all.slice(n * BATCH, (n + 1) * BATCH));

test('put in by APPEND, every message is fetched as it was', { timeout: PATIENCE_MS }, async () => {
  await using site = await mailSite();
  using client = await site.client();
  // IMAP has no NULs but in BINARY, and those are taken out (RFC 3516 §4.4).
  const small = SMALL.filter(({ raw }) => !raw.includes(0));
  const mails = [...small, ...LARGE];
  for (const batch of [...batches(small), ...LARGE.map((mail) => [mail])])
    await client.okText('append Drafts', ...batch.flatMap(({ raw }) => [' ', raw]));
  await client.ok('select Drafts');
  const lines = await client.ok('fetch 1:* (rfc822.size body.peek[])');
  expect(lines).toHaveLength(mails.length);
  const wrong = mails.filter(({ raw }, at) => {
    const line = lines[at] ?? '';
    return literalOf(line) !== raw.toString('latin1') || !line.includes(`RFC822.SIZE ${raw.length} `);
  });
  expect(wrong.map(({ name }) => name)).toEqual([]);
});

function literalOf(line: string): string {
  const mark = /\{(\d+)\}\r\n/.exec(line);
  const start = (mark?.index ?? 0) + (mark?.[0].length ?? 0);
  return line.slice(start, start + Number(mark?.[1]));
}

describe('sent from one bridge to another', () => {
  /** As SMTP carries it: lines of a message end with CRLF, and NUL has no place (RFC 5321 §4.5.2). */
  const small = SMALL.filter(({ name }, at) => at % STRIDE === 0 || DELICATE.test(name));
  const carried = [...small, ...LARGE].filter(
    ({ raw }) => isFromOwn(raw, ALICE) && !raw.includes(0) && !/[^\r]\n|\r(?!\n)|^\n/.test(raw.toString('latin1')),
  );
  const wireForm = (raw: Buffer): string => {
    const text = raw.toString('latin1');
    return text.endsWith('\r\n') ? text : `${text}\r\n`;
  };

  test('every message arrives byte for byte, after a block of fields on top', { timeout: PATIENCE_MS }, async () => {
    await using pair = await startBridgePair();
    const [alice, bob] = await Promise.all([pair.acme.addAccount('alice'), pair.corp.addAccount('bob')]);
    const { submissions: port } = alice.site.ports;
    using smtp = await SmtpDialogue.open({ port, ca: alice.site.ca, implicitTls: true });
    await logIn(smtp, alice);
    const refused: string[] = [];
    for (const { name, raw } of carried) {
      smtp.send(`MAIL FROM:<${alice.mailbox}> BODY=8BITMIME\r\nRCPT TO:<${bob.mailbox}>\r\nDATA\r\n`);
      const replies = [await smtp.reply(), await smtp.reply(), await smtp.reply()];
      smtp.send(`${wireForm(raw).replace(/^\./gm, '..')}.\r\n`);
      const reply = await smtp.reply();
      if (!reply.startsWith('250')) refused.push(`${name}: ${replies.join(' ')} ${reply}`);
    }
    expect(refused).toEqual([]);
    const shown = await everyMessage(bob, carried.length);
    // Who gets a blind copy is told to nobody. What does not say plainly whom it is from is shown from its parts (docs/original.md).
    const plain = carried.filter(({ raw }) => originalIsFrom(raw, alice.mailbox));
    expect(shown).toHaveLength(carried.length);
    expect(plain.length).toBeGreaterThan(0.9 * carried.length);
    const lost = plain.filter(
      ({ raw }) => !shown.some((mail) => mail.endsWith(wireForm(hideBcc(Buffer.from(raw)).visible))),
    );
    expect(lost.map(({ name }) => name)).toEqual([]);
  });
});

/** All but what the attachments are decoded to, which the wire carries in base64. */
function besideContent(body: EmailBody, original: unknown): number {
  const bare = { ...body, attachments: body.attachments.map((file) => ({ ...file, content: '' as Base64 })) };
  return serializeBody('email', bare).length + Buffer.byteLength(JSON.stringify(original));
}

test.each(LARGE.map(({ name, raw }) => [name, raw] as const))(
  '%s travels in at most 1.08 of its content',
  async (_name, raw) => {
    const body = await toEmail(raw);
    const original = packOriginal({ raw, attachments: body.attachments });
    const content = body.attachments.reduce((sum, file) => sum + Buffer.from(file.content, 'base64').length, 0);
    expect(content).toBeGreaterThan(100_000);
    expect(original).not.toBeNull();
    expect((content + besideContent(body, original)) / content).toBeLessThan(1.08);
  },
);

async function logIn(smtp: SmtpDialogue, { mailbox, password }: Person): Promise<void> {
  await smtp.reply();
  await smtp.say('EHLO client.test');
  const reply = await smtp.say(`AUTH PLAIN ${Buffer.from(`\0${mailbox}\0${password}`).toString('base64')}`);
  expect(reply).toMatch(/^235/);
}

/** In the inbox, once there are so many. */
async function everyMessage({ site, mailbox, password }: Person, count: number): Promise<string[]> {
  using client = await ImapClient.open({ port: site.ports.imaps, ca: site.ca });
  await client.ok(`login ${mailbox} "${password}"`);
  let present = Number(/(\d+) EXISTS/.exec((await client.ok('select INBOX')).join('\n'))?.[1]);
  client.send('idle IDLE\r\n');
  while (present < count) present = Number(/^\* (\d+) EXISTS/.exec(await client.line())?.[1] ?? present);
  client.send('DONE\r\n');
  while (!(await client.line()).startsWith('idle OK'));
  return (await client.ok('fetch 1:* body.peek[]')).map(literalOf);
}
