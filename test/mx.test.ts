/**
 * Mail from outside, on the wire (SMIMP 0.1 §6): for whom it is taken in, who may have written it, what is refused with which
 * words, and that it is taken in once.
 */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { MAX_HEADER_BYTES } from '../src/mime/header-block.ts';
import type { AcceptLegacy } from '../src/pipeline/accept-legacy.ts';
import { returnPathOf } from '../src/pipeline/return-path.ts';
import { parseAddress } from '../src/smimp/address.ts';
import { MAX_MESSAGES, MAX_MX_ERRORS, MAX_RECEIVED_FIELDS, MAX_SIGNATURES } from '../src/smtp/limits.ts';
import { createAccount } from '../src/store/accounts.ts';
import { bringOn, LIMITS, letter, MX_HOST, type MxSite, mxSite, NOW } from './support/mx-site.ts';
import { SmtpDialogue } from './support/smtp-dialogue.ts';

let site: MxSite;
let port: number;
beforeAll(async () => {
  site = await mxSite();
  port = await site.open();
});
afterAll(() => site[Symbol.asyncDispose]());
afterEach(async () => {
  expect(site.log.filter((line) => line.includes('"unexpected"'))).toEqual([]);
  site.log.length = 0;
  site.recipients.clear();
  site.now = NOW;
  await site.taken();
});

const ACCEPTED = /^250 2\.6\.0 Queued as \d+$/;
const identities = async () => {
  const rows = await site.opened.db.selectFrom('account').select('address').orderBy('id').execute();
  return rows.map(({ address }) => address);
};

describe('the listener for mail from outside', () => {
  it('offers what servers expect, and no logins', async () => {
    using client = await site.connect(port);
    const hello = (await client.say('EHLO out.old.test')).split('\n').map((line) => line.slice(4));
    expect(hello.slice(1).sort()).toEqual(
      ['8BITMIME', 'ENHANCEDSTATUSCODES', 'PIPELINING', `SIZE ${LIMITS.messageBytes}`, 'SMTPUTF8', 'STARTTLS'].sort(),
    );
    expect(await client.say('AUTH PLAIN AGFsaWNlAHBhc3N3b3Jk')).toMatch(/^50\d /);
    expect(await client.say('STARTTLS')).toMatch(/^220 /);
    await client.upgrade();
    const secure = await client.say('EHLO out.old.test');
    expect(secure).not.toMatch(/STARTTLS|AUTH/);
    expect(await bringOn(client, { raw: letter() })).toMatch(ACCEPTED);
    expect(await client.say('QUIT')).toMatch(/^221 /);
  });

  it('takes pipelined commands', async () => {
    using client = await site.connect(port);
    client.send('EHLO x.test\r\nMAIL FROM:<a@old.test> BODY=8BITMIME SIZE=300\r\nRCPT TO:<bob@corp.test>\r\nDATA\r\n');
    for (const code of ['250', '250', '250', '354']) expect((await client.reply()).slice(0, 3)).toBe(code);
    client.send(`${letter()}.\r\nQUIT\r\n`);
    expect(await client.reply()).toMatch(ACCEPTED);
    expect(await client.reply()).toMatch(/^221 /);
  });
});

describe('a recipient', () => {
  it.each([
    ['another domain', 'bob@other.test'],
    ['the domain of the gateway', 'alicez40oldz2etest@gw.test'],
    ['a domain below', 'bob@sub.corp.test'],
    ['an address literal', 'bob@[127.0.0.1]'],
    ['a source route', '@corp.test:bob@other.test'],
    ['a route of two', '@corp.test,@acme.test:bob@other.test'],
    ['percent and a foreign domain', 'bob%corp.test@other.test'],
  ])('at %s is not relayed to', async (_what, mailbox) => {
    const reply = await site.bring(port, { to: [mailbox], raw: letter() });
    expect(reply).toBe('550 5.7.1 Relay access denied: no mail is taken in here for this domain');
    expect(await site.taken()).toEqual([]);
  });

  it.each([
    'bob%other.test@corp.test',
    'other.test!bob@corp.test',
    'bob+x@corp.test',
    'b.ob@corp.test',
    'bób@corp.test',
  ])('that cannot be an SMIMP address is no user: %s', async (mailbox) => {
    expect(await site.bring(port, { to: [mailbox], raw: letter() })).toMatch(/^550 5\.1\.1 .*there is no such user$/);
  });

  it.each(['"bob@other.test"@corp.test', '"bob"@corp.test@other.test', '<bob@corp.test>@other.test'])(
    'written in a quoted trick is refused: %s',
    async (mailbox) => {
      expect(await site.bring(port, { to: [mailbox], raw: letter() })).toMatch(/^50[01] /);
      expect(await site.taken()).toEqual([]);
    },
  );

  it('is refused when there is no such user, and waited for when its server cannot be asked', async () => {
    site.recipients.set('nobody#corp.test', 'unknown-user');
    site.recipients.set('away#corp.test', 'queued');
    site.recipients.set('odd#corp.test', 'invalid');
    site.recipients.set('plain#acme.test', 'no-smimp');
    const asked = (to: string) => site.bring(port, { to: [to], raw: letter() });
    expect(await asked('nobody@corp.test')).toBe('550 5.1.1 <nobody@corp.test>: there is no such user');
    expect(await asked('away@corp.test')).toMatch(/^451 4\.4\.1 .*cannot be reached now/);
    expect(await asked('odd@corp.test')).toMatch(/^451 4\.7\.0 .*does not verify/);
    expect(await asked('plain@acme.test')).toMatch(/^451 4\.3\.5 .*should speak SMIMP/);
    expect(site.log.filter((line) => line.includes('recipient_refused'))).toHaveLength(4);
    expect(site.log.join()).not.toContain('corp.test');
  });

  it('is found in any case, and postmaster without a domain is that of the first one', async () => {
    const to = ['BOB@Corp.TEST', 'bob@corp.test', 'Postmaster'];
    expect(await site.bring(port, { to, raw: letter() })).toMatch(ACCEPTED);
    const [taken] = await site.taken();
    expect(taken?.recipients).toEqual(['bob#corp.test', 'postmaster#corp.test']);
  });
});

describe('a message from outside', () => {
  it('becomes mail from the coded address of its author, with what was found out inside', async () => {
    expect(await site.bring(port, { raw: letter({ Cc: 'Carol <carol@old.test>, dave@acme.test' }) })).toMatch(ACCEPTED);
    const [taken] = await site.taken();
    expect(taken?.author).toBe('alicez40oldz2etest#gw.test');
    expect(taken?.recipients).toEqual(['bob#corp.test']);
    const { body, data } = taken ?? {};
    expect(body?.to).toEqual(['bob#corp.test']);
    expect(body?.cc).toEqual(['carolz40oldz2etest#gw.test', 'dave#acme.test']);
    expect(body?.extensions_data).toMatchObject({
      smimp_bridge: { names: { 'alicez40oldz2etest#gw.test': 'Alice', 'carolz40oldz2etest#gw.test': 'Carol' } },
    });
    expect(data).toEqual({
      v: 1,
      from: 'alice@old.test',
      authenticated: false,
      spf: { result: 'none', domain: 'old.test', identity: 'mailfrom' },
      dkim: [],
      dmarc: { result: 'none', domain: 'old.test', policy: null },
      arc: { result: 'none', domain: null },
    });
    const stored = await site.opened.db.selectFrom('submission').select('sealed').execute();
    expect(stored.map(({ sealed }) => String(sealed)).join()).not.toContain('Lunch');
  });

  it('carries a trace field of the gateway on top that names neither recipients nor users', async () => {
    let raw = '';
    const door = await site.open({
      acceptLegacy:
        (accept): AcceptLegacy =>
        (incoming) => {
          raw = incoming.raw.toString('latin1');
          return accept(incoming);
        },
    });
    const sent = letter();
    expect(await site.bring(door, { raw: sent })).toMatch(ACCEPTED);
    const trace = raw.slice(0, raw.length - sent.length);
    expect(trace).toMatch(
      /^Received: from out\.old\.test \(\[127\.0\.0\.1\]\)\r\n\tby mx\.gw\.test with ESMTP id \w+;\r\n\tThu, 15 Jan 2026 12:00:00 \+0000\r\n$/,
    );
    expect(raw.endsWith(sent)).toBe(true);
    using client = await site.connect(door);
    await client.say('EHLO evil(comment)\\');
    expect(await bringOn(client, { raw: letter() })).toMatch(ACCEPTED);
    expect(raw).toMatch(/^Received: from unknown \(\[127\.0\.0\.1\]\)\r\n/);
  });

  it('makes the identity of its author once, and none when it is refused', async () => {
    const before = await identities();
    const authors = ['one', 'two', 'one'].map((name) => `${name}${NOW.getTime()}@old.test`);
    await Promise.all(authors.map((From) => site.bring(port, { raw: letter({ From }) })));
    expect((await identities()).length - before.length).toBe(2);
    const refused = [
      { raw: letter({ From: 'three@old.test' }), to: ['bob@other.test'] },
      { raw: letter({ From: 'three@old.test, four@old.test' }) },
      { raw: letter({ From: 'three@old.test' }, 'x'.repeat(LIMITS.messageBytes)) },
    ];
    for (const mail of refused) expect(await site.bring(port, mail)).toMatch(/^55\d /);
    expect((await identities()).filter((address) => address.includes('three'))).toEqual([]);
  });

  it('leaves nothing behind, no identity either, when the transaction fails', async () => {
    const recipients = [parseAddress('bob#corp.test'), parseAddress('bob#corp.test')];
    const door = await site.open({ acceptLegacy: (accept) => (incoming) => accept({ ...incoming, recipients }) });
    const raw = letter({ From: 'never@old.test' });
    expect(await site.bring(door, { raw })).toBe('451 4.3.0 The message could not be stored, try again later');
    expect(site.log.filter((line) => line.includes('"unexpected"'))).toHaveLength(1);
    site.log.length = 0;
    expect(await identities()).not.toContain('neverz40oldz2etest#gw.test');
    expect(await site.taken()).toEqual([]);
  });

  it('is the same when the same bytes come again for the same people, with and without a Message-ID', async () => {
    for (const raw of [letter({ Subject: 'again' }), letter({ Subject: 'again', 'Message-ID': '' })]) {
      const first = await site.bring(port, { raw });
      site.now = new Date(site.now.getTime() + 3_600_000);
      expect(await site.bring(port, { raw })).toBe(first);
      expect(await site.taken()).toHaveLength(1);
      expect(await site.bring(port, { raw, to: ['carol@corp.test'] })).not.toBe(first);
      expect(await site.bring(port, { raw, from: 'list@old.test' })).not.toBe(first);
      expect(await site.taken()).toHaveLength(2);
    }
  });

  it('is recognised when its sender lost the reply and brings it at once again', async () => {
    const raw = letter();
    const replies = await Promise.all(Array.from({ length: 4 }, () => site.bring(port, { raw })));
    expect(new Set(replies).size).toBe(1);
    expect(await site.taken()).toHaveLength(1);
  });

  it('keeps where reports go, sealed, and takes none for the null reverse path', async () => {
    await site.bring(port, { from: 'Bounces+7@Lists.old.test', raw: letter() });
    await site.bring(port, { from: 'b@xn--bcher-kva.TEST', raw: letter() });
    await site.bring(port, { from: '', raw: letter({ From: 'MAILER-DAEMON@old.test (Mail Delivery System)' }) });
    const rows = await site.opened.db
      .selectFrom('submission')
      .select(['id', 'account_id'])
      .orderBy('id', 'desc')
      .limit(3)
      .execute();
    const paths = rows.map(async ({ id, account_id }) =>
      returnPathOf(site.opened.db, await site.keystore.open(account_id), id),
    );
    expect(await Promise.all(paths)).toEqual([null, 'b@xn--bcher-kva.test', 'Bounces+7@lists.old.test']);
    const [, , bounce] = await site.taken();
    expect(bounce?.author).toBe('mailerz2ddaemonz40oldz2etest#gw.test');
    const sealed = await site.opened.db.selectFrom('return_path').select('sealed').execute();
    expect(sealed.map((row) => String(row.sealed)).join()).not.toContain('Bounces');
  });

  it('finds the message that it answers by its uid, and by the Message-ID that it went under', async () => {
    const uid = 'ab'.repeat(32);
    await site.bring(port, { raw: letter({ 'In-Reply-To': `<${uid}@smimp.invalid>` }) });
    await site.bring(port, { raw: letter({ 'Message-ID': '<first@old.test>' }) });
    await site.bring(port, { raw: letter({ 'In-Reply-To': '<first@old.test>' }) });
    const [byUid, first, answer] = await site.taken();
    expect(byUid?.body.reply_to_message_id).toBe(uid);
    const row = site.opened.db.selectFrom('submission').select('uid').orderBy('id', 'desc').limit(2);
    expect(answer?.body.reply_to_message_id).toBe((await row.execute())[1]?.uid.toString('hex'));
    expect(answer?.body.thread_id).toBe(first?.body.thread_id);
  });

  it('with addresses in Unicode is carried', async () => {
    using client = await site.connect(port);
    await client.say('EHLO out.old.test');
    const raw = Buffer.from(letter({ From: 'Zoë <zoë@bücher.test>' }), 'utf8');
    client.send(Buffer.from('MAIL FROM:<zoë@bücher.test> SMTPUTF8\r\n', 'utf8'));
    expect(await client.reply()).toMatch(/^250 /);
    await client.say('RCPT TO:<bob@corp.test>');
    await client.say('DATA');
    client.send(raw);
    expect(await client.say('.')).toMatch(ACCEPTED);
    const [taken] = await site.taken();
    expect(taken?.data.from).toBe('zoë@xn--bcher-kva.test');
    // And byte for byte: what names her is believed.
    const row = site.opened.db.selectFrom('submission').select('original').orderBy('id', 'desc');
    expect((await row.executeTakeFirst())?.original).not.toBeNull();
  });
});

describe('the author of a message from outside', () => {
  const ONE = /^550 5\.6\.0 The message needs one From field with exactly one mailbox/;
  it.each([
    ['no From field', letter({ From: '' })],
    ['two From fields', `From: alice@old.test\r\n${letter()}`],
    ['two mailboxes', letter({ From: 'alice@old.test, eve@old.test' })],
    ['two mailboxes in two fields', `from: eve@evil.test\r\n${letter()}`],
    ['a group', letter({ From: 'Us: alice@old.test, eve@old.test;' })],
    ['an empty group', letter({ From: 'undisclosed:;' })],
    ['no domain', letter({ From: 'Alice <alice>' })],
    ['an address literal', letter({ From: 'alice@[127.0.0.1]' })],
    ['one label', letter({ From: 'root@localhost' })],
    ['the null mailbox', letter({ From: '<>' })],
    ['no header at all', 'just text\r\n'],
    ['a line of mbox', `From alice@old.test Thu Jan 15 12:00:00 2026\r\n${letter()}`],
  ])('is refused with %s', async (_what, raw) => {
    expect(await site.bring(port, { raw })).toMatch(ONE);
    expect(await site.taken()).toEqual([]);
  });

  it('is refused when its coding would be too long, whatever the domain', async () => {
    const From = `${'-'.repeat(64)}@${'b'.repeat(60)}.test`;
    expect(await site.bring(port, { raw: letter({ From }) })).toBe(
      '550 5.6.0 The address in the From field is too long to be carried',
    );
  });

  it('is never somebody at the gateway', async () => {
    expect(await site.bring(port, { raw: letter({ From: 'alicez40oldz2etest@gw.test' }) })).toMatch(
      /^550 5\.7\.1 Nobody sends mail from the domain of this gateway/,
    );
  });

  it('does not appear under an address that belongs to somebody else', async () => {
    const { db } = site.opened;
    const address = 'ownerz40oldz2etest#gw.test';
    await db.transaction().execute((tx) => createAccount(tx, { address, initializeHash: null, now: NOW }));
    const reply = await site.bring(port, { raw: letter({ From: 'owner@old.test' }) });
    expect(reply).toMatch(/^550 5\.7\.1 The address under which the author would appear here/);
  });

  it('may be written in any case and is one identity', async () => {
    for (const From of ['Fred@Old.Test', '"Fred" <fred@old.test>']) {
      expect(await site.bring(port, { raw: letter({ From }) })).toMatch(ACCEPTED);
    }
    const taken = await site.taken();
    expect(new Set(taken.map(({ author }) => author))).toEqual(new Set(['fredz40oldz2etest#gw.test']));
  });
});

describe('limits of mail from outside', () => {
  it('holds the size of a message, also when it is announced', async () => {
    const fits = letter({ Subject: '' }, 'x');
    const room = LIMITS.messageBytes - fits.length;
    const exact = `${fits.slice(0, -2)}${'x'.repeat(room)}\r\n`;
    expect(exact).toHaveLength(LIMITS.messageBytes);
    expect(await site.bring(port, { raw: exact })).toMatch(ACCEPTED);
    expect(await site.bring(port, { raw: exact.replace('xx', 'xxx') })).toMatch(/^552 5\.3\.4 /);
    using client = await site.connect(port);
    await client.say('EHLO x.test');
    expect(await client.say(`MAIL FROM:<a@old.test> SIZE=${LIMITS.messageBytes + 1}`)).toMatch(/^552 /);
    expect(await client.say(`MAIL FROM:<a@old.test> SIZE=${LIMITS.messageBytes}`)).toMatch(/^250 /);
  });

  it('takes so many recipients for one message', async () => {
    using client = await site.connect(port);
    await client.say('EHLO x.test');
    await client.say('MAIL FROM:<a@old.test>');
    for (let n = 0; n < LIMITS.recipients; n++) expect(await client.say(`RCPT TO:<r${n}@corp.test>`)).toMatch(/^250 /);
    expect(await client.say('RCPT TO:<more@corp.test>')).toMatch(/^452 4\.5\.3 /);
    expect(await client.say('DATA')).toMatch(/^354 /);
    client.send(letter());
    expect(await client.say('.')).toMatch(ACCEPTED);
    expect((await site.taken())[0]?.recipients).toHaveLength(LIMITS.recipients);
  });

  it('takes so many messages on one connection', async () => {
    using client = await site.connect(port);
    await client.say('EHLO x.test');
    for (let n = 0; n < MAX_MESSAGES; n++) {
      expect(await client.say('MAIL FROM:<a@old.test>'), `message ${n + 1}`).toMatch(/^250 /);
      await client.say('RSET');
    }
    expect(await client.say('MAIL FROM:<a@old.test>')).toMatch(/^421 4\.7\.0 Enough messages/);
    expect(await client.reply()).toBe('<closed>');
  });

  it('ends a connection that only makes mistakes', async () => {
    using client = await site.connect(port);
    await client.say('EHLO x.test');
    await client.say('MAIL FROM:<a@old.test>');
    for (let n = 0; n < MAX_MX_ERRORS; n++)
      expect(await client.say(`RCPT TO:<r${n}@other.test>`), `mistake ${n + 1}`).toMatch(/^550 5\.7\.1 /);
    expect(await client.say('RCPT TO:<r@other.test>')).toMatch(/^550 /);
    expect(await client.reply()).toBe('421 4.7.0 Too many errors');
    expect(await client.reply()).toBe('<closed>');
  });

  it('admits so many connections, and so many from one address', async () => {
    const few = await site.open({ limits: { ...LIMITS, connections: 3, connectionsPerAddress: 2 } });
    const clients = [await site.connect(few), await site.connect(few)];
    using third = await SmtpDialogue.open({ port: few, ca: '', implicitTls: false });
    expect(await third.reply()).toMatch(/^421 4\.7\.0 Too many connections from your address/);
    expect(await third.reply()).toBe('<closed>');
    clients[0]?.[Symbol.dispose]();
    for (const client of clients) client[Symbol.dispose]();
    const all = await site.open({ limits: { ...LIMITS, connections: 1 } });
    using one = await site.connect(all);
    using two = await SmtpDialogue.open({ port: all, ca: '', implicitTls: false });
    expect(await two.reply()).toMatch(/^421 /);
    expect(await one.say('NOOP')).toMatch(/^250 /);
  });

  it('ends a connection that is silent, and one that lasts too long', async () => {
    const impatient = await site.open({ idleTimeoutMs: 50 });
    using silent = await site.connect(impatient);
    expect(await silent.reply()).toMatch(/^421 4\.4\.2 /);
    const short = await site.open({ sessionMs: 50 });
    using slow = await site.connect(short);
    expect(await slow.reply()).toBe('421 4.4.2 This connection has lasted long enough, connect again');
    expect(await slow.reply()).toBe('<closed>');
  });

  it('takes so many authors that nobody knows in an hour, and those that are known besides', async () => {
    const door = await site.open({ newAuthorsPerHour: 2 });
    const by = (name: string) => site.bring(door, { raw: letter({ From: `${name}@new.test` }) });
    expect([await by('one'), await by('two')]).toEqual([
      expect.stringMatching(ACCEPTED),
      expect.stringMatching(ACCEPTED),
    ]);
    const three = letter({ From: 'three@new.test' });
    expect(await site.bring(door, { raw: three })).toBe(
      '451 4.7.1 Too many authors that nobody here knows came from this address, try again in an hour',
    );
    expect(site.log.filter((line) => line.includes('"legacy_mail_refused"'))).toEqual([
      expect.stringContaining('"code":"too-many"'),
    ]);
    expect(await identities()).not.toContain('threez40newz2etest#gw.test');
    expect(await by('one')).toMatch(ACCEPTED);
    site.now = new Date(NOW.getTime() + 3_600_000);
    expect(await site.bring(door, { raw: three })).toMatch(ACCEPTED);
    expect((await site.taken()).map(({ author }) => author)).toEqual(
      ['one', 'two', 'one', 'three'].map((name) => `${name}z40newz2etest#gw.test`),
    );
  });

  it('counts servers on the way, signatures, and the header', async () => {
    const hops = (n: number) => 'Received: from a.test by b.test; Thu, 15 Jan 2026 11:00:00 +0000\r\n'.repeat(n);
    const large = await site.open({ limits: { ...LIMITS, messageBytes: 2_000_000 } });
    expect(await site.bring(large, { raw: `${hops(MAX_RECEIVED_FIELDS)}${letter()}` })).toMatch(ACCEPTED);
    expect(await site.bring(large, { raw: `${hops(MAX_RECEIVED_FIELDS + 1)}${letter()}` })).toMatch(
      /^550 5\.4\.6 The message passed more than 100 servers/,
    );
    const marks = (n: number) => 'DKIM-Signature: v=1\r\n'.repeat(n);
    expect(await site.bring(large, { raw: `${marks(MAX_SIGNATURES)}${letter()}` })).toMatch(ACCEPTED);
    expect(await site.bring(large, { raw: `${marks(MAX_SIGNATURES + 1)}${letter()}` })).toMatch(
      /^550 5\.6\.0 .*signatures/,
    );
    const line = `X-Filler: ${'x'.repeat(988)}\r\n`;
    const rest = letter();
    const headerLength = rest.indexOf('\r\n\r\n') + 4;
    const filler = line.repeat(Math.floor((MAX_HEADER_BYTES - headerLength) / 1000));
    const last = `X: ${'y'.repeat(MAX_HEADER_BYTES - headerLength - filler.length - 5)}\r\n`;
    expect(await site.bring(large, { raw: `${filler}${last}${rest}` })).toMatch(ACCEPTED);
    expect(await site.bring(large, { raw: `${filler}y${last}${rest}` })).toMatch(/^550 5\.6\.0 The header/);
  });
});

describe('what is logged of mail from outside', () => {
  it('says neither whose it is nor what', async () => {
    site.log.length = 0;
    await site.bring(port, { raw: letter({ Subject: 'Very secret' }) });
    await site.bring(port, { raw: letter({ From: 'x@gw.test' }) });
    const text = site.log.join('\n');
    expect(text).toContain('legacy_mail_accepted');
    expect(text).toContain('"code":"gateway-author"');
    for (const word of ['alice', 'old.test', 'bob', 'secret', MX_HOST]) expect(text).not.toContain(word);
  });
});
