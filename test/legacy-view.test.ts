/**
 * People of the old internet as mail programs see them (SMIMP 0.1 §6): under the mailboxes that they have, by the word of one
 * gateway; and nobody behind a gateway, or beside it, looks like somebody whom it does not speak for.
 */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createMailbox } from '../src/mailbox/mailbox.ts';
import { packOriginal } from '../src/mime/original/pack.ts';
import { parseAddress } from '../src/smimp/address.ts';
import { type EmailBody, serializeBody } from '../src/smimp/email.ts';
import { saveDomain } from '../src/store/domains.ts';
import { type HostileServer, type ServedUser, startHostileServer } from './support/hostile-server.ts';
import { type Letter, type MailSite, mailSite } from './support/mail-site.ts';
import { BODY, TestClock } from './support/outbound-site.ts';

const BOB_OF_OLD = 'bobz40oldz2etest';

let gateway: HostileServer;
let site: MailSite;
let bob: ServedUser;
beforeEach(async () => {
  const clock = new TestClock();
  gateway = await startHostileServer('gw.test', { zeroBits: 0, now: clock.seconds });
  bob = gateway.addUser(BOB_OF_OLD, clock.seconds());
  site = await mailSite({ gateway });
});
afterEach(async () => {
  expect(site.log.filter((line) => line.includes('"unexpected"'))).toEqual([]);
  await site[Symbol.asyncDispose]();
  await gateway[Symbol.asyncDispose]();
});

/** What arrived, as a mail program fetches it. */
async function fetched(): Promise<string[]> {
  const client = await site.client();
  await client.ok('examine inbox');
  const { lines } = await client.command('fetch 1:* body.peek[]');
  return lines.filter((line) => line.includes('FETCH')).map((line) => line.slice(line.indexOf('\r\n') + 2, -1));
}

/** A field of the newest message, unfolded. */
async function shown(name: string, letter: Letter): Promise<string | undefined> {
  await site.receive(letter);
  await site.open();
  const raw = (await fetched()).at(-1) ?? '';
  const header = raw.slice(0, raw.indexOf('\r\n\r\n')).replace(/\r\n[ \t]/g, ' ');
  return new RegExp(`^${name}: (.*)$`, 'm').exec(header)?.[1];
}

const letterTo = (people: Partial<Pick<EmailBody, 'to' | 'cc' | 'reply_to'>>): Uint8Array =>
  serializeBody('email', { ...BODY, ...people });

async function speaks(domain: string): Promise<void> {
  const look = { domain, outcome: 'found', baseUrl: `https://${domain}`, spoke: true } as const;
  await saveDomain(site.opened.db, { ...look, now: site.clock.read() });
}

describe('somebody behind the gateway', () => {
  it('is shown as the mailbox that answers go to, in every field', async () => {
    expect(await shown('From', { from: bob })).toBe('bob@old.test');
    const carol = parseAddress('carolz2edz40elsez2etest#gw.test');
    const body = letterTo({ to: [parseAddress('bob#corp.test'), carol], cc: [carol], reply_to: carol });
    expect(await shown('To', { from: bob, body })).toBe('bob@corp.test, carol.d@else.test');
    const [, raw = ''] = await fetched();
    expect(raw).toMatch(/^Cc: carol\.d@else\.test\r$/m);
    expect(raw).toMatch(/^Reply-To: carol\.d@else\.test\r$/m);
  });

  it('stays so, whatever is learnt or configured later; and who was shown coded stays coded', async () => {
    await site.receive({ from: bob });
    await site.open();
    const before = await fetched();
    await speaks('old.test');
    await site.receive({ from: bob });
    await site.open();
    const { db, listener } = site.opened;
    const other = createMailbox({ db, listener, ...site, clock: site.clock.read, legacyDisplay: null });
    const account = await other.open(site.bobId);
    const [inbox] = (await account.folders.list()).filter(({ specialUse }) => specialUse === null);
    if (inbox === undefined) throw new Error('no inbox');
    const view = await account.view(inbox);
    const later = await Promise.all(view.opened.map(async (message) => (await view.raw(message))?.toString('latin1')));
    expect(later[0]).toBe(before[0]);
    expect(later[0]).toMatch(/^From: bob@old\.test\r$/m);
    expect(later[1]).toMatch(new RegExp(`^From: ${BOB_OF_OLD}@gw\\.test\r$`, 'm'));
  });
});

describe('attack: to look like somebody else', () => {
  it('somebody at another gateway, or at no gateway at all, is shown under the address', async () => {
    const eve = site.server.addUser(BOB_OF_OLD, site.clock.seconds());
    expect(await shown('From', { from: eve })).toBe(`${BOB_OF_OLD}@acme.test`);
    const others = [parseAddress(`${BOB_OF_OLD}#gw2.test`), parseAddress(`${BOB_OF_OLD}#sub.gw.test`)];
    expect(await shown('To', { from: bob, body: letterTo({ to: others }) })).toBe(
      `${BOB_OF_OLD}@gw2.test, ${BOB_OF_OLD}@sub.gw.test`,
    );
  });

  it('a mailbox at one’s own domain, or at one that speaks SMIMP, is shown under the coding', async () => {
    const carol = gateway.addUser('carolz40corpz2etest', site.clock.seconds());
    expect(await shown('From', { from: carol })).toBe('carolz40corpz2etest@gw.test');
    await speaks('else.test');
    const dave = gateway.addUser('davez40elsez2etest', site.clock.seconds());
    expect(await shown('From', { from: dave })).toBe('davez40elsez2etest@gw.test');
    const alice = site.server.addUser('alice', site.clock.seconds());
    await shown('From', { from: alice });
    const double = gateway.addUser('alicez40acmez2etest', site.clock.seconds());
    expect(await shown('From', { from: double })).toBe('alicez40acmez2etest@gw.test');
  });

  it('a second spelling, a coding of no mailbox and the bridge itself are shown under the address', async () => {
    for (const local of ['z62obz40oldz2etest', 'postmaster', 'smimpz2dbridgez40oldz2etest']) {
      const user = gateway.addUser(local, site.clock.seconds());
      expect(await shown('From', { from: user })).toBe(`${local}@gw.test`);
    }
  });
});

describe('mail that a gateway took in', () => {
  const mail = (from: string): Buffer =>
    Buffer.from(`From: ${from}\r\nX-Odd:  as it   is\r\nSubject: Hi\r\n\r\nraw\r\n`);
  const through = (from: ServedUser, mailbox: string): Letter => {
    const original = packOriginal({ raw: mail(mailbox), attachments: [] });
    return { from, header: { via: 'smtp_bridge', original } };
  };

  it('is shown byte for byte, by the name that the gateway gives it', async () => {
    await site.receive(through(bob, 'Bob <bob@old.test>'));
    await site.open();
    const [got = ''] = await fetched();
    const whole = mail('Bob <bob@old.test>').toString();
    expect(got.slice(-whole.length)).toBe(whole);
    expect(got.slice(0, -whole.length)).toMatch(/^X-SMIMP-Via: smtp_bridge\r$/m);
  });

  it('is rendered under the identity that was verified when it says another name, or one that nobody believes', async () => {
    const carol = gateway.addUser('carolz40corpz2etest', site.clock.seconds());
    const eve = site.server.addUser(BOB_OF_OLD, site.clock.seconds());
    expect(await shown('From', through(bob, 'carol@corp.test'))).toBe('bob@old.test');
    expect(await shown('From', through(carol, 'carol@corp.test'))).toBe('carolz40corpz2etest@gw.test');
    expect(await shown('From', through(eve, 'bob@old.test'))).toBe(`${BOB_OF_OLD}@acme.test`);
  });

  it.each([
    'Sender: The Boss <boss@corp.test>',
    'SENDER :\r\n boss@CORP.test',
    'Resent-From: boss@corp.test',
    'Sender: =?utf-8?q?boss=40corp=2Etest?= <x@old.test>',
  ])('is rendered without %j: nobody outside writes for people of the own domain', async (field) => {
    await site.receive(through(bob, `bob@old.test\r\n${field}`));
    await site.open();
    const [got = ''] = await fetched();
    expect(got).toContain('\r\nFrom: bob@old.test\r\n');
    expect(got).not.toMatch(/boss|X-Odd/);
  });

  it('is shown byte for byte when a list sent it', async () => {
    const from = 'Bob <bob@old.test>\r\nSender: list-bounces@lists.test';
    await site.receive(through(bob, from));
    await site.open();
    const [got = ''] = await fetched();
    expect(got.endsWith(mail(from).toString())).toBe(true);
  });
});

describe('attack: to speak in the name of the gateway', () => {
  it('what a message says of itself under that name is taken out, and what others say stays', async () => {
    const alice = site.server.addUser('alice', site.clock.seconds());
    const claims = [
      'Authentication-Results: gw.test; dmarc=pass header.from=bank.test',
      'authentication-results:\r\n (well) "GW.test" 1; spf=pass',
    ];
    const honest = 'Authentication-Results: list.test; dkim=pass header.d=bank.test';
    const rest = 'From: alice@acme.test\r\nSubject: Hi\r\n\r\nAuthentication-Results: gw.test; none\r\n';
    const raw = Buffer.from(`${[...claims, honest].join('\r\n')}\r\n${rest}`);
    await site.receive({ from: alice, header: { original: packOriginal({ raw, attachments: [] }) } });
    await site.open();
    const [got = ''] = await fetched();
    expect(got.slice(got.indexOf(honest))).toBe(`${honest}\r\n${rest}`);
    expect(got.slice(0, got.indexOf(honest))).not.toMatch(/gw\.test/i);
  });
});

describe('a report of the gateway', () => {
  const report = (recipient: string): Uint8Array =>
    serializeBody('email', {
      ...BODY,
      extensions_data: {
        smimp_bridge: {
          v: 1,
          fields: [{ name: 'auto-submitted', value: 'auto-replied' }],
          report: {
            ...{ kind: 'failed', recipient, status: '5.1.1', diagnostic: '550 5.1.1 nobody', diagnostic_type: 'smtp' },
            ...{ arrived: 0, reported: 0, reporter: 'gw.test', until: null },
            original: { message_id: null, subject: 'Hello', date: 0, to: ['bob@old.test'] },
          },
        },
      },
    });

  it('is a report to mail programs, in the name of the one it is about', async () => {
    expect(await shown('Content-Type', { from: bob, body: report('bob@old.test') })).toMatch(/^multipart\/report;/);
    const [raw = ''] = await fetched();
    expect(raw).toMatch(/^From: bob@old\.test\r$/m);
    expect(raw).toMatch(/^Auto-Submitted: auto-replied\r$/m);
    expect(raw).toMatch(/^Diagnostic-Code: smtp; 550 5\.1\.1 nobody\r$/m);
    expect(raw).not.toMatch(/^X-SMIMP-Notice/m);
  });

  it('about somebody else, or of somebody else, is none', async () => {
    expect(await shown('Content-Type', { from: bob, body: report('carol@old.test') })).toMatch(
      /^multipart\/alternative;/,
    );
    const eve = site.server.addUser(BOB_OF_OLD, site.clock.seconds());
    expect(await shown('Content-Type', { from: eve, body: report('bob@old.test') })).toMatch(
      /^multipart\/alternative;/,
    );
  });
});
