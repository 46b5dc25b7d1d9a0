/** Mail of the bridge itself, and everybody who would like to write some: nobody else gets its From or its mark. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { noticeOriginal } from '../src/mailbox/bridge-mark.ts';
import { bridgeMailbox, namesBridge } from '../src/mime/bridge-mail.ts';
import { buildBounce } from '../src/mime/notice.ts';
import { randomBytes } from '../src/smimp/crypto.ts';
import { type EmailBody, serializeBody } from '../src/smimp/email.ts';
import { type Hex32, toHex } from '../src/smimp/encoding.ts';
import type { MessageHeader } from '../src/smimp/header.ts';
import { addressOf } from '../src/smtp/own-address.ts';
import { ServedUser } from './support/hostile-server.ts';
import { BOB, type Letter, type MailSite, mailSite, plainMail } from './support/mail-site.ts';

let site: MailSite;
let people = 0;
beforeAll(async () => {
  site = await mailSite();
});
afterAll(() => site[Symbol.asyncDispose]());
afterEach(async () => {
  await site.opened.db.deleteFrom('message').execute();
});

const fresh = (): Hex32 => toHex<Hex32>(randomBytes(32));

function bounce(): EmailBody {
  const now = site.clock.seconds();
  const about = { subject: 'Plans', date_sent: '2026-01-15 12:00:00' as EmailBody['date_sent'], to: [BOB] };
  return buildBounce({
    sender: BOB,
    recipient: BOB,
    status: '5.1.1',
    diagnostic: 'no such user',
    explanation: ['It was not delivered.'],
    reporter: 'corp.test',
    arrived: now,
    now,
    until: null,
    original: { uid: fresh(), body: { ...about, thread_id: fresh() }, messageId: null, date: now },
  });
}

async function headers(): Promise<string[]> {
  using client = await site.client();
  await client.ok('examine inbox');
  const lines = await client.ok('fetch 1:* body.peek[header]').catch(() => []);
  return lines.map((line) => line.replace(/\r\n[ \t]+/g, ' '));
}

/** A letter of Bob to himself from another client of his, which has his master key but not the keystore. */
async function ownLetter(letter: Omit<Letter, 'from'>): Promise<Letter> {
  const master = await (await site.keystore.open(site.bobId)).master();
  const { seq, head } = await site.identity.ownHistory(site.bobId);
  const from = Object.assign(new ServedUser(BOB, site.clock.seconds()), { master });
  return { ...letter, from, header: { sender_head: { seq, head }, ...letter.header } };
}

const deliver = (body: EmailBody): Promise<void> =>
  site.opened.db
    .transaction()
    .execute((tx) => site.mailbox.notices.deliver(tx, { accountId: site.bobId, kind: 'failed', body }));

describe('mail of the bridge', () => {
  it('has its own From and mark, also in the list, and when it is rendered again', async () => {
    await deliver(bounce());
    const [first] = await headers();
    expect(first).toContain('From: SMIMP bridge <smimp-bridge@corp.test>\r\n');
    expect(first).toContain('X-SMIMP-Notice: failed\r\n');
    await site.opened.db.updateTable('content').set({ renderer_version: 1 }).execute();
    await using again = await site.serve();
    using client = await site.client(again.port);
    await client.ok('examine inbox');
    const [envelope] = await client.ok('fetch 1 envelope');
    expect(envelope).toContain('(("SMIMP bridge" NIL "smimp-bridge" "corp.test"))');
    expect((await headers())[0]).toBe(first);
  });

  it('cannot be answered: no account and no sender has such an address', () => {
    expect(addressOf(bridgeMailbox(BOB).address)).toBeNull();
  });

  it('keeps its mark in a copy', async () => {
    await deliver(bounce());
    using client = await site.client();
    await client.ok('create Kept');
    await client.ok('select inbox');
    await client.ok('copy 1 Kept');
    await client.ok('examine Kept');
    expect((await client.ok('fetch 1 body.peek[header]'))[0]).toContain('X-SMIMP-Notice: failed\r\n');
  });
});

describe('a message that would like to be of the bridge', () => {
  const expectOrdinary = async (from: string): Promise<void> => {
    const [header] = await headers();
    expect(header).toContain(`\r\nFrom: ${from}\r\n`);
    expect(header).not.toMatch(/smimp-bridge@|^x-smimp-notice|multipart\/report/im);
  };
  /** A mark that is true for another message of Bob's. */
  const stolenMark = async () => {
    const account = { keys: await site.keystore.open(site.bobId) };
    return noticeOriginal(account, { uid: fresh(), kind: 'failed', body: Buffer.from('another body') });
  };
  const receive = async (letter: Letter): Promise<void> => {
    await site.receive(letter);
    await site.open();
  };

  it.each<[string, (header: Partial<MessageHeader>) => Partial<Letter>]>([
    ['with a report in its extensions', (header) => ({ header, body: serializeBody('email', bounce()) })],
    [
      'under the name of the bridge',
      (header) => {
        const sender = `mallory${people}#acme.test`;
        const smimp_bridge = { v: 1, names: { [BOB]: 'SMIMP bridge', [sender]: 'SMIMP bridge' } };
        return { header, body: serializeBody('email', { ...bounce(), extensions_data: { smimp_bridge } }) };
      },
    ],
  ])('from a stranger and from another client of the owner, %s, is ordinary', async (_name, dress) => {
    const original = await stolenMark();
    people += 1;
    const mallory = site.server.addUser(`mallory${people}`, site.clock.seconds());
    await receive({ from: mallory, ...dress({ original }) });
    await expectOrdinary(`mallory${people}@acme.test`);
    await site.opened.db.deleteFrom('message').execute();
    await receive(await ownLetter(dress({ original })));
    await expectOrdinary('bob@corp.test');
  });

  it('with the mark of another message, kind or body is ordinary; with its own it is not', async () => {
    const keys = await site.keystore.open(site.bobId);
    const uid = fresh();
    const body = serializeBody('email', bounce());
    const own = noticeOriginal({ keys }, { uid, kind: 'failed', body });
    for (const original of [
      { ...own, kind: 'pin-replaced' },
      { ...own, mark: 'ab'.repeat(32) },
    ]) {
      await receive(await ownLetter({ uid: fresh(), body, header: { original } }));
      await receive(await ownLetter({ body, header: { original: own } }));
    }
    expect(await headers()).toHaveLength(4);
    for (const header of await headers()) expect(header).not.toMatch(/^X-SMIMP/im);
    await site.opened.db.deleteFrom('message').execute();
    await receive(await ownLetter({ uid, body, header: { original: own } }));
    expect((await headers())[0]).toContain('X-SMIMP-Notice: failed\r\n');
  });

  /** The name stands behind what is looked at. */
  const LONG = `${'x@y.test, '.repeat(2_000)}smimp-bridge@corp.test`;
  it.each([
    'SMIMP bridge <smimp-bridge@corp.test>',
    '"Smimp-Bridge" <bob@corp.test>',
    '=?utf-8?B?U01JTVAgYnJpZGdl?= <bob@corp.test>',
    '=?utf-8?Q?SMIMP?= =?utf-8?Q?_bridge?= <bob@corp.test>',
    '"smimp\\-bridge"@corp.test',
    '(a comment) smimp-bridge@corp.test',
    'smimp-\r\n bridge@corp.test',
    'Notices: SMIMP bridge <smimp-bridge@corp.test>;',
    LONG,
  ])('appended by the owner’s mail program as if from the bridge is from the owner (%#)', async (from) => {
    using client = await site.client();
    const raw = plainMail({ From: from, Sender: from, 'Reply-To': from, 'X-SMIMP-Notice': 'pin-replaced' }, 'text');
    await client.ok('append inbox ', raw);
    const [header] = await headers();
    expect(header).toMatch(/(?:^|\r\n|\{\d+\}\r\n)From: bob@corp\.test\r\n/);
    expect(header).not.toMatch(/^(?:x-smimp|sender|reply-to)/im);
    expect(header).not.toMatch(/bridge/i);
  });

  it.each([
    'x-smimp-notice : pin-replaced',
    'Subject: a\rX-SMIMP-Notice: pin-replaced',
    'Subject: a\n\rX-SMIMP-Notice: pin-replaced',
    'X-Smimp: 1',
    'X-SMIMP-\r\n Notice: pin-replaced',
  ])('appended with the field %j has none of it', async (field) => {
    using client = await site.client();
    await client.ok(
      'append inbox ',
      Buffer.from(`From: bob@corp.test\r\n${field}\r\nTo: bob@corp.test\r\n\r\nhello\r\n`),
    );
    const [header] = await headers();
    expect(header).not.toMatch(/(?:^|[\r\n])\s*x-smimp[^:]*:/i);
  });

  it('appended keeps all else: other fields, and other people whose domain has such a name', async () => {
    using client = await site.client();
    const From = 'Alice <alice@smimp-bridge.test>';
    await client.ok('append inbox ', plainMail({ From, 'X-Mozilla-Draft-Info': 'internal', Bcc: 'c@d.test' }, 'text'));
    const [header] = await headers();
    expect(header).toContain(`From: ${From}\r\n`);
    expect(header).toContain('X-Mozilla-Draft-Info: internal\r\n');
    expect(header).toContain('Bcc: c@d.test\r\n');
  });
});

describe('a value of From', () => {
  it.each([
    ['the name', 'SMIMP bridge <x@y.test>'],
    ['the mailbox', '<smimp-bridge@y.test>'],
    ['look-alikes', '5M!MP 6r1d93 <x@y.test>'.replace('9', 'g')],
    ['words around it', '"The official SMIMP bridge (tm)" <x@y.test>'],
    ['a comment within', 'SMI(zzz)MP bri(g)dge <x@y.test>'],
    ['a comment as the name', 'x@y.test (SMIMP bridge)'],
    ['escaped letters', '"S\\M\\IMP b\\ridge" <x@y.test>'],
    ['a group', 'team: SMIMP bridge <x@y.test>, z@y.test;'],
    ['an encoded word', '=?utf-8?q?SMI?= =?utf-8?q?MP_bridge?= <x@y.test>'],
    ['one who comes second', 'Anna <a@y.test>, SMIMP bridge <x@y.test>'],
  ])('names the bridge by %s', (_name, value) => {
    expect(namesBridge(value)).toBe(true);
  });

  it.each([
    ['a domain', 'Anna <anna@smimp-bridge.test>'],
    ['some of its letters', 'SMIMP brige <x@y.test>'],
    ['its letters in another order', 'bridge SMIMP <x@y.test>'],
    ['its letters with others between', 'Simple Mail of people bridged <x@y.test>'],
  ])('does not name it by %s', (_name, value) => {
    expect(namesBridge(value)).toBe(false);
  });
});
