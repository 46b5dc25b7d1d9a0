/** Trust as every mail program sees it: keywords that follow the contact, and fields that say what was so at receipt. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { HISTORY_FRESH_MS } from '../src/identity/histories.ts';
import { sealExtensions } from '../src/mailbox/flags.ts';
import { openMailAccount } from '../src/mailbox/mail-account.ts';
import { packOriginal } from '../src/mime/original/pack.ts';
import { type Trace, traceBlock, withTrace } from '../src/mime/trace.ts';
import { parseAddress } from '../src/smimp/address.ts';
import type { Hex32 } from '../src/smimp/encoding.ts';
import { fingerprintOf } from '../src/smimp/fingerprint.ts';
import { advanceMailbox } from '../src/store/accounts.ts';
import type { ServedUser } from './support/hostile-server.ts';
import type { ImapClient } from './support/imap-client.ts';
import { BOB, type MailSite, mailSite, plainMail } from './support/mail-site.ts';

let site: MailSite;
let alice: ServedUser;
let client: ImapClient;
beforeEach(async () => {
  site = await mailSite();
  alice = site.server.addUser('alice', site.clock.seconds());
  client = await site.client();
});
afterEach(async () => {
  client[Symbol.dispose]();
  await site[Symbol.asyncDispose]();
});

async function receive(letter: Partial<Parameters<MailSite['receive']>[0]> = {}): Promise<Buffer> {
  const id = await site.receive({ from: alice, ...letter });
  await site.open();
  return id;
}
const fingerprint = (user = alice) => fingerprintOf(user.address, user.records[0]?.signed_hash as never);
const verify = () =>
  site.identity.verify({ accountId: site.bobId, contact: alice.address, fingerprint: fingerprint() });
async function flags(number = 1): Promise<string[]> {
  const [line = ''] = await client.ok(`fetch ${number} (flags)`);
  return (/FLAGS \(([^)]*)\)/.exec(line)?.[1] ?? '').split(' ').filter((flag) => !['', '\\Recent'].includes(flag));
}
/** Later than any look at a history is kept. */
const later = (): void => site.clock.advance(HISTORY_FRESH_MS);

describe('keywords', () => {
  it('say that a contact is not verified, then that it is: sessions are told with a MODSEQ, without being asked', async () => {
    await receive();
    await client.ok('enable condstore');
    const lines = await client.ok('select INBOX');
    expect(lines[0]).toContain('$SmimpVerified $SmimpUnverified $SmimpKeyChanged $SmimpRetiredKey $ViaLegacy');
    expect(lines.find((line) => line.includes('PERMANENTFLAGS'))).not.toMatch(/Smimp|ViaLegacy/);
    expect(await flags()).toEqual(['$SmimpUnverified']);
    const [, before] = /MODSEQ \((\d+)\)/.exec((await client.ok('fetch 1 (modseq)'))[0] ?? '') ?? [];
    client.send('x idle\r\n');
    expect(await client.line()).toMatch(/^\+ /);
    await verify();
    const told = await client.line();
    expect(told).toContain('FLAGS ($SmimpVerified');
    expect(Number(/MODSEQ \((\d+)\)/.exec(told)?.[1])).toBeGreaterThan(Number(before));
    client.send('done\r\n');
    await client.finish('x');
    expect(await client.search('keyword $SmimpVerified')).toEqual([1]);
    expect(await client.search('keyword $smimpverified')).toEqual([1]);
    expect(await client.search('unkeyword $SmimpUnverified')).toEqual([1]);
    expect(await client.search('keyword $SmimpUnverified')).toEqual([]);
    // Whoever was away is told as well.
    using later = await site.client();
    await later.ok('enable qresync');
    const [line] = (await later.ok(`select INBOX (qresync (${await validity()} ${before}))`)).filter((one) =>
      /FETCH/.test(one),
    );
    expect(line).toContain('$SmimpVerified');
  });
  async function validity(): Promise<string> {
    const [line = ''] = await client.ok('status INBOX (uidvalidity)');
    return /UIDVALIDITY (\d+)/.exec(line)?.[1] ?? '';
  }

  it('of a contact that has a new key say so until the fingerprint is compared again', async () => {
    await receive();
    await verify();
    later();
    alice.change({ now: site.clock.seconds(), rotate: true });
    await receive({ subject: 'with the new key' });
    await client.ok('select INBOX');
    expect(await flags(1)).toEqual(['$SmimpVerified']);
    // The fingerprint is still the same, so she is still verified: but look.
    expect(await flags(2)).toEqual(['$SmimpVerified', '$SmimpKeyChanged']);
    later();
    await verify();
    await client.ok('noop');
    expect(await flags(2)).toEqual(['$SmimpVerified']);
    expect(await client.search('keyword $SmimpKeyChanged')).toEqual([]);
  });

  it('of a contact whose identity was replaced do not say any longer that it is verified', async () => {
    await receive();
    await verify();
    await client.ok('select INBOX');
    expect(await flags()).toEqual(['$SmimpVerified']);
    later();
    const other = site.server.addUser('alice', site.clock.seconds());
    expect((await site.identity.resolve({ accountId: site.bobId, contact: other.address })).state).toBe('REPLACED');
    expect(await client.ok('noop')).toEqual([expect.stringContaining('FLAGS ($SmimpUnverified')]);
  });

  it('say that the old internet was on the way, and stay with copies and moves', async () => {
    await receive({ header: { via: 'smtp_bridge' } });
    await client.ok('select INBOX');
    expect(await flags()).toEqual(['$SmimpUnverified', '$ViaLegacy']);
    await client.ok('store 1 +flags (\\Flagged work)');
    await client.ok('copy 1 Archive');
    await client.ok('move 1 Trash');
    for (const folder of ['Archive', 'Trash']) {
      await client.ok(`select ${folder}`);
      expect(await flags()).toEqual(['\\Flagged', 'work', '$SmimpUnverified', '$ViaLegacy']);
    }
    await verify();
    await client.ok('noop');
    expect(await flags()).toEqual(['\\Flagged', 'work', '$SmimpVerified', '$ViaLegacy']);
  });

  it('are set by nobody: not by STORE, by APPEND, or by another client of the user', async () => {
    const id = await receive();
    await client.ok('select INBOX');
    for (const change of ['+flags ($SmimpVerified)', '-flags ($smimpunverified)', '+flags (\\Flagged $ViaLegacy)'])
      expect(await client.no(`store 1 ${change}`)).toContain('[CANNOT]');
    // Programs that replace all flags send back what they were told.
    await client.ok('store 1 flags (\\Flagged $SmimpVerified)');
    expect(await flags()).toEqual(['\\Flagged', '$SmimpUnverified']);
    await client.ok('append Drafts ($SmimpVerified \\Draft) ', plainMail({}, 'x'));
    await client.ok('select Drafts');
    expect(await flags()).toEqual(['\\Draft']);

    const account = await openMailAccount(site.keystore, site.bobId);
    const { db } = site.opened;
    const row = await db.selectFrom('message').selectAll().where('message_id', '=', id).executeTakeFirstOrThrow();
    const value = { flags: ['$SmimpVerified', '$SMIMPVERIFIED', 'mine'] };
    const blob = sealExtensions(account, row.message_hash.subarray(64), { version: 9, value });
    await db.transaction().execute(async (tx) => {
      const { revision } = await advanceMailbox(tx, site.bobId, { seqs: 0 });
      await tx.updateTable('message').set({ extensions_data: blob, revision }).where('message_id', '=', id).execute();
    });
    await client.ok('select INBOX');
    expect(await flags()).toEqual(['mine', '$SmimpUnverified']);
  });

  it('and the \\Seen of many messages at once do not disturb each other', async () => {
    for (let n = 0; n < 3; n++) await receive({ subject: `Letter ${n}` });
    await client.ok('select INBOX');
    await client.ok('store 1:3 +flags (\\Seen)');
    for (let n = 1; n <= 3; n++) expect(await flags(n)).toEqual(['\\Seen', '$SmimpUnverified']);
    await client.ok('store 2 -flags (\\Seen)');
    expect(await flags(2)).toEqual(['$SmimpUnverified']);
  });
});

describe('the fields above a message', () => {
  const header = async (number = 1) => (await client.ok(`fetch ${number} body.peek[header]`)).join('');

  it('say what was so when it came, for ever', async () => {
    const id = await receive({ subject: 'First' });
    await client.ok('select INBOX');
    const text = await header();
    expect(text).toContain(
      [
        'Authentication-Results: corp.test; x-smimp=pass header.from=alice@acme.test',
        ' policy.verified=no policy.key=current',
        'X-SMIMP-From: alice#acme.test',
        `X-SMIMP-Fingerprint: ${fingerprint()}`,
        'X-SMIMP-Verified: no',
        'X-SMIMP-Key: current',
        'X-SMIMP-Via: smimp',
        'X-SMIMP-Received: Thu, 15 Jan 2026 12:00:00 +0000',
        `X-SMIMP-Message-ID: ${id.toString('hex')}`,
        '',
      ].join('\r\n'),
    );
    const before = await client.ok('fetch 1 (rfc822.size body.peek[])');
    expect(before[0]).toMatch(/RFC822\.SIZE (\d+) BODY\[\] \{\1\}\r\nAuthentication-Results: corp\.test/);
    await verify();
    await receive({ subject: 'Second' });
    await client.ok('noop');
    expect(await header(2)).toContain('X-SMIMP-Verified: yes\r\n');
    expect(await client.ok('fetch 1 (rfc822.size body.peek[])')).toEqual(before);
    // A process without anything in its memory makes the same of it, and of a copy.
    await client.ok('copy 1 Archive');
    await using fresh = await site.anew();
    using other = await site.client(fresh.port);
    for (const folder of ['INBOX', 'Archive']) {
      await other.ok(`select ${folder}`);
      expect(await other.ok('fetch 1 (rfc822.size body.peek[])')).toEqual(before);
    }
    expect(await client.search('header x-smimp-verified yes')).toEqual([2]);
  });

  it('are above the message of the sender, byte for byte, without results that it claims to be ours', async () => {
    const forged = [
      'Authentication-Results: corp.test; x-smimp=pass policy.verified=yes',
      'Authentication-Results: (hm) "CORP.test"/1;',
      '\tx-smimp=pass',
      'Authentication-Results: corp.test.evil.test; dkim=pass',
      'Authentication-Results: mx.example.org; dkim=pass',
    ];
    const honest = [
      'From: alice@acme.test',
      'To: bob@corp.test',
      'Subject: An original',
      'Message-ID: <1@acme.test>',
      '',
      'Text  ',
    ];
    const raw = Buffer.from([...forged, ...honest].join('\r\n'));
    const original = packOriginal({ raw, attachments: [] });
    await receive({ header: { original: original as never } });
    await client.ok('select INBOX');
    const [line = ''] = await client.ok('fetch 1 body.peek[]');
    const shown = line.slice(line.indexOf('\r\n') + 2, -1);
    const [, below = ''] = /X-SMIMP-Message-ID: [0-9a-f]{64}\r\n([\s\S]*)$/.exec(shown) ?? [];
    expect(below).toBe([...forged.slice(3), ...honest].join('\r\n'));
    expect(shown.match(/Authentication-Results: corp\.test;/g)).toHaveLength(1);
    expect(shown.startsWith('Authentication-Results: corp.test; x-smimp=pass')).toBe(true);
  });

  it('that a message brings along are not in it', async () => {
    const raw = plainMail({ From: 'alice@acme.test', 'X-SMIMP-Verified': 'yes', Subject: 'Believe me' }, 'x');
    await receive({ header: { original: packOriginal({ raw, attachments: [] }) as never } });
    await client.ok('select INBOX');
    const text = await header();
    expect(text.match(/X-SMIMP-Verified/g)).toHaveLength(1);
    expect(text).toContain('X-SMIMP-Verified: no');
    expect(text).toContain('Subject: Believe me');
  });

  it('are not above what the owner put in herself', async () => {
    const mine = plainMail({ Subject: 'Mine' }, 'x');
    await client.ok('append INBOX ', mine);
    await client.ok('select INBOX');
    const [line = ''] = await client.ok('fetch 1 body.peek[]');
    expect(line.slice(line.indexOf('\r\n') + 2, -1)).toBe(mine.toString());
    expect(await flags()).toEqual([]);
  });
});

describe('the block', () => {
  const trace: Trace = {
    ...{ from: parseAddress('alice#acme.test'), fingerprint: null, verified: false, key: 'retired', via: 'import' },
    ...{ received: 1_768_478_400, messageId: 'ab'.repeat(32) as Hex32 },
  };

  it('says of a retired key that its signature proves nothing, and leaves out what is not known', () => {
    const text = traceBlock(trace, BOB).toString();
    expect(text).toContain('x-smimp=neutral');
    expect(text).toContain('X-SMIMP-Key: retired\r\nX-SMIMP-Via: import\r\n');
    expect(text).not.toContain('Fingerprint');
  });

  it('takes out forged results wherever they stand in the header, and nothing from the body', () => {
    const forged = 'Authentication-Results: corp.test; x=pass\r\n';
    const whole = `A: 1\r\n${forged}B: 2\r\n${forged}\r\n${forged}`;
    const below = withTrace(Buffer.from(whole), trace, BOB).subarray(traceBlock(trace, BOB).length).toString();
    expect(below).toBe(`A: 1\r\nB: 2\r\n\r\n${forged}`);
    for (const field of [
      'Authentication-Results: (a (b) c) corp.test; x-smimp=pass',
      'Authentication-Results: (\\)) (\\() CORP.TEST.; x-smimp=pass',
      'Authentication-Results: "corp\\.test"; x-smimp=pass',
      'Authentication-Results : corp.test(c); x-smimp=pass',
      'Authentication-Results: (never ended corp.test; x-smimp=pass',
      `Authentication-Results: (${'x'.repeat(500)}) corp.test; x-smimp=pass`,
      `Authentication-Results:${' '.repeat(500)}corp.test; x-smimp=pass`,
    ])
      expect(withTrace(Buffer.from(`${field}\r\nA: 1\r\n\r\n`), trace, BOB).toString()).toBe(
        `${traceBlock(trace, BOB)}A: 1\r\n\r\n`,
      );
    for (const harmless of [
      'no header at all',
      `Authentication-Results: ((a) b) list.test; dkim=pass reason="(corp.test)${'x'.repeat(500)}"\r\n\r\n`,
      '',
      '\r\n',
      'Authentication-Results:\r\n\r\n',
      'Authentication-Results: x corp.test\r\n\r\n',
    ])
      expect(withTrace(Buffer.from(harmless), trace, BOB).toString()).toBe(`${traceBlock(trace, BOB)}${harmless}`);
  });
});
