/** Identities of people of the old internet at a gateway (SMIMP 0.1 §6): who makes one, how many, and what keys it has. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createEvents } from '../src/events.ts';
import { freshenKeys } from '../src/identity/fresh-keys.ts';
import { createKeyMaintenance, KEEP_RETIRED_MS, ROTATE_AFTER_MS } from '../src/identity/maintenance.ts';
import { createKeystore, type Keystore } from '../src/keystore/keystore.ts';
import { createLegacyIdentities, ensureLegacyIdentity } from '../src/legacy/identities.ts';
import { createLogger } from '../src/log.ts';
import { type Address, parseAddress, parseDomain } from '../src/smimp/address.ts';
import { verifyHistory } from '../src/smimp/chain.ts';
import { encodeLegacy, legacyMailbox } from '../src/smimp/gateway.ts';
import { createAccount } from '../src/store/accounts.ts';
import type { Db } from '../src/store/database.ts';
import { listAvailableKeys } from '../src/store/message-keys.ts';
import {
  type ApiSite,
  answerOf,
  codeOf,
  envelopeOf,
  type Login,
  type Person,
  prepare,
  segment,
  sendPath,
  startApi,
  stranger,
} from './support/api-site.ts';

const GATEWAY = parseDomain('gw.test');
const NEW_PER_DAY = 5;
const DAY_MS = 86_400_000;
const silent = createEvents(createLogger({ level: 'silent' }));

let site: ApiSite;
let db: Db;
let keystore: Keystore;
beforeAll(async () => {
  site = await startApi({
    legacy: (opened) => {
      keystore = createKeystore({ db: opened.db, serverKey: Buffer.alloc(32, 7) });
      const senders = ['corp.test', 'alice#acme.test'];
      const who = { gatewayDomain: GATEWAY, senders, recipients: ['corp.test'], newPerDay: NEW_PER_DAY };
      return createLegacyIdentities({ db: opened.db, keystore, events: silent, ...who });
    },
  });
  db = site.opened.db;
});
afterAll(() => site[Symbol.asyncDispose]());

let people = 0;
/** A mailbox that nobody used yet. */
const mailbox = (): string => `user${++people}@old.test`;
const coded = (legacy: string): Address => encodeLegacy(legacy, GATEWAY);
const sender = (domain = 'corp.test'): Person => stranger(site, parseAddress(`s${++people}#${domain}`));
const ask = (recipient: Address, login: Login) =>
  site.post('/0.1/get_message_key', { address: recipient }, login.token);
const ensure = (legacy: string) =>
  db
    .transaction()
    .execute((tx) => ensureLegacyIdentity(tx, { keystore, gatewayDomain: GATEWAY, mailbox: legacy, now: site.now }));
const history = (address: Address) => site.get(`/0.1/get_user/${segment(address)}/history`);
const accountOf = (address: Address) =>
  db.selectFrom('account').selectAll().where('address', '=', address).executeTakeFirst();

describe('an identity of a legacy correspondent', () => {
  it('is made once, whoever asks at once, with a history that verifies and keys that nobody logs in with', async () => {
    const legacy = 'Zoe+x@Ex.org';
    const made = await Promise.all(Array.from({ length: 8 }, () => ensure(legacy)));
    expect(made.filter((one) => one.made)).toHaveLength(1);
    expect(new Set(made.map(({ accountId }) => accountId)).size).toBe(1);
    const { address, accountId } = made[0] as (typeof made)[number];
    expect(address).toBe('z7aoez2bxz40exz2eorg#gw.test');
    expect(legacyMailbox(address, GATEWAY)).toBe('zoe+x@ex.org');
    const { records, head } = answerOf('get_history', await history(address));
    expect(verifyHistory({ address, records, head }).seq).toBe(0);
    const login = { address, password: '', source: '192.0.2.1', now: site.now };
    expect((await keystore.verifyPassword({ ...login, password: 'anything' })).ok).toBe(false);
    expect((await keystore.open(accountId)).address).toBe(address);
  });

  it('has a master key of its own', async () => {
    const [one, other] = [await ensure(mailbox()), await ensure(mailbox())];
    const keyOf = async (accountId: number) => (await (await keystore.open(accountId)).master()).publicKey;
    expect(await keyOf(one.accountId)).not.toEqual(await keyOf(other.accountId));
  });

  it('does not take an account over that stands for nobody', async () => {
    const legacy = mailbox();
    const native = { address: coded(legacy), initializeHash: null, now: site.now };
    await db.transaction().execute((tx) => createAccount(tx, native));
    await expect(ensure(legacy)).rejects.toMatchObject({ code: 'occupied' });
    const login = await site.logIn(sender());
    expect(codeOf(await ask(coded(legacy), login))).toBe('unknown_user');
  });

  it('is not made by who looks a user up', async () => {
    const address = coded(mailbox());
    for (const part of ['public_key', 'most_recent', 'history'])
      expect(codeOf(await site.get(`/0.1/get_user/${segment(address)}/${part}`))).toBe('unknown_user');
    await site.get(`/0.1/create_session/${segment(address)}`);
    const login = await site.logIn(sender());
    expect(codeOf(await site.get(`/0.1/get_pow_params/${segment(address)}/email`, login.token))).toBe('unknown_user');
    expect(await accountOf(address)).toBeUndefined();
  });

  it('is made when a sender the configuration names asks for a message key, also twice at once', async () => {
    const address = coded(mailbox());
    const logins = [await site.logIn(sender()), await site.logIn(stranger(site, parseAddress('alice#acme.test')))];
    const given = (await Promise.all(logins.map((login) => ask(address, login)))).map((reply) =>
      answerOf('get_message_key', reply),
    );
    expect(given[0]?.head).toBe(given[1]?.head);
    expect(given.map(({ non_ephemeral }) => non_ephemeral)).toEqual([false, false]);
    expect(answerOf('get_history', await history(address)).head).toBe(given[0]?.head);
  });

  it('is not made for an address that is no coding, a second spelling, or a mailbox that speaks SMIMP', async () => {
    const login = await site.logIn(sender());
    const hidden = ['alice', 'z61z40oldz2etest', 'az40corpz2etest', 'az40gwz2etest', 'az40old'];
    for (const local of hidden) {
      const address = parseAddress(`${local}#gw.test`);
      expect(codeOf(await ask(address, login)), local).toBe('unknown_user');
      expect(await accountOf(address), local).toBeUndefined();
    }
  });
});

describe('who is not among the senders', () => {
  it.each(['other.test', 'sub.corp.test', 'orp.test', 'acme.test'])(
    'is refused keys and messages: %s',
    async (domain) => {
      const unknown = coded(mailbox());
      const login = await site.logIn(sender(domain));
      expect(codeOf(await ask(unknown, login))).toBe('blocked');
      expect(await accountOf(unknown)).toBeUndefined();
      const { address } = await ensure(mailbox());
      expect(codeOf(await ask(address, login))).toBe('blocked');
    },
  );

  it('is refused with an envelope in hand, whether it would pass the other checks or not', async () => {
    const allowed = sender();
    const good = await site.logIn(allowed);
    const address = coded(mailbox());
    const { envelope } = await prepare(site, { sender: allowed, login: good, recipient: address });
    const foreign = sender('other.test');
    const login = await site.logIn(foreign);
    const forged = envelopeOf({ sender: foreign, recipient: address, login, messageKey: envelope.message_public_key });
    expect(codeOf(await site.post(sendPath(address), forged, login.token))).toBe('blocked');
    expect((await site.post(sendPath(address), envelope, good.token)).status).toBe(200);
  });

  it('may be an identity of the gateway itself: one correspondent cannot reach another through it', async () => {
    const { accountId, address } = await ensure(mailbox());
    const login = await site.logIn({ address, master: await (await keystore.open(accountId)).master() });
    expect(login.scope).toBe('home');
    expect(codeOf(await ask(coded(mailbox()), login))).toBe('blocked');
  });
});

describe('new identities for a sender', () => {
  it('are as many in a day as the configuration says, also when all are asked for at once', async () => {
    const busy = sender();
    const login = await site.logIn(busy);
    const mailboxes = Array.from({ length: NEW_PER_DAY + 2 }, mailbox);
    const replies = await Promise.all(mailboxes.map((legacy) => ask(coded(legacy), login)));
    expect(replies.filter(({ status }) => status === 200)).toHaveLength(NEW_PER_DAY);
    const refused = replies.filter(({ status }) => status !== 200);
    expect(refused.map(codeOf)).toEqual(['too_many_requests', 'too_many_requests']);
    expect(Number(refused[0]?.headers['retry-after'])).toBeGreaterThan(0);
    // Whoever is known already is no new one, and other senders have days of their own.
    const known = mailboxes[replies.findIndex(({ status }) => status === 200)] as string;
    expect((await ask(coded(known), login)).status).toBe(200);
    expect((await ask(coded(mailbox()), await site.logIn(sender()))).status).toBe(200);
    const open = mailboxes[replies.findIndex(({ status }) => status !== 200)] as string;
    const makers = { db, keystore, events: silent };
    const maintenance = createKeyMaintenance(makers);
    site.now = new Date(site.now.getTime() + DAY_MS - 1000);
    await maintenance.runOnce(site.now);
    expect(codeOf(await ask(coded(open), await site.logIn(busy)))).toBe('too_many_requests');
    site.later(1);
    expect((await ask(coded(open), await site.logIn(busy))).status).toBe(200);
    await maintenance.runOnce(site.now);
    const made = db.selectFrom('legacy_identity').select('made_for').where('made_for', 'is not', null);
    expect((await made.execute()).map(({ made_for }) => made_for)).toEqual([busy.address]);
  });
});

describe('keys of a legacy identity', () => {
  const maintain = () => createKeyMaintenance({ db, keystore, events: silent }).runOnce(site.now);
  const available = async (accountId: number) => (await listAvailableKeys(db, accountId)).length;
  const lasting = (accountId: number) =>
    db
      .selectFrom('message_key')
      .select('public_key')
      .where('account_id', '=', accountId)
      .where('state', '=', 'current')
      .executeTakeFirstOrThrow();

  it('are one lasting key until somebody writes to it, then a pool that is kept full', async () => {
    const legacy = mailbox();
    const { accountId, address } = await ensure(legacy);
    await maintain();
    expect(await available(accountId)).toBe(0);
    const login = await site.logIn(sender());
    expect(answerOf('get_message_key', await ask(address, login)).non_ephemeral).toBe(false);
    expect(await available(accountId)).toBe(99);
  });

  it('are replaced weekly by the ordinary maintenance, and the old secrets erased', async () => {
    const { accountId, address } = await ensure(mailbox());
    answerOf('get_message_key', await ask(address, await site.logIn(sender())));
    const first = await lasting(accountId);
    site.now = new Date(site.now.getTime() + ROTATE_AFTER_MS);
    await maintain();
    expect(await lasting(accountId)).not.toEqual(first);
    site.now = new Date(site.now.getTime() + Math.max(KEEP_RETIRED_MS, DAY_MS) + 1000);
    await maintain();
    expect(await (await keystore.open(accountId)).messageSecret(first.public_key)).toBeNull();
  });

  it('are fresh when the first message comes long after the identity was made', async () => {
    const { accountId, address } = await ensure(mailbox());
    const first = await lasting(accountId);
    site.now = new Date(site.now.getTime() + 60 * DAY_MS);
    await maintain();
    expect(await lasting(accountId)).toEqual(first);
    answerOf('get_message_key', await ask(address, await site.logIn(sender())));
    expect(await lasting(accountId)).not.toEqual(first);
    const none = await db
      .transaction()
      .execute(async (tx) => freshenKeys(tx, await keystore.open(accountId, tx), site.now));
    expect(none).toEqual({ ephemeral: 0, nonEphemeral: 0 });
  });
});
