/**
 * Whom mail reaches through a gateway, and that nobody can bring it there by making SMIMP fail (SMIMP 0.1 §2.6, §6): real
 * servers that speak SMIMP, say that they do not, or break down, before and after.
 */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parseMail } from '../src/mime/parse.ts';
import { recipientDomains } from '../src/mime/to-email.ts';
import { createCheckRecipient } from '../src/pipeline/recipients.ts';
import { FOUND_FRESH_MS } from '../src/remote/discovery.ts';
import { FAILED_FRESH_MS } from '../src/remote/look-up.ts';
import { type Address, addressParts, fromMailbox, parseAddress } from '../src/smimp/address.ts';
import { findDelivery } from '../src/store/outbound.ts';
import { savePin } from '../src/store/pins.ts';
import { type HostileServer, startHostileServer } from './support/hostile-server.ts';
import { plainMail, toEmail } from './support/mail.ts';
import { type OutboundSite, outboundSite, TestClock, unseal } from './support/outbound-site.ts';
import { answerText } from './support/tls-server.ts';

const BOB_NATIVE = parseAddress('bob#old.test');
const BOB_CODED = parseAddress('bobz40oldz2etest#gw.test');

let clock: TestClock;
let old: HostileServer;
let gateway: HostileServer;
let site: OutboundSite;
/** Those whose key was asked for. */
let asked: Address[];

/** `domains`: what the configuration lists. */
async function begin(domains: readonly string[]): Promise<void> {
  clock = new TestClock();
  asked = [];
  old = await startHostileServer('old.test', { zeroBits: 0, now: clock.seconds });
  const onKeyAsked = (address: Address): void => {
    if (!asked.includes(address)) gateway.addUser(addressParts(address).local, clock.seconds());
    asked.push(address);
  };
  gateway = await startHostileServer('gw.test', { zeroBits: 0, now: clock.seconds, onKeyAsked });
  site = await outboundSite([old, gateway], clock, domains);
}

beforeEach(() => begin(['*']));
afterEach(async () => {
  expect(site.log.filter((line) => line.includes('"unexpected"'))).toEqual([]);
  await site[Symbol.asyncDispose]();
  await old[Symbol.asyncDispose]();
  await gateway[Symbol.asyncDispose]();
});

const absent = (): void => old.behave('smimp.txt', (_request, response) => answerText(response, 'no', 404));
const broken = (): void => old.behave('smimp.txt', (_request, response) => answerText(response, 'ill', 503));
const speaking = (): void => old.behave('smimp.txt', null);

const recipientOf = (mailbox: string): Promise<Address | null> => {
  const native = /^[a-z0-9]+@/.test(mailbox) ? fromMailbox(mailbox) : null;
  return site.policy.recipientOf({ mailbox, native, timeoutMs: 5_000 });
};

const row = async (id: number) => {
  const delivery = await findDelivery(site.opened.db, id);
  if (delivery === undefined) throw new Error('no such delivery');
  return delivery;
};

async function sendTo(recipient: Address): Promise<Awaited<ReturnType<typeof row>>> {
  const [id] = (await site.submit(recipient)) as [number];
  await site.run(id);
  return row(id);
}

/** The same delivery, when it is due again. */
async function again(id: number): Promise<Awaited<ReturnType<typeof row>>> {
  clock.moveTo((await row(id)).next_attempt_at);
  await site.run(id);
  return row(id);
}

describe('a mailbox', () => {
  it('of a domain that says it does not speak SMIMP is reached through the gateway, which makes its identity', async () => {
    absent();
    expect(await recipientOf('bob@old.test')).toBe(BOB_CODED);
    expect(await recipientOf('Bob.Smith+x@old.test')).toBe('bobz2esmithz2bxz40oldz2etest#gw.test');
    const delivery = await sendTo(BOB_CODED);
    expect(delivery).toMatchObject({ stage: 'done', recipient: BOB_CODED });
    expect(asked).toEqual([BOB_CODED, BOB_CODED]);
    expect(gateway.messages.map(({ recipient }) => recipient)).toEqual([BOB_CODED]);
    expect(old.messages).toEqual([]);
  });

  it('of a domain that speaks SMIMP is an SMIMP address', async () => {
    const bob = old.addUser('bob', clock.seconds());
    expect(await recipientOf('bob@old.test')).toBe(BOB_NATIVE);
    expect(await recipientOf('bob.smith@old.test')).toBeNull();
    expect(await sendTo(BOB_NATIVE)).toMatchObject({ stage: 'done' });
    expect(unseal(bob, old.messages[0] as (typeof old.messages)[0]).header.to).toBe(BOB_NATIVE);
  });

  it('of one’s own domain, or of the gateway’s, is never decided about', async () => {
    expect(await recipientOf('bob@acme.test')).toBe('bob#acme.test');
    expect(await recipientOf('bobz40oldz2etest@gw.test')).toBe(BOB_CODED);
    expect(await recipientOf('bob.smith@acme.test')).toBeNull();
    expect([...old.requests, ...gateway.requests]).toEqual([]);
  });

  it('of a domain that is not listed is refused, without the star', async () => {
    await site[Symbol.asyncDispose]();
    await old[Symbol.asyncDispose]();
    await gateway[Symbol.asyncDispose]();
    await begin(['else.test']);
    absent();
    expect(await recipientOf('bob@old.test')).toBe(BOB_NATIVE);
    expect(await recipientOf('bob.smith@old.test')).toBeNull();
    const { stage, error_code } = await sendTo(BOB_NATIVE);
    expect({ stage, error_code }).toEqual({ stage: 'failed', error_code: 'no-smimp' });
  });

  it('that is no mailbox, or too long for the coding, is nobody', async () => {
    absent();
    for (const mailbox of ['@old.test', 'a b@[127.0.0.1]', 'x', `${'.'.repeat(100)}@old.test`]) {
      expect(await recipientOf(mailbox)).toBeNull();
    }
  });

  it('in the gateway’s coding may be typed as such; what is no coding, or codes a domain that speaks SMIMP, is refused', async () => {
    const check = createCheckRecipient({ db: site.opened.db, identity: site.identity, policy: site.policy });
    const ask = { accountId: site.alice.accountId, timeoutMs: 5_000 };
    absent();
    expect(await check({ ...ask, recipient: BOB_CODED })).toBeNull();
    expect(await check({ ...ask, recipient: parseAddress('postmaster#gw.test') })).toBe('unknown-user');
    expect(await check({ ...ask, recipient: parseAddress('bobz40acmez2etest#gw.test') })).toBe('speaks-smimp');
    speaking();
    clock.advance(FAILED_FRESH_MS);
    expect(await check({ ...ask, recipient: BOB_CODED })).toBe('speaks-smimp');
  });
});

describe('other recipients of a message', () => {
  const raw = plainMail('hi\n', ['Cc: Zoe <zoe.x@OLD.test>, bob@old.test, dave@corp.test, e.f@unknown.test']);
  const named = async () => recipientDomains(await parseMail(Buffer.from(raw)));

  it('see people of the old internet under the coding, as far as it is known who they are', async () => {
    absent();
    const domains = await named();
    expect(domains).toEqual(['corp.test', 'old.test', 'unknown.test']);
    const { gatewayDomain } = site.policy;
    const before = await toEmail(raw, { gatewayDomain, legacyDomains: await site.policy.knownLegacy(domains) });
    expect(before.cc).toEqual([BOB_NATIVE, 'dave#corp.test']);
    await recipientOf('bob@old.test');
    const { cc, extensions_data } = await toEmail(raw, {
      gatewayDomain,
      legacyDomains: await site.policy.knownLegacy(domains),
    });
    expect(cc).toEqual(['z7aoez2exz40oldz2etest#gw.test', BOB_CODED, 'dave#corp.test']);
    expect(extensions_data?.smimp_bridge).toMatchObject({ legacy_cc: [{ address: 'e.f@unknown.test' }] });
    speaking();
    clock.advance(FAILED_FRESH_MS);
    await recipientOf('bob@old.test');
    expect(await site.policy.knownLegacy(domains)).toEqual(new Set());
  });
});

describe('a listed domain', () => {
  beforeEach(async () => {
    await site[Symbol.asyncDispose]();
    await old[Symbol.asyncDispose]();
    await gateway[Symbol.asyncDispose]();
    await begin(['old.test']);
  });

  it('is reached through the gateway also while it cannot be asked: the list is the operator’s word', async () => {
    broken();
    expect(await recipientOf('bob@old.test')).toBe(BOB_CODED);
    expect(await sendTo(BOB_CODED)).toMatchObject({ stage: 'done' });
  });

  it('is an SMIMP domain from when it speaks it, listed or not, and stays one', async () => {
    old.addUser('bob', clock.seconds());
    expect(await recipientOf('bob@old.test')).toBe(BOB_NATIVE);
    for (const fail of [absent, broken]) {
      fail();
      clock.advance(FOUND_FRESH_MS);
      expect(await recipientOf('bob@old.test')).toBe(BOB_NATIVE);
    }
    expect(gateway.requests).toEqual([]);
  });
});

describe('attack: mail is to leave SMIMP because SMIMP fails', () => {
  it('a domain that cannot be asked is waited for, and never sent to the gateway meanwhile', async () => {
    broken();
    expect(await recipientOf('bob@old.test')).toBe(BOB_NATIVE);
    const typed = await recipientOf('bob.smith@old.test');
    expect(typed).toBe('bobz2esmithz40oldz2etest#gw.test');
    const waits = await sendTo(BOB_NATIVE);
    const waitsCoded = await sendTo(typed as Address);
    for (const { stage, error_code } of [waits, waitsCoded]) {
      expect({ stage, error_code }).toEqual({ stage: 'route', error_code: 'unavailable' });
    }
    for (let tries = 0; tries < 8; tries++) await again(waitsCoded.id);
    expect(gateway.messages).toEqual([]);
    expect(asked).toEqual([]);
    absent();
    clock.advance(FAILED_FRESH_MS);
    expect(await again(waitsCoded.id)).toMatchObject({ stage: 'done' });
    expect(await again(waits.id)).toMatchObject({ stage: 'done', recipient: BOB_CODED });
  });

  it('404 at first, SMIMP when the message leaves: it goes by SMIMP, or it bounces', async () => {
    absent();
    const bob = old.addUser('bob', clock.seconds());
    expect(await recipientOf('bob@old.test')).toBe(BOB_CODED);
    speaking();
    clock.advance(FAILED_FRESH_MS);
    expect(await sendTo(BOB_CODED)).toMatchObject({ stage: 'done', recipient: BOB_NATIVE });
    expect(unseal(bob, old.messages[0] as (typeof old.messages)[0]).header.to).toBe(BOB_NATIVE);
    const typed = parseAddress('bobz2esmithz40oldz2etest#gw.test');
    const { stage, error_code } = await sendTo(typed);
    expect({ stage, error_code }).toEqual({ stage: 'failed', error_code: 'speaks-smimp' });
    expect(gateway.messages).toEqual([]);
  });

  it('SMIMP first, 404 later: it waits', async () => {
    expect(await recipientOf('bob@old.test')).toBe(BOB_NATIVE);
    absent();
    clock.advance(FOUND_FRESH_MS);
    expect(await recipientOf('bob@old.test')).toBe(BOB_NATIVE);
    expect(await sendTo(BOB_NATIVE)).toMatchObject({ stage: 'route', error_code: 'unavailable' });
    const coded = await sendTo(BOB_CODED);
    expect(coded).toMatchObject({ stage: 'route', recipient: BOB_NATIVE, error_code: 'unavailable' });
    expect(gateway.messages).toEqual([]);
  });

  it('a contact that was pinned, and a memory of its domain that was lost: it waits', async () => {
    const { accountId } = site.alice;
    const contact = 'carol#old.test';
    const write = { accountId, contact, state: 'OK', pin: {}, evidence: null, verifiedAt: null, now: clock.read() };
    await site.opened.db.transaction().execute((tx) => savePin(tx, write));
    absent();
    expect(await recipientOf('bob@old.test')).toBe(BOB_NATIVE);
    expect(await recipientOf('bob.smith@old.test')).toBeNull();
    const { stage, error_code } = await sendTo(BOB_CODED);
    expect({ stage, error_code }).toEqual({ stage: 'failed', error_code: 'no-smimp' });
    expect(gateway.messages).toEqual([]);
  });

  it('a certificate for another name is no word of the domain', async () => {
    site.hosts['old.test'] = gateway.hosts['gw.test'] as string;
    expect(await recipientOf('bob@old.test')).toBe(BOB_NATIVE);
    expect(await sendTo(BOB_NATIVE)).toMatchObject({ stage: 'route', error_code: 'unavailable' });
    expect(gateway.messages).toEqual([]);
  });
});

describe('the gateway', () => {
  beforeEach(absent);

  it('that does not carry for this sender: it bounces', async () => {
    gateway.failOnce('get_message_key', 'blocked');
    const { stage, error_code } = await sendTo(BOB_CODED);
    expect({ stage, error_code }).toEqual({ stage: 'failed', error_code: 'blocked' });
    expect(await site.told()).toHaveLength(1);
  });

  it('that knows nobody of that name, although it was asked for a key: it bounces', async () => {
    gateway.failOnce('get_message_key', 'unknown_user');
    const { stage, error_code } = await sendTo(BOB_CODED);
    expect({ stage, error_code }).toEqual({ stage: 'failed', error_code: 'unknown-user' });
  });

  it('that has made too many people today is asked again later', async () => {
    gateway.failOnce('get_message_key', 'too_many_requests', { 'retry-after': '3600' });
    const first = await sendTo(BOB_CODED);
    expect(first).toMatchObject({ stage: 'route', error_code: 'too_many_requests' });
    expect(await again(first.id)).toMatchObject({ stage: 'done' });
  });

  it('is the only one whose people come to be by being written to', async () => {
    const { stage, error_code } = await (async () => {
      speaking();
      clock.advance(FAILED_FRESH_MS);
      return sendTo(BOB_NATIVE);
    })();
    expect({ stage, error_code }).toEqual({ stage: 'failed', error_code: 'unknown-user' });
    expect(old.requests.filter((request) => request.includes('get_message_key'))).toEqual([]);
  });

  it('gets one copy when somebody is written to under both addresses', async () => {
    const ids = await site.submit(BOB_CODED, BOB_NATIVE);
    for (const id of ids) await site.run(id);
    for (const id of ids) expect(await row(id)).toMatchObject({ stage: 'done' });
    expect(gateway.messages).toHaveLength(1);
  });
});
