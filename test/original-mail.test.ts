/** Mail byte for byte in a mailbox: what its owner puts in, and what others say that theirs looked like. */
import { Buffer } from 'node:buffer';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { packOriginal } from '../src/mime/original/pack.ts';
import { originalIsFrom } from '../src/mime/original/trust.ts';
import { toMailbox } from '../src/smimp/address.ts';
import { serializeBody } from '../src/smimp/email.ts';
import type { Hex32 } from '../src/smimp/encoding.ts';
import type { MessageHeader } from '../src/smimp/header.ts';
import type { ServedUser } from './support/hostile-server.ts';
import { toEmail } from './support/mail.ts';
import { type Letter, type MailSite, mailSite } from './support/mail-site.ts';
import { uglyMail } from './support/mime-trees.ts';

const MAIL = fileURLToPath(new URL('../fixtures/mail/', import.meta.url));
const fixtures = readdirSync(MAIL)
  .filter((name) => name.endsWith('.eml'))
  .map((name): [string, Buffer] => [name, readFileSync(`${MAIL}${name}`)]);

/** Many messages, on a machine that may be busy. */
const PATIENT = { timeout: 240_000 };

type Changes = { original?: object; header?: Partial<MessageHeader> };

let site: MailSite;
let people = 0;
beforeAll(async () => {
  site = await mailSite();
});
afterAll(() => site[Symbol.asyncDispose]());
afterEach(async () => {
  await site.opened.db.deleteFrom('message').execute();
});

const bytesIn = (line: string | undefined): Buffer =>
  Buffer.from(/\{\d+\}\r\n(.*)\)$/s.exec(line ?? '')?.[1] ?? '', 'latin1');

describe('mail that its owner puts in', () => {
  it('is the same when it is rendered again from what is sealed', async () => {
    const raw = readFileSync(`${MAIL}nested.eml`);
    using client = await site.client();
    await client.ok('append inbox ', raw);
    await site.opened.db.updateTable('content').set({ renderer_version: 1 }).execute();
    await using again = await site.serve();
    using other = await site.client(again.port);
    await other.ok('examine inbox');
    expect(bytesIn((await other.ok('fetch 1 body.peek[]'))[0]).equals(raw)).toBe(true);
  });

  it('is what she put in, however ugly it is', async () => {
    const mailbox = await site.mailbox.open(site.bobId);
    const [folder] = await mailbox.folders.list();
    if (folder === undefined) throw new Error('no folder');
    const mails = fc
      .sample(uglyMail, { seed: 20_240_203, numRuns: 100 })
      .map((raw) => ({ raw, flags: [], internalDate: null }));
    const [first, ...more] = mails;
    if (first === undefined) throw new Error('no mail');
    const { uids } = await mailbox.append({ folder, ...first, more });
    const view = await mailbox.view(folder);
    for (const [index, { raw }] of mails.entries()) {
      const message = view.opened.find(({ uid }) => uid === uids[index]);
      expect(message && (await view.raw(message))?.equals(raw), String(index)).toBe(true);
    }
  });

  it('keeps Bcc, the sender of others and the date she gave, and a body for other clients', async () => {
    const raw = Buffer.from('From: carol@elsewhere.test\r\nBcc: dave@elsewhere.test\r\nSubject: Old\r\n\r\nhello\r\n');
    using client = await site.client();
    await client.ok('append inbox "14-Jan-2020 08:30:00 +0530" ', raw);
    await client.ok('examine inbox');
    expect((await client.ok('fetch 1 internaldate'))[0]).toContain('14-Jan-2020 08:30:00 +0530');
    const [{ messageId } = { messageId: Buffer.alloc(0) }] = await site.mailbox.inspection.list({
      ...{ accountId: site.bobId, folder: null, limit: 1 },
    });
    const shown = await site.mailbox.inspection.show({ accountId: site.bobId, messageId });
    expect(shown?.opened?.content.value).toMatchObject({ subject: 'Old', body: 'hello' });
  });
});

describe('mail that others send', () => {
  const someone = (): ServedUser => {
    people += 1;
    return site.server.addUser(`sender${people}`, site.clock.seconds());
  };
  const mailOf = (from: ServedUser, fields = '', text = 'Signed, and so to the byte.'): Buffer =>
    Buffer.from(
      `From: A Sender <${toMailbox(from.address)}>\r\nTo: bob@corp.test\r\nSubject: From a program\r\n${fields}\r\n${text}\r\n`,
    );

  /** A letter whose original is `raw`, its body made of something else. */
  async function letterOf(raw: Buffer, changes: Changes = {}): Promise<Omit<Letter, 'from'>> {
    const body = { ...(await toEmail(raw)), subject: 'From the body', body: 'native text' };
    const original = { ...packOriginal({ raw, attachments: body.attachments }), ...changes.original };
    return { body: serializeBody('email', body), header: { original, ...changes.header } };
  }
  async function receive(from: ServedUser, raw: Buffer, changes?: Changes): Promise<Buffer> {
    await site.receive({ from, ...(await letterOf(raw, changes)) });
    await site.open();
    using client = await site.client();
    await client.ok('examine inbox');
    return bytesIn((await client.ok('fetch 1 body.peek[]'))[0]);
  }
  const endsWith = (bytes: Buffer, raw: Buffer): boolean => bytes.subarray(-raw.length).equals(raw);

  it('is shown as their program wrote it, below trace fields only: every mail of the corpus', PATIENT, async () => {
    const alice = someone();
    const sender = toMailbox(alice.address);
    const sent = fixtures
      .map(([name, raw]): [string, Buffer] => [
        name,
        Buffer.from(raw.toString('latin1').replace(/^From:.*$/im, `From: ${sender}`), 'latin1'),
      ])
      .filter(([, raw]) => originalIsFrom(raw, sender) && !raw.includes(0));
    expect(sent.length).toBeGreaterThan(0.8 * fixtures.length);
    for (const [, raw] of sent) await site.receive({ from: alice, ...(await letterOf(raw)) });
    await site.open();
    using client = await site.client();
    await client.ok('examine inbox');
    const shown = (await client.ok('fetch 1:* body.peek[]')).map(bytesIn);
    expect(shown.length).toBe(sent.length);
    for (const [name, raw] of sent) {
      const bytes = shown.find((one) => endsWith(one, raw));
      expect(bytes, name).toBeDefined();
      const above = bytes?.subarray(0, -raw.length).toString('latin1');
      expect(above, name).toMatch(/^(?:[A-Za-z-]+: .*\r\n(?:[ \t].*\r\n)*)*$/);
      expect(above).not.toMatch(/^(?:from|sender|to|cc|date|subject|message-id|content-.*|mime-version):/im);
    }
  });

  it.each<[string, (mallory: ServedUser) => Buffer]>([
    ['somebody else', () => Buffer.from('From: ceo@corp.test\r\nSubject: Pay\r\n\r\nnow\r\n')],
    ['two people', (m) => mailOf(m, 'From: ceo@corp.test\r\n')],
    ['nobody', () => Buffer.from('Subject: Pay\r\n\r\nnow\r\n')],
    ['the bridge', (m) => Buffer.from(`From: SMIMP bridge <${toMailbox(m.address)}>\r\n\r\nnow\r\n`)],
  ])('that says it is from %s is attached to what their body says', async (_name, write) => {
    const mallory = someone();
    const raw = write(mallory);
    const bytes = await receive(mallory, raw);
    const text = bytes.toString('latin1');
    expect(text).toContain(`\r\nFrom: ${toMailbox(mallory.address)}\r\n`);
    expect(text).toContain('Subject: From the body');
    expect(text).toContain('It is attached as it came.');
    expect(text).toMatch(/Content-Type: message\/rfc822;\r\n name=original\.eml/);
    expect(text).toContain(raw.toString('latin1'));
  });

  it.each<[string, object]>([
    ['of another format', { format: 'another/1' }],
    ['without form', { references: 'none' }],
    ['with another hash', { hash: 'ab'.repeat(32) }],
    ['of another size', { size: 3 }],
    ['that refers to nothing', { references: [{ at: 0, attachment: 7, encoding: 'identity' }] }],
    ['that is garbage', { skeleton: 'AAAA' }],
  ])('with an original %s is rendered from the body', async (_name, original) => {
    const bytes = await receive(someone(), Buffer.from('From: x\r\n\r\n'), { original });
    expect(bytes.toString('latin1')).toContain('Subject: From the body');
    expect(bytes.toString('latin1')).not.toContain('original.eml');
  });

  it('is counted by what became of it', async () => {
    site.log.length = 0;
    const alice = someone();
    await receive(alice, mailOf(alice));
    await receive(alice, Buffer.from('From: ceo@corp.test\r\n\r\n'));
    await receive(alice, mailOf(alice), { original: { hash: 'ab'.repeat(32) } });
    await site.receive({ from: alice });
    await site.open();
    const opened = site.log
      .filter((line) => line.includes('"message_opened"'))
      .map((line) => JSON.parse(line).original);
    expect(opened).toEqual(['shown', 'attached', 'hash', 'none']);
  });

  it('with a caution shows the caution', async () => {
    const alice = someone();
    const recipient_head = { seq: 0, head: 'ef'.repeat(32) as Hex32 };
    const bytes = await receive(alice, mailOf(alice), { header: { recipient_head } });
    expect(bytes.toString('latin1')).toContain('keys of yours that you never published');
    expect(bytes.toString('latin1')).toContain('original.eml');
    expect(bytes.toString('latin1')).not.toContain('does not say that it is from its sender');
  });

  it('loses fields that only the bridge writes, and nothing else', async () => {
    const alice = someone();
    const kept = 'X-Mailer: x\r\nReceived: from a\r\n by b\r\n';
    const forged = 'x-smimp-notice : pin-replaced\r\nX-SMIMP-Verified:\r\n yes\r\nReply-To: smimp-bridge@corp.test\r\n';
    const bytes = await receive(alice, mailOf(alice, `${kept}${forged}`, 'a\nb\rc'));
    expect(endsWith(bytes, mailOf(alice, kept, 'a\nb\rc'))).toBe(true);
  });

  it('cannot say when it came', async () => {
    const alice = someone();
    await receive(alice, mailOf(alice), { original: { internal_date: { unix_seconds: 0, zone_minutes: 0 } } });
    using client = await site.client();
    await client.ok('examine inbox');
    expect((await client.ok('fetch 1 internaldate'))[0]).not.toContain('1970');
  });
});
