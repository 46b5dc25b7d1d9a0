/** The setting imap.originals: what others wrote in a mail program is shown as it was, or attached to what is made of the body. */
import { Buffer } from 'node:buffer';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { packOriginal } from '../src/mime/original/pack.ts';
import { toMailbox } from '../src/smimp/address.ts';
import { serializeBody } from '../src/smimp/email.ts';
import type { ServedUser } from './support/hostile-server.ts';
import { toEmail } from './support/mail.ts';
import { type MailSite, mailSite } from './support/mail-site.ts';

let site: MailSite;
let alice: ServedUser;
beforeAll(async () => {
  site = await mailSite();
  alice = site.server.addUser('alice', site.clock.seconds());
});
afterAll(() => site[Symbol.asyncDispose]());
afterEach(async () => {
  await site.opened.db.deleteFrom('message').execute();
});

const mailOf = (from: ServedUser): Buffer =>
  Buffer.from(
    `From: A Sender <${toMailbox(from.address)}>\r\nSubject: From a program\r\nX-Mailer: x\r\n` +
      'Content-Type: text/html\r\n\r\n<p>hello<img src="https://track.test/1.gif">\r\n',
  );

/** What arrives from Alice: an original, and a body beside it. */
async function receive(originals: 'show' | 'attach'): Promise<Buffer> {
  const raw = mailOf(alice);
  const body = { ...(await toEmail(raw)), subject: 'From the body' };
  const original = packOriginal({ raw, attachments: body.attachments });
  await site.receive({ from: alice, body: serializeBody('email', body), header: { original } });
  await site.open({ originals });
  return raw;
}

type Fetched = { size: number; bytes: string };

async function fetched(port?: number): Promise<Fetched[]> {
  using client = await site.client(port);
  await client.ok('examine inbox');
  const sizes = await client.ok('fetch 1:* rfc822.size');
  const bodies = await client.ok('fetch 1:* body.peek[]');
  return bodies.map((line, index) => ({
    size: Number(/SIZE (\d+)/.exec(sizes[index] ?? '')?.[1]),
    bytes: /\{\d+\}\r\n(.*)\)$/s.exec(line)?.[1] ?? '',
  }));
}

describe('imap.originals', () => {
  it('show: it stands below the trace as it was', async () => {
    const raw = await receive('show');
    const [message] = await fetched();
    expect(message?.bytes.endsWith(raw.toString('latin1'))).toBe(true);
  });

  it('attach: the message is made of the body, and the original hangs on it, without a warning', async () => {
    const raw = await receive('attach');
    const [{ bytes } = { bytes: '' }] = await fetched();
    const [shown = '', attached = ''] = bytes.split(/^Content-Type: message\/rfc822;\r\n name=original\.eml$/m);
    expect(shown).toMatch(/^Subject: From the body\r$/m);
    expect(shown).not.toContain('<img');
    expect(shown).not.toContain('Caution');
    expect(attached).toContain(raw.toString('latin1'));
  });

  it('is counted as attached', async () => {
    site.log.length = 0;
    await receive('attach');
    const opened = site.log.filter((line) => line.includes('"message_opened"'));
    expect(opened.map((line) => JSON.parse(line).original)).toEqual(['attached']);
  });

  it('leaves what its owner puts in as she put it in', async () => {
    const raw = mailOf(alice);
    using client = await site.client();
    await client.ok('append inbox ', raw);
    await site.open({ originals: 'attach' });
    expect((await fetched()).map(({ bytes }) => bytes)).toEqual([raw.toString('latin1')]);
  });

  it('changes nothing of what was received before: not when it is rendered again, and not in another process', async () => {
    await receive('attach');
    await receive('show');
    const before = await fetched();
    expect(before.map(({ bytes }) => bytes.includes('original.eml'))).toEqual([true, false]);
    expect(before.map(({ size }) => size)).toEqual(before.map(({ bytes }) => bytes.length));
    await site.opened.db.updateTable('content').set({ rendered: null }).execute();
    await using fresh = await site.anew();
    expect(await fetched(fresh.port)).toEqual(before);
  });

  it('changes nothing of what moves or is copied', async () => {
    await receive('attach');
    const before = await fetched();
    using client = await site.client();
    await client.ok('create kept');
    await client.ok('select inbox');
    await client.ok('copy 1 inbox');
    await client.ok('unselect');
    expect(await fetched()).toEqual([...before, ...before]);
  });
});
