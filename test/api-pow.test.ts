/** What messages cost at a real server (SMIMP 0.1 §4.3): every fact of the policy, asked at once and of two processes. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { explainPrice } from '../src/api/pow-price.ts';
import { PowLedger } from '../src/policy/pow-ledger.ts';
import type { PowFacts } from '../src/policy/pow-policy.ts';
import { powPolicySchema } from '../src/policy/pow-policy-schema.ts';
import { type Address, addressParts, parseAddress } from '../src/smimp/address.ts';
import { masterKeyPair, randomBytes } from '../src/smimp/crypto.ts';
import { listHash } from '../src/smimp/lists.ts';
import { removeAccount } from '../src/store/accounts.ts';
import { countAsked, countFailure, countStored, forgetOldPowFacts, noteWritten } from '../src/store/pow-facts.ts';
import {
  type Account,
  type ApiSite,
  answerOf,
  BOB,
  CAROL,
  codeOf,
  envelopeOf,
  type Login,
  loginBody,
  type Person,
  prepare,
  segment,
  sendPath,
  startApi,
  stranger,
} from './support/api-site.ts';

/** Small numbers, so that work is quick and every row shows by itself. */
const POLICY = powPolicySchema.parse({
  base: 4,
  floor: 1,
  ceiling: 12,
  first_contact: 1,
  correspondent: -2,
  sender_age: { 'under 2d': 1 },
  domain_age: { 'under 3d': 1 },
  sender_messages_per_day: { 'over 20': 2 },
  domain_messages_per_day: { 'over 120': 2 },
  messages_to_recipient_per_day: { 'over 8': 1 },
  sender_bytes_per_day: { 'over 5KiB': 1 },
  recipient_load: { 'over 2x': 2 },
  recipient_normal_per_day: 5,
  failed_attempts_per_day: { 'over 2': 3 },
  failed_logins_per_day: { 'over 2': 1 },
  message_type: { 'secret-*': 1 },
});
const NEW = 3;
const DAY_SECONDS = 86_400;

let site: ApiSite;
let bob: Account;
let numbers = 0;

beforeAll(async () => {
  site = await startApi({ powPolicy: POLICY });
  bob = await site.account(BOB, { ephemeral: 400 });
  await site.account(CAROL, { ephemeral: 50 });
});
afterAll(() => site[Symbol.asyncDispose]());

/** Somebody of a domain of her own, whom the server never saw. */
async function newcomer(domain?: string): Promise<{ sender: Person; login: Login }> {
  numbers += 1;
  const sender = stranger(site, parseAddress(`sender${numbers}#${domain ?? `domain${numbers}.test`}`));
  return { sender, login: await site.logIn(sender) };
}

async function price(login: Login, recipient: Address = BOB, type = 'email', at: ApiSite = site): Promise<number> {
  const reply = await at.get(`/0.1/get_pow_params/${segment(recipient)}/${type}`, login.token);
  return answerOf('get_pow_params', reply).zero_bits;
}

/** Sends a message; how many bits it was asked. */
async function send(
  from: { sender: Person; login: Login },
  recipient: Address = BOB,
  ciphertext = randomBytes(400),
): Promise<number> {
  const { envelope } = await prepare(site, { ...from, recipient, ciphertext });
  const { message_id } = answerOf('send_message', await site.post(sendPath(recipient), envelope, from.login.token));
  const row = await site.opened.db
    .selectFrom('message')
    .select('pow_zero_bits')
    .where('message_id', '=', Buffer.from(message_id, 'hex'))
    .executeTakeFirstOrThrow();
  return row.pow_zero_bits ?? -1;
}

/** As if so much of a count had come together. */
const set = (address: string, change: { asked?: number; failures?: number; failed_logins?: number }) =>
  site.opened.db.updateTable('pow_sender').set(change).where('address', '=', address).execute();

describe('a message', () => {
  it('costs a newcomer most, less once one was stored, least after an answer', async () => {
    const her = await newcomer();
    const answered = { sender: her.sender.address, recipient: BOB };
    expect(await send(her)).toBe(4 + NEW);
    expect(await send(her)).toBe(4 + NEW - 1);
    expect(await price(her.login, CAROL)).toBe(4 + NEW);
    await noteWritten(site.opened.db, { ...answered, now: site.now });
    expect(await send(her)).toBe(4 + NEW - 1 - 2);
    expect(await price(her.login, CAROL)).toBe(4 + NEW);
  });

  it('is no first contact when the recipient wrote first', async () => {
    const her = await newcomer();
    await noteWritten(site.opened.db, { sender: her.sender.address, recipient: BOB, now: site.now });
    expect(await price(her.login)).toBe(4 + NEW - 1 - 2);
  });

  it('is a first contact until one was really stored', async () => {
    const her = await newcomer();
    expect(await price(her.login)).toBe(4 + NEW);
    expect(await price(her.login)).toBe(4 + NEW);
  });

  it('costs what its type costs', async () => {
    const her = await newcomer();
    expect(await price(her.login, BOB, 'secret-ed25519')).toBe(4 + NEW + 1);
  });

  it('costs more after too many to one person, after too many in all, after too many bytes', async () => {
    const her = await newcomer();
    const bits: number[] = [];
    for (let index = 0; index < 9; index += 1) bits.push(await price(her.login));
    expect(bits).toEqual([...Array(8).fill(4 + NEW), 4 + NEW + 1]);
    await set(her.sender.address, { asked: 19 });
    expect(await price(her.login, CAROL)).toBe(4 + NEW);
    expect(await price(her.login, CAROL)).toBe(4 + NEW + 2);
    const large = await newcomer();
    await send(large, CAROL, randomBytes(5 * 1024));
    expect(await price(large.login, CAROL)).toBe(4 + NEW - 1);
    await send(large, CAROL, randomBytes(1));
    expect(await price(large.login, CAROL)).toBe(4 + NEW);
  });

  it('costs less when sender and domain have been known for some days', async () => {
    const her = await newcomer();
    await send(her);
    site.later(2 * DAY_SECONDS - 1);
    let login = await site.logIn(her.sender);
    expect(await price(login)).toBe(4 + 2);
    site.later(1);
    expect(await price(login)).toBe(4 + 1);
    site.later(DAY_SECONDS);
    login = await site.logIn(her.sender);
    expect(await price(login)).toBe(4);
  });

  it('does not grow old by the date in a record, nor by asking and never sending', async () => {
    const silent = await newcomer();
    const paying = await newcomer();
    expect(await price(silent.login)).toBe(4 + NEW);
    await send(paying);
    site.later(2 * DAY_SECONDS);
    expect(await price(await site.logIn(silent.sender))).toBe(4 + NEW);
    expect(await price(await site.logIn(paying.sender))).toBe(4 + 1);
  });

  it('costs more when the recipient gets more strangers than usual, from correspondents no load', async () => {
    const dora = await site.account(parseAddress('dora#corp.test'), { ephemeral: 50 });
    const friend = await newcomer();
    await noteWritten(site.opened.db, { sender: friend.sender.address, recipient: dora.address, now: site.now });
    for (let index = 0; index < 6; index += 1) await send(friend, dora.address);
    const last = await newcomer();
    for (let index = 0; index < 10; index += 1) await send(await newcomer(), dora.address);
    expect(await price(last.login, dora.address)).toBe(4 + NEW);
    await send(await newcomer(), dora.address);
    expect(await price(last.login, dora.address)).toBe(4 + NEW + 2);
    expect(await price(last.login, CAROL)).toBe(4 + NEW);
  });

  it('costs more after refused messages, and not after another one refused them', async () => {
    const her = await newcomer();
    const { envelope, messageKey } = await prepare(site, { ...her, recipient: BOB });
    const draft = { ...her, recipient: BOB, messageKey: messageKey.public_key };
    const refused = async (body: unknown): Promise<string> =>
      codeOf(await site.post(sendPath(BOB), body, her.login.token));
    expect(await refused(envelopeOf(draft))).toBe('bad_pow');
    expect(await refused({ ...envelope, message_public_key: '00'.repeat(32) })).toBe('bad_key');
    expect(await price(her.login)).toBe(4 + NEW);
    expect(await refused({ ...envelope, message_hash: envelope.message_hash.replace(/^../, '00') })).toBe(
      'bad_signature',
    );
    expect(await price(her.login)).toBe(4 + NEW + 3);
    const other = await newcomer();
    expect(codeOf(await site.post(sendPath(BOB), envelope, other.login.token))).toBe('bad_key');
    expect(await price(her.login)).toBe(4 + NEW + 3);
  });

  it('costs a little more after failed logins in the name of somebody who was seen; others leave no row', async () => {
    const her = await newcomer();
    await price(her.login);
    const wrong = { address: her.sender.address, master: masterKeyPair() };
    const nobody = { address: parseAddress('nobody#nowhere.test'), master: masterKeyPair() };
    site.remoteKeys.set(nobody.address, '00'.repeat(32) as never);
    for (const person of [wrong, wrong, wrong, nobody]) {
      const body = await loginBody(site, person);
      expect(codeOf(await site.post(`/0.1/create_session/${segment(person.address)}`, body))).toBe('unauthorized');
    }
    expect(await price(her.login)).toBe(4 + NEW + 1);
    const rows = await site.opened.db
      .selectFrom('pow_sender')
      .selectAll()
      .where('address', '=', nobody.address)
      .execute();
    expect(rows).toEqual([]);
  });

  it('costs accounts of this server nothing, and leaves no trace of them', async () => {
    const login = await site.logIn(bob);
    expect(await price(login, CAROL)).toBe(0);
    expect(await send({ sender: bob, login }, CAROL)).toBe(0);
    const rows = await site.opened.db.selectFrom('pow_contact').selectAll().where('sender_address', '=', BOB).execute();
    expect(rows).toEqual([]);
  });

  it('costs whom the recipient whitelisted nothing, and loads nobody', async () => {
    const her = await newcomer();
    const gina = await site.account(parseAddress('gina#corp.test'), { ephemeral: 50 });
    const home = await site.logIn(gina);
    const list = async (kind: 'address' | 'domain', value: string) => {
      const hash = listHash({ owner: gina.address, kind, value });
      expect((await site.post('/0.1/whitelist', { hash, data: '' }, home.token)).status).toBe(201);
      return () => site.send({ method: 'DELETE', path: `/0.1/whitelist/${hash}`, token: home.token });
    };
    const domain = addressParts(her.sender.address).domain;
    for (const remove of [await list('address', her.sender.address), await list('domain', domain)]) {
      expect(await send(her, gina.address)).toBe(0);
      expect(await price(her.login)).toBe(4 + NEW);
      expect((await remove()).status).toBe(204);
    }
    const load = await site.opened.db
      .selectFrom('pow_recipient')
      .selectAll()
      .where('address', '=', gina.address)
      .execute();
    expect(load).toEqual([]);
    expect(await price(her.login, gina.address)).toBeGreaterThan(0);
  });

  it('counts a domain, of which one sender is only a part', async () => {
    const [loud, quiet] = [await newcomer('shared.test'), await newcomer('shared.test')];
    await price(loud.login);
    await set(loud.sender.address, { asked: 5_000 });
    for (let index = 0; index < 10; index += 1) await price(loud.login, CAROL);
    const { asked } = await site.opened.db
      .selectFrom('pow_domain')
      .select('asked')
      .where('domain', '=', 'shared.test')
      .executeTakeFirstOrThrow();
    expect(asked).toBe(1);
    expect(await price(quiet.login)).toBe(4 + NEW);
    await site.opened.db.updateTable('pow_domain').set({ asked: 119 }).where('domain', '=', 'shared.test').execute();
    expect(await price(quiet.login)).toBe(4 + NEW);
    expect(await price(quiet.login)).toBe(4 + NEW + 2);
  });

  it('is checked against the bits that were asked, not against what it would cost now', async () => {
    const her = await newcomer();
    const early = await prepare(site, { ...her, recipient: CAROL });
    await set(her.sender.address, { asked: 1_000 });
    expect(await price(her.login, CAROL)).toBe(4 + NEW + 2);
    expect((await site.post(sendPath(CAROL), early.envelope, her.login.token)).status).toBe(200);
  });
});

describe('asked at once', () => {
  it('costs as if asked one after the other, in many sessions and at two processes', async () => {
    await using second = await startApi({ powPolicy: POLICY, opened: site.opened });
    second.now = site.now;
    const her = await newcomer();
    const logins = await Promise.all(Array.from({ length: 4 }, () => site.logIn(her.sender)));
    const asks = logins.flatMap((login) =>
      Array.from({ length: 10 }, (_, index) =>
        price(login, index % 2 === 0 ? BOB : CAROL, 'email', index < 5 ? site : second),
      ),
    );
    const bits = await Promise.all(asks);
    // Eight to each of two at the price of a newcomer, then four more, then from the twenty-first on two bits more.
    expect(bits.filter((value) => value === 4 + NEW).length).toBeLessThanOrEqual(16);
    expect(bits.filter((value) => value >= 4 + NEW + 2)).toHaveLength(20);
    const counted = await site.opened.db
      .selectFrom('pow_sender')
      .select('asked')
      .where('address', '=', her.sender.address)
      .executeTakeFirstOrThrow();
    expect(counted.asked).toBeCloseTo(40, 6);
  });

  it('never stands in its own way: asking, sending and being answered on the same rows', async () => {
    const people = await Promise.all(
      ['hugo', 'ines', 'jan'].map((name) => site.account(parseAddress(`${name}#corp.test`), { ephemeral: 0 })),
    );
    const senders = await Promise.all([1, 2, 3].map(() => newcomer('busy.test')));
    const work = senders.flatMap((her) =>
      people.flatMap(({ address }) => [
        send(her, address),
        price(her.login, address),
        noteWritten(site.opened.db, { sender: her.sender.address, recipient: address, now: site.now }),
        countFailure(site.opened.db, { sender: her.sender.address, what: 'attempt', now: site.now }),
      ]),
    );
    for (const outcome of await Promise.allSettled(work)) expect(outcome).toMatchObject({ status: 'fulfilled' });
  });

  it('counts every stored message once', async () => {
    const eve = await site.account(parseAddress('eve#corp.test'), { ephemeral: 0 });
    const senders = await Promise.all(Array.from({ length: 6 }, () => newcomer()));
    const ready = await Promise.all(senders.map((her) => prepare(site, { ...her, recipient: eve.address })));
    const posts = ready.flatMap(({ envelope }, index) =>
      [1, 2].map(() => site.post(sendPath(eve.address), envelope, senders[index]?.login.token)),
    );
    for (const reply of await Promise.all(posts)) expect(reply.status).toBe(200);
    const load = await site.opened.db
      .selectFrom('pow_recipient')
      .select('strangers')
      .where('address', '=', eve.address)
      .executeTakeFirstOrThrow();
    expect(load.strangers).toBeCloseTo(6, 6);
  });
});

describe('the facts in the database', () => {
  it('are those of the simulation, for the same events', async () => {
    const { db } = site.opened;
    const ledger = new PowLedger();
    const start = Date.UTC(2026, 0, 1);
    const [sender, other, recipient] = ['ann#facts.test', 'ben#facts.test', 'zoe#corp.test'];
    const pair = { sender, recipient };
    const seen: [PowFacts, Omit<PowFacts, 'message_type'>][] = [];
    const ask = async (from: string, now: number): Promise<void> => {
      const expected = ledger.ask({ sender: from, recipient, messageType: 'email', now });
      const counted = await db
        .transaction()
        .execute((tx) => countAsked(tx, { sender: from, recipient, now: new Date(now) }));
      seen.push([expected, counted]);
    };
    let now = start;
    for (const hours of [0, 0, 1, 5, 30, 2, 400, 24 * 31, 1]) {
      now += hours * 3_600_000;
      await ask(sender, now);
      if (hours === 5) await ask(other, now);
      ledger.store({ ...pair, sizeBytes: 1_000, now });
      await db.transaction().execute((tx) => countStored(tx, { ...pair, sizeBytes: 1_000, now: new Date(now) }));
      for (const what of ['attempt', 'login'] as const) {
        ledger.fail({ sender, what, now });
        await countFailure(db, { sender, what, now: new Date(now) });
      }
      if (hours !== 2) continue;
      ledger.write({ ...pair, now });
      await noteWritten(db, { ...pair, now: new Date(now) });
    }
    for (const [expected, counted] of seen) {
      for (const [name, value] of Object.entries(counted)) {
        const other = expected[name as keyof PowFacts];
        if (typeof value === 'number') expect(value, name).toBeCloseTo(Number(other), 6);
        else expect(value, name).toBe(other);
      }
    }
    expect(seen).toHaveLength(10);
  });

  it('are explained without being counted', async () => {
    const her = await newcomer();
    const people = { sender: her.sender.address, recipient: BOB, accountId: bob.accountId };
    const ask = { ...people, messageType: 'email', now: site.now };
    const services = { domains: ['corp.test'], powPolicy: POLICY };
    for (let index = 0; index < 3; index += 1) {
      const explained = await explainPrice(site.opened.db, services, ask);
      expect(explained).toMatchObject({ rule: 'policy', bits: 4 + NEW, facts: { sender_messages_per_day: 1 } });
    }
    expect(await explainPrice(site.opened.db, services, { ...ask, sender: CAROL })).toEqual({ rule: 'home', bits: 0 });
  });

  it('go when they are old, and with the account', async () => {
    const { db } = site.opened;
    const fred = await site.account(parseAddress('fred#corp.test'), { ephemeral: 5 });
    const [kept, silent] = [await newcomer(), await newcomer()];
    await send(kept, fred.address);
    await price(silent.login, fred.address);
    const contacts = async (): Promise<string[]> => {
      const rows = await db
        .selectFrom('pow_contact')
        .select('sender_address')
        .where('recipient_address', '=', fred.address)
        .execute();
      return rows.map(({ sender_address }) => sender_address).sort();
    };
    const later = new Date(site.now.getTime() + 1);
    expect(await contacts()).toEqual([kept.sender.address, silent.sender.address].sort());
    await forgetOldPowFacts(db, { asked: later, known: site.now });
    expect(await contacts()).toEqual([kept.sender.address]);
    await db.transaction().execute((tx) => removeAccount(tx, fred.accountId));
    expect(await contacts()).toEqual([]);
    await forgetOldPowFacts(db, { asked: later, known: later });
    for (const table of ['pow_sender', 'pow_domain', 'pow_contact', 'pow_recipient'] as const)
      expect(await db.selectFrom(table).selectAll().execute()).toEqual([]);
  });
});
