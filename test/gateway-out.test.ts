/**
 * Mail that leaves SMIMP by a gateway (SMIMP 0.1 §6): from the envelope that arrived for a legacy identity to the server of the
 * old internet, whatever that says, and through crashes; and the reports on what could not leave, which nothing reports on.
 */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { packOriginal } from '../src/mime/original/pack.ts';
import { parseMail } from '../src/mime/parse.ts';
import { toEmailBody } from '../src/mime/to-email.ts';
import { openRelayContent } from '../src/pipeline/relay-content.ts';
import { keepReturnPath } from '../src/pipeline/return-path.ts';
import { sealContent } from '../src/pipeline/submission-content.ts';
import { parseAddress } from '../src/smimp/address.ts';
import { randomBytes } from '../src/smimp/crypto.ts';
import { type EmailBody, serializeBody } from '../src/smimp/email.ts';
import { type Hex32, toHex } from '../src/smimp/encoding.ts';
import { saveDomain } from '../src/store/domains.ts';
import type { Delivery } from '../src/store/outbound.ts';
import { insertSubmission, submissionContent } from '../src/store/submissions.ts';
import { type GatewaySite, gatewaySite } from './support/gateway-site.ts';
import { BODY, DELAY_NOTICE_MS, GIVE_UP_MS, unseal } from './support/outbound-site.ts';

const BOB = parseAddress('bobz40oldz2etest#gw.test');

let site: GatewaySite;
beforeEach(async () => {
  site = await gatewaySite();
});
afterEach(async () => {
  expect(site.log.filter((line) => line.includes('"unexpected"'))).toEqual([]);
  await site[Symbol.asyncDispose]();
});

/** What was handed to Bob's server, its header with folds taken out. */
function arrived(index = 0): { from: string; to: readonly string[]; header: string; text: string } {
  const mail = site.old.received[index];
  if (mail === undefined) throw new Error('nothing arrived');
  const raw = mail.raw.toString('utf8');
  const end = raw.indexOf('\r\n\r\n');
  return {
    from: mail.from,
    to: mail.to,
    header: raw.slice(0, end).replace(/\r\n[ \t]/g, ' '),
    text: raw.slice(end + 4),
  };
}

async function first(): Promise<Delivery> {
  const [delivery] = await site.deliveries();
  if (delivery === undefined) throw new Error('nothing was taken');
  return delivery;
}

async function carry(letter: Parameters<GatewaySite['receive']>[0] = {}) {
  await site.receive(letter);
  await site.open();
  const [delivery] = (await site.deliveries()).slice(-1);
  if (delivery === undefined) throw new Error('it was not taken');
  return site.run(delivery.id);
}

/** Reports that Alice got, oldest first. */
async function reports(): Promise<EmailBody[]> {
  for (const { id, finished_at, relayed_for } of await site.deliveries()) {
    if (finished_at === null && relayed_for === null) await site.run(id);
  }
  return site.acme.messages.map((message) => unseal(site.alice, message).body);
}

const inbox = async (): Promise<number> =>
  Number(
    (
      await site.opened.db
        .selectFrom('message')
        .select((eb) => eb.fn.countAll<number>().as('count'))
        .where('account_id', '=', site.bob.accountId)
        .executeTakeFirstOrThrow()
    ).count,
  );

describe('a letter', () => {
  it('reaches the old internet once, from its sender, to whom its address is the coding of', async () => {
    const delivery = await carry({ subject: 'Hello', text: 'Dear Bob' });
    expect(delivery).toMatchObject({ stage: 'done', sender: 'alice#acme.test', recipient: BOB, error_code: null });
    expect(site.old.received).toHaveLength(1);
    const { from, to, header, text } = arrived();
    expect({ from, to }).toEqual({ from: 'alice@acme.test', to: ['bob@old.test'] });
    expect(header).toMatch(
      /^Received: from acme\.test by gw\.test with SMIMP id [0-9a-f]{32}; Thu, 15 Jan 2026 12:00:00 \+0000\r\n/,
    );
    expect(header).toMatch(/^From: alice@acme\.test$/m);
    expect(header).toMatch(/^To: bob@old\.test$/m);
    expect(header).toMatch(/^Subject: Hello$/m);
    expect(header).not.toMatch(/^(?:x-smimp|bcc|return-path)/im);
    expect(text).toContain('Dear Bob');
  });

  it('is nobody’s to read at the gateway: neither message nor content stays, and it is no secret of a row or a log', async () => {
    await site.receive({ subject: 'the subject', text: 'the text' });
    await site.open();
    expect(await inbox()).toBe(0);
    const { id, submission_id } = await first();
    const sealed = await submissionContent(site.opened.db, submission_id);
    expect(sealed?.includes('the text')).toBe(false);
    const rows = JSON.stringify([
      await site.deliveries(),
      await site.opened.db.selectFrom('submission').selectAll().execute(),
    ]);
    expect(`${rows}${site.log.join('')}`).not.toMatch(/the subject|the text|bob@old/);
    await site.run(id);
    expect(await submissionContent(site.opened.db, submission_id)).toBeNull();
  });

  it('names people as the old internet knows them', async () => {
    const carol = parseAddress('carolz2edz40elsez2etest#gw.test');
    const to = [BOB, parseAddress('dave#corp.test')];
    await carry({
      body: serializeBody('email', { ...BODY, to, cc: [carol, parseAddress('evez40xz2etest#gw2.test')] }),
    });
    const { header } = arrived();
    expect(header).toMatch(/^To: bob@old\.test, dave@corp\.test$/m);
    expect(header).toMatch(/^Cc: carol\.d@else\.test, evez40xz2etest@gw2\.test$/m);
  });

  it('that was made of legacy mail leaves as that, byte for byte, below one trace field', async () => {
    const raw = Buffer.from(
      'From: Alice <alice@acme.test>\r\nTo: bobz40oldz2etest@gw.test\r\nX-Odd:  kept   as it is\r\nX-SMIMP-Trust: mine\r\n' +
        'Bcc: eve@acme.test\r\nMessage-ID: <1@acme.test>\r\nContent-Type: text/plain; charset=x-unknown\r\n\r\nDear\t Bob \r\n.\r\n',
    );
    const uid = toHex<Hex32>(randomBytes(32));
    const body = toEmailBody({
      mail: await parseMail(raw),
      ...{ from: site.alice.address, uid, parentUid: null, gatewayDomain: null, now: site.clock.seconds() },
    });
    const original = packOriginal({ raw, attachments: body.attachments });
    await carry({ uid, body: serializeBody('email', body), header: { original } });
    const sent = site.old.received[0]?.raw.toString('latin1') ?? '';
    const below = sent.slice(sent.indexOf('\r\nFrom: ') + 2);
    expect(below).toBe(
      raw
        .toString('latin1')
        .replace('To: bobz40oldz2etest@gw.test', 'To: bob@old.test')
        .replace('X-SMIMP-Trust: mine\r\n', '')
        .replace('Bcc: eve@acme.test\r\n', ''),
    );
  });

  it('whose legacy mail names another author leaves rendered, under its sender', async () => {
    const raw = Buffer.from('From: eve@evil.test\r\nSubject: x\r\n\r\nhi\r\n');
    const original = packOriginal({ raw, attachments: [] });
    await carry({ header: { original } });
    expect(arrived().header).toMatch(/^From: alice@acme\.test$/m);
    expect(arrived().header).not.toContain('evil');
  });

  it('to somebody in secret names that somebody nowhere', async () => {
    await carry({ body: serializeBody('email', { ...BODY, to: [parseAddress('dave#corp.test')] }) });
    expect(arrived().to).toEqual(['bob@old.test']);
    expect(arrived().header).not.toMatch(/bob/);
  });

  it('that comes twice leaves once', async () => {
    const uid = toHex<Hex32>(randomBytes(32));
    await carry({ uid });
    await site.receive({ uid });
    await site.open();
    expect(await site.deliveries()).toHaveLength(1);
    expect(await inbox()).toBe(0);
    expect(site.old.received).toHaveLength(1);
  });
});

describe('an alarm about a sender', () => {
  it('is told to nobody at the gateway, where nobody would read it', async () => {
    await carry();
    site.alice.change({ now: site.clock.seconds(), rotate: true });
    site.clock.advance(3_600_000);
    await carry();
    expect(await inbox()).toBe(0);
    const alarms = await site.opened.db.selectFrom('alarm').select(['kind', 'tell_at']).execute();
    expect(alarms).toEqual([{ kind: 'key-changed', tell_at: null }]);
  });
});

describe('a crash', () => {
  it('while a letter is taken leaves it where it was', async () => {
    await site.receive({});
    await site.open({ dying: true });
    expect(site.log.filter((line) => line.includes('"unexpected"'))).toHaveLength(1);
    site.log.length = 0;
    expect(await site.deliveries()).toEqual([]);
    expect(await inbox()).toBe(1);
    site.clock.advance(60_000);
    await site.open();
    const { id } = await first();
    await site.run(id);
    expect(site.old.received).toHaveLength(1);
  });

  it('before the other server answered: it is sent again, under the same Message-ID', async () => {
    site.old.answer('data', 'drop', 1);
    const waits = await carry();
    expect(waits).toMatchObject({ stage: 'relay', error_code: 'smtp-lost', attempts: 1 });
    expect(await site.again(waits.id)).toMatchObject({ stage: 'done' });
    const ids = [0, 1].map((index) => /^Message-ID: .*$/m.exec(arrived(index).header)?.[0]);
    expect(ids[0]).toBeDefined();
    expect(ids[0]).toBe(ids[1]);
  });

  it('while it is sent leaves it due', async () => {
    await site.receive({});
    await site.open();
    const { id } = await first();
    const dying = new AbortController();
    dying.abort();
    expect(await site.run(id, dying.signal)).toMatchObject({ stage: 'relay', attempts: 0, finished_at: null });
    expect(await site.run(id)).toMatchObject({ stage: 'done' });
    expect(site.old.received).toHaveLength(1);
  });
});

describe('a server of the old internet', () => {
  it('that says later is asked later; its sender is told once when it lasts', async () => {
    site.old.answer('rcpt', { code: 450, text: '4.2.0 Greylisted, come back' });
    const waits = await carry();
    expect(waits).toMatchObject({ stage: 'relay', error_code: 'smtp-temporary' });
    expect(await reports()).toEqual([]);
    site.clock.advance(DELAY_NOTICE_MS);
    await site.run(waits.id);
    await site.again(waits.id);
    const told = await reports();
    expect(told.map(({ subject }) => subject)).toEqual(['Delayed, still being tried: A letter']);
    expect(told[0]?.body).toContain('4.2.0');
    site.old.answer('rcpt', { code: 250, text: 'ok' }, 0);
    expect(await site.again(waits.id)).toMatchObject({ stage: 'done' });
    expect(site.old.received).toHaveLength(1);
    expect(await reports()).toHaveLength(1);
  });

  it('that never takes it: its sender is told at the end, in the words of the server', async () => {
    site.old.answer('data', { code: 451, text: '4.3.0 Not now' });
    const waits = await carry();
    site.clock.advance(GIVE_UP_MS);
    expect(await site.run(waits.id)).toMatchObject({ stage: 'failed', error_code: 'smtp-temporary' });
    const [report] = (await reports()).slice(-1);
    expect(report?.subject).toBe('Not delivered: A letter');
    expect(report?.body).toMatch(/5\\?\.3\\?\.0/);
  });

  it('that refuses it for good: a report from the one it was meant for, in the thread, that answers itself to nobody', async () => {
    site.old.answer('rcpt', { code: 550, text: '5.1.1 <bob@old.test>: no such user here' });
    const delivery = await carry({ subject: 'Hello' });
    expect(delivery).toMatchObject({ stage: 'failed', error_code: 'smtp-permanent' });
    const [report] = await reports();
    expect(site.acme.messages[0]?.sender).toBe(BOB);
    expect(report).toMatchObject({ to: ['alice#acme.test'], subject: 'Not delivered: Hello' });
    expect(report?.reply_to_message_id).toBe(delivery.uid.toString('hex'));
    expect(report?.body).toContain('no such user here');
    expect(report?.extensions_data?.smimp_bridge).toMatchObject({
      report: { kind: 'failed', recipient: 'bob@old.test', status: '5.1.1', diagnostic_type: 'smtp' },
      fields: [{ name: 'auto-submitted', value: 'auto-replied' }],
    });
  });
});

describe('what never leaves', () => {
  const refused: Record<string, { reason: string; letter: () => Parameters<GatewaySite['receive']>[0] }> = {
    'what programs send one another': {
      reason: 'not-relayed',
      letter: () => ({ messageType: 'x-custom-chess', body: Buffer.from('e4') }),
    },
    'a secret key': {
      reason: 'not-relayed',
      letter: () => ({
        messageType: 'secret-xsalsa20',
        body: serializeBody('secret-xsalsa20', {
          public_key: null,
          secret_key: 'ab'.repeat(32),
          kind: 'storage',
          note: null,
        }),
      }),
    },
    'mail of somebody whom the configuration does not name': {
      reason: 'relay-denied',
      letter: () => ({ from: site.acme.addUser('mallory', site.clock.seconds()) }),
    },
  };
  for (const [what, { reason, letter }] of Object.entries(refused)) {
    it(`${what}: its sender is told, and its content is kept nowhere`, async () => {
      await site[Symbol.asyncDispose]();
      site = await gatewaySite({ senders: ['alice#acme.test'] });
      await site.receive(letter());
      await site.open();
      const { id, submission_id, uid } = await first();
      const keys = await site.keystore.open(site.bob.accountId);
      const sealed = (await submissionContent(site.opened.db, submission_id)) ?? Buffer.alloc(0);
      expect(openRelayContent(keys, uid, sealed).message).toHaveLength(0);
      expect(await site.run(id)).toMatchObject({ stage: 'failed', error_code: reason });
      for (const delivery of await site.deliveries()) await site.run(delivery.id);
      expect(site.acme.messages).toHaveLength(1);
      expect(site.old.connections()).toBe(0);
    });
  }

  it('what a retired key has signed', async () => {
    const thief = site.alice.master;
    await site.receive({ uid: 'ef'.repeat(32) as Hex32 });
    await site.open();
    site.alice.change({ now: site.clock.seconds(), rotate: true });
    site.clock.advance(60_000 + 3_600_000);
    await site.receive({});
    await site.open();
    site.clock.advance(2 * 86_400_000);
    const { master } = site.alice;
    site.alice.master = thief;
    await site.receive({ subject: 'stolen' });
    site.alice.master = master;
    await site.open();
    const last = (await site.deliveries()).at(-1);
    expect(await site.run(last?.id ?? 0)).toMatchObject({ stage: 'failed', error_code: 'retired-key' });
    expect(site.old.received).toHaveLength(0);
  });

  it('what cannot be written: its sender is told, the log says it, and it is kept', async () => {
    await site[Symbol.asyncDispose]();
    site = await gatewaySite({
      write: () => {
        throw new RangeError('no such page');
      },
    });
    expect(await carry({ subject: 'A riddle' })).toMatchObject({ stage: 'failed', error_code: 'not-rendered' });
    expect(JSON.stringify(await reports())).toContain(
      'could not write the message to bob@old.test as mail of the old internet',
    );
    const kept = await site.opened.db.selectFrom('message').select(['state', 'reason', 'ciphertext']).execute();
    expect(kept).toEqual([expect.objectContaining({ state: 'quarantined', reason: 'not-rendered' })]);
    expect(kept[0]?.ciphertext.length).toBeGreaterThan(0);
    expect(await site.open()).toBe(0);
    const unexpected = site.log.filter((line) => line.includes('"unexpected"'));
    expect(unexpected).toEqual([expect.stringContaining('"writing a message that leaves"')]);
    expect(unexpected.join()).not.toMatch(/riddle|old\.test/);
    site.log.length = 0;
  });

  it('mail for a domain that was seen speaking SMIMP', async () => {
    const spoken = { domain: 'old.test', outcome: 'found', baseUrl: 'https://old.test', spoke: true } as const;
    await saveDomain(site.opened.db, { ...spoken, now: site.clock.read() });
    expect(await carry()).toMatchObject({ stage: 'failed', error_code: 'speaks-smimp' });
    expect(site.old.connections()).toBe(0);
  });

  it('mail of a sender who was struck off the configuration meanwhile', async () => {
    await site.receive({});
    await site.open();
    await site.opened.db.updateTable('submission').set({ relayed_for: 'eve#evil.test' }).execute();
    const { id } = await first();
    expect(await site.run(id)).toMatchObject({ stage: 'failed', error_code: 'relay-denied' });
  });
});

describe('reports', () => {
  const automatic = { smimp_bridge: { v: 1, fields: [{ name: 'auto-submitted', value: 'auto-replied (vacation)' }] } };

  it('and answers by machines leave under no name, and nothing reports on them', async () => {
    await carry({ body: serializeBody('email', { ...BODY, to: [BOB], extensions_data: automatic }) });
    expect(arrived().from).toBe('');
    site.old.answer('rcpt', { code: 550, text: '5.1.1 Nobody' });
    const second = await carry({ body: serializeBody('email', { ...BODY, to: [BOB], extensions_data: automatic }) });
    expect(second).toMatchObject({ stage: 'failed' });
    expect(await reports()).toEqual([]);
    expect(await site.deliveries()).toHaveLength(2);
  });

  it('of a sender are held to the same rules: none to a domain that speaks SMIMP, none of somebody not named', async () => {
    const { db } = site.opened;
    const letter = { body: serializeBody('email', { ...BODY, to: [BOB], extensions_data: automatic }) };
    await site.receive(letter);
    await site.open();
    await db.updateTable('submission').set({ relayed_for: 'eve#evil.test' }).execute();
    expect(await site.run((await first()).id)).toMatchObject({ stage: 'failed', error_code: 'relay-denied' });
    const spoken = { domain: 'old.test', outcome: 'found', baseUrl: 'https://old.test', spoke: true } as const;
    await saveDomain(db, { ...spoken, now: site.clock.read() });
    expect(await carry(letter)).toMatchObject({ stage: 'failed', error_code: 'speaks-smimp' });
    expect(site.old.connections()).toBe(0);
  });

  it('that cannot be delivered end there', async () => {
    site.old.answer('rcpt', { code: 550, text: '5.1.1 Nobody' });
    await carry();
    site.acme.removeUser(site.alice);
    site.acme.failOnce('send_message', 'blocked');
    await reports();
    const before = (await site.deliveries()).length;
    for (const { id } of await site.deliveries()) {
      site.clock.advance(GIVE_UP_MS);
      await site.run(id);
    }
    expect((await site.deliveries()).map(({ stage }) => stage)).toEqual(['failed', 'failed']);
    expect(before).toBe(2);
  });

  /** Mail of Bob that came in, to somebody whose server does not know her. */
  async function comeIn(returnPath: string | null): Promise<number> {
    const { db } = site.opened;
    const keys = await site.keystore.open(site.bob.accountId);
    const uid = randomBytes(32);
    const now = site.clock.read();
    const { deliveryIds } = await db.transaction().execute(async (tx) => {
      const inserted = await insertSubmission(tx, {
        ...{ accountId: site.bob.accountId, digest: randomBytes(32), uid, messageType: 'email', now, original: null },
        sealed: sealContent(keys, uid, serializeBody('email', { ...BODY, to: [parseAddress('nobody#acme.test')] })),
        ...{ sizeBytes: 100, recipients: ['nobody#acme.test'], retiredDigest: randomBytes(32) },
        ...{ deadline: new Date(now.getTime() + GIVE_UP_MS), repeatsSince: now },
      });
      if (returnPath !== null) await keepReturnPath(tx, keys, inserted.submissionId, returnPath);
      return inserted;
    });
    return deliveryIds[0] as number;
  }

  it('on mail of the old internet go back to where it came from, as RFC 3464 has them', async () => {
    const id = await comeIn('list-bounces@old.test');
    expect(await site.run(id)).toMatchObject({ stage: 'failed', error_code: 'unknown-user' });
    const report = (await site.deliveries()).at(-1);
    expect(report).toMatchObject({ stage: 'relay', is_report: true, recipient: BOB, sender: 'nobody#acme.test' });
    await site.run(report?.id ?? 0);
    const { from, to, header, text } = arrived();
    expect({ from, to }).toEqual({ from: '', to: ['list-bounces@old.test'] });
    expect(header).toMatch(/^Content-Type: multipart\/report; report-type=delivery-status;/m);
    expect(header).toMatch(/^Auto-Submitted: auto-replied$/m);
    expect(header).not.toMatch(/^X-SMIMP/im);
    expect(text).toMatch(/^Reporting-MTA: dns; gw\.test\r$/m);
    expect(text).toMatch(/^Final-Recipient: rfc822; nobody@acme\.test\r$/m);
    expect(text).toMatch(/^Status: 5\.1\.1\r$/m);
  });

  it('that nobody asked for are not made', async () => {
    const id = await comeIn(null);
    expect(await site.run(id)).toMatchObject({ stage: 'failed' });
    expect(await site.deliveries()).toHaveLength(1);
    expect(await inbox()).toBe(0);
  });

  it('that the old internet does not take end there', async () => {
    site.old.answer('mail', { code: 550, text: '5.7.1 No' });
    await site.run(await comeIn('bob@old.test'));
    const report = (await site.deliveries()).at(-1);
    expect(await site.run(report?.id ?? 0)).toMatchObject({ stage: 'failed' });
    expect(await site.deliveries()).toHaveLength(2);
    expect(await inbox()).toBe(0);
  });
});
