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
import { besideFile, corpus, largeMails } from './support/mail-corpus.ts';
import { mailSite } from './support/mail-site.ts';
import { SmtpDialogue } from './support/smtp-dialogue.ts';

const ALICE = parseAddress('alice#acme.test');
/** A message of no bytes takes an APPEND back. */
const SMALL = corpus().filter(({ raw }) => raw.length > 0);
const LARGE = largeMails();
const BATCH = 40;
/** The block of fields that stands above: fields, and none that says what a message is. */
const TRACE =
  /^(?:(?!from:|sender:|to:|cc:|date:|subject:|message-id:|content-|mime-version:)[A-Za-z-]+: .*\r\n(?:[ \t].*\r\n)*)+$/i;
/**
 * Of the small ones every so manieth goes from bridge to bridge, and all whose meaning hangs on their bytes; with `npm run corpus`
 * all do. Each is sealed, minted and delivered, which takes its time.
 */
const STRIDE = process.env.SMIMP_TEST_CORPUS === 'whole' ? 1 : 12;
const DELICATE =
  /^(?:calendar-outlook|patch-plain|patch-qp|pgp-signed|pgp-enc|smime-|report-dsn|parts-rfc822|broken-long|address-from-two)/;
/** Connections on which mail is handed in at once. */
const AT_ONCE = 4;
/** Many messages, on a machine that may be busy. */
const PATIENCE_MS = 600_000;

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
  /** As a mail program sends it: lines end with CRLF, as in all SMTP (RFC 5321 §2.3.8), in which NUL has no place (RFC 5321 §4.5.2). */
  const wireForm = (raw: Buffer): Buffer => {
    const text = raw.toString('latin1').replace(/\r\n|\r|\n/g, '\r\n');
    return Buffer.from(text.endsWith('\r\n') ? text : `${text}\r\n`, 'latin1');
  };
  const given = [...corpus().filter(({ name }, at) => at % STRIDE === 0 || DELICATE.test(name)), ...LARGE]
    .filter(({ raw }) => !raw.includes(0))
    .map(({ name, raw }) => ({ name, raw: wireForm(raw) }));
  /** Nobody sends in the name of others. */
  const carried = given.filter(({ raw }) => isFromOwn(raw, ALICE));

  test('every message arrives byte for byte, after a block of fields on top', { timeout: PATIENCE_MS }, async () => {
    await using pair = await startBridgePair({ quiet: true });
    const [alice, bob] = await Promise.all([pair.acme.addAccount('alice'), pair.corp.addAccount('bob')]);
    const waiting = [...given];
    const refused: string[] = [];
    const handIn = async (): Promise<void> => {
      using smtp = await SmtpDialogue.open({
        port: alice.site.ports.submissions,
        ca: alice.site.ca,
        implicitTls: true,
      });
      await logIn(smtp, alice);
      for (let mail = waiting.pop(); mail !== undefined; mail = waiting.pop()) {
        smtp.send(`MAIL FROM:<${alice.mailbox}> BODY=8BITMIME\r\nRCPT TO:<${bob.mailbox}>\r\nDATA\r\n`);
        for (let commands = 0; commands < 3; commands += 1) await smtp.reply();
        smtp.send(`${mail.raw.toString('latin1').replace(/^\./gm, '..')}.\r\n`);
        if (!(await smtp.reply()).startsWith('250')) refused.push(mail.name);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, handIn));
    const foreign = given.filter((mail) => !carried.includes(mail)).map(({ name }) => name);
    expect(refused.sort()).toEqual(foreign.sort());
    expect(foreign).toContain('address-from-two');
    const shown = await everyMessage(bob, carried.length);
    // Who gets a blind copy is told to nobody. What does not say plainly whom it is from is shown from its parts (docs/original.md).
    const plain = carried.filter(({ raw }) => originalIsFrom(raw, alice.mailbox));
    expect(shown).toHaveLength(carried.length);
    expect(plain.length).toBeGreaterThan(0.97 * carried.length);
    const lost = plain.filter(({ raw }) => {
      const sent = hideBcc(Buffer.from(raw)).visible.toString('latin1');
      return !shown.some((mail) => mail.endsWith(sent) && TRACE.test(mail.slice(0, -sent.length)));
    });
    process.stdout.write(`${plain.length} messages of the corpus over two bridges: ${lost.length} not identical\n`);
    expect(lost.map(({ name }) => name)).toEqual([]);
  });
});

/** All but what the attachments are decoded to, which the wire carries in base64. */
function besideContent(body: EmailBody, original: unknown): number {
  const bare = { ...body, attachments: body.attachments.map((file) => ({ ...file, content: '' as Base64 })) };
  return serializeBody('email', bare).length + Buffer.byteLength(JSON.stringify(original));
}

/** How many times its content everything is that travels; `text`: bytes that are content besides the attachments. */
async function timesContent(raw: Buffer, text = 0): Promise<number> {
  const body = await toEmail(raw);
  const original = packOriginal({ raw, attachments: body.attachments });
  const files = body.attachments.reduce((sum, file) => sum + Buffer.from(file.content, 'base64').length, 0);
  expect(files).toBeGreaterThan(100_000);
  expect(original).not.toBeNull();
  return (files + besideContent(body, original)) / (files + text);
}

test.each(LARGE.map(({ name, raw }) => [name, raw] as const))(
  '%s travels in at most 1.08 of its content',
  async (_name, raw) => {
    expect(await timesContent(raw)).toBeLessThan(1.08);
  },
);

test('a file beside the text of any mail of the corpus does, too', { timeout: PATIENCE_MS }, async () => {
  const measured: { name: string; times: number }[] = [];
  for (const { name, raw } of corpus()) measured.push({ name, times: await timesContent(besideFile(raw), raw.length) });
  measured.sort((a, b) => a.times - b.times);
  const [median, most] = [measured[Math.floor(measured.length / 2)], measured.at(-1)];
  process.stdout.write(
    `size of ${measured.length} messages of the corpus, each with a file of 100 KB, in times of their content: ` +
      `median ${median?.times.toFixed(3)}, most ${most?.times.toFixed(3)} (${most?.name})\n`,
  );
  expect(measured.filter(({ times }) => times >= 1.08)).toEqual([]);
});

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
