/** Deliveries from one home server to another, both real, over HTTPS: what the sender calls done is there exactly once. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createApi } from '../src/api/server.ts';
import { createAccounts } from '../src/identity/accounts.ts';
import { createKeystore, type Keystore } from '../src/keystore/keystore.ts';
import type { Stage } from '../src/pipeline/stage.ts';
import { constantPolicy } from '../src/policy/pow-policy.ts';
import { createDiscovery } from '../src/remote/discovery.ts';
import { createHomeClient } from '../src/remote/home.ts';
import { createHttps } from '../src/remote/https.ts';
import { createFetchPublicKey, type FetchPublicKey } from '../src/remote/public-keys.ts';
import { type Address, parseAddress } from '../src/smimp/address.ts';
import { openBoxes } from '../src/smimp/boxes.ts';
import type { BaseUrl } from '../src/smimp/discovery.ts';
import { parseBody } from '../src/smimp/email.ts';
import { type Hex24, type Hex32, toHex } from '../src/smimp/encoding.ts';
import type { OpenedDatabase } from '../src/store/database.ts';
import { findDelivery } from '../src/store/outbound.ts';
import { testDatabase } from './support/database.ts';
import { BODY, type OutboundSite, outboundSite, TestClock } from './support/outbound-site.ts';
import { testAuthority, testCertificate } from './support/tls-server.ts';

const owned = new AsyncDisposableStack();
const clock = new TestClock();
const bob = parseAddress('bob#corp.test');
let acme: OutboundSite;
let corp: OpenedDatabase;
let corpKeystore: Keystore;
let bobId: number;

async function serve(
  domain: string,
  opened: OpenedDatabase,
  fetchPublicKey: FetchPublicKey,
  events: OutboundSite['events'],
): Promise<Record<string, string>> {
  const host = `smimp.${domain}`;
  const issued = await testCertificate(domain, host);
  const api = createApi({
    db: opened.db,
    listener: opened.listener,
    baseUrl: `https://${host}` as BaseUrl,
    domains: [domain],
    powPolicy: constantPolicy(6),
    fetchPublicKey,
    events,
    clock: clock.read,
    tls: { cert: issued.certificate, key: issued.key },
  });
  owned.use(api);
  const { port } = await api.listen({ host: '127.0.0.1', port: 0 });
  return { [domain]: `127.0.0.1:${port}`, [host]: `127.0.0.1:${port}` };
}

beforeAll(async () => {
  const late: { fetch: FetchPublicKey } = { fetch: () => Promise.reject(new Error('not ready')) };
  corp = owned.use(await testDatabase());
  const hosts: Record<string, string> = {};
  acme = owned.use(await outboundSite([{ hosts }], clock));
  const fetch: FetchPublicKey = (address) => late.fetch(address);
  const { events } = acme;
  Object.assign(acme.hosts, await serve('corp.test', corp, fetch, events));
  Object.assign(acme.hosts, await serve('acme.test', acme.opened, fetch, events));
  const https = owned.use(createHttps({ hosts: acme.hosts, allow: [], ca: [(await testAuthority()).certificate] }));
  const home = createHomeClient({ https });
  const discovery = createDiscovery({ https, db: corp.db, clock: clock.read });
  late.fetch = createFetchPublicKey({ discovery, home, clock: clock.read });
  corpKeystore = createKeystore({ db: corp.db, serverKey: Buffer.alloc(32, 9) });
  const accounts = createAccounts({ db: corp.db, keystore: corpKeystore, events, clock: clock.read });
  bobId = (await accounts.add({ address: bob, password: 'secret word', name: null })).id;
});
afterAll(() => owned.disposeAsync());

const received = () =>
  corp.db.selectFrom('message').selectAll().where('account_id', '=', bobId).orderBy('seq').execute();
const stageOf = async (id: number): Promise<string | undefined> => (await findDelivery(acme.opened.db, id))?.stage;

async function submit(to: Address): Promise<number> {
  return (await acme.submit(to))[0] as number;
}

it('arrives, and opens with what the recipient has', async () => {
  const id = await submit(bob);
  await acme.run(id);
  expect(await stageOf(id)).toBe('done');
  const [message] = await received();
  if (message === undefined) throw new Error('nothing arrived');
  const keys = await corpKeystore.open(bobId);
  const messageSecret = await keys.messageSecret(message.message_public_key);
  if (messageSecret === null) throw new Error('no secret');
  const senderPublicKey = toHex<Hex32>(message.sender_public_key);
  const { body } = openBoxes({
    ciphertext: message.ciphertext,
    nonce: toHex<Hex24>(message.nonce),
    senderPublicKey,
    senderMasterKeys: [senderPublicKey],
    messageSecret,
  });
  expect(parseBody('email', body).value).toEqual(BODY);
  expect(message).toMatchObject({ sender_address: 'alice#acme.test', pow_zero_bits: 6 });
  expect((await findDelivery(acme.opened.db, id))?.message_id).toEqual(message.message_id);
  // What Bob will pay for his answer is decided by this at acme.test, what Alice pays next by the other at corp.test.
  const contact = { recipient_address: 'alice#acme.test', sender_address: bob };
  const of = (opened: OpenedDatabase) => opened.db.selectFrom('pow_contact').selectAll().execute();
  expect(await of(acme.opened)).toEqual([expect.objectContaining({ ...contact, written_at: clock.read() })]);
  const turned = { recipient_address: bob, sender_address: 'alice#acme.test' };
  expect(await of(corp)).toEqual([expect.objectContaining({ ...turned, received_at: clock.read(), written_at: null })]);
});

it('is there once when the sender was killed between post and commit', async () => {
  const before = (await received()).length;
  const id = await submit(bob);
  for (let deaths = 0; deaths < 3; deaths++) {
    const dying = new AbortController();
    const deliver: Stage = async (work) => {
      await acme.stages.deliver(work);
      dying.abort();
      throw new Error('killed');
    };
    await acme.runner({ stages: { deliver } }).run(id, dying.signal);
  }
  expect(await stageOf(id)).toBe('deliver');
  expect(await received()).toHaveLength(before + 1);
  await acme.run(id);
  const after = await received();
  expect(after).toHaveLength(before + 1);
  expect((await findDelivery(acme.opened.db, id))?.message_id).toEqual(after.at(-1)?.message_id);
});

it('carries many at once to one person, single-use keys and shared ones, without burning work', async () => {
  const before = (await received()).length;
  const ids: number[] = [];
  for (let i = 0; i < 30; i++) ids.push(await submit(bob));
  await Promise.all(ids.map((id) => acme.run(id)));
  expect(await Promise.all(ids.map(stageOf))).toEqual(ids.map(() => 'done'));
  expect(await received()).toHaveLength(before + 30);
  const deliveries = await Promise.all(ids.map((id) => findDelivery(acme.opened.db, id)));
  expect(deliveries.map((delivery) => delivery?.attempts)).toEqual(ids.map(() => 0));
  const keys = new Set((await received()).map(({ message_public_key }) => toHex(message_public_key)));
  expect(keys.size).toBe(21);
});

it('goes to a neighbour on the same server by the same way, without work', async () => {
  const accounts = createAccounts({
    db: acme.opened.db,
    keystore: acme.keystore,
    events: acme.events,
    clock: clock.read,
  });
  const dora = parseAddress('dora#acme.test');
  const { id: doraId } = await accounts.add({ address: dora, password: 'secret word', name: null });
  const ids = [await submit(dora), await submit(acme.alice.address)];
  for (const id of ids) await acme.run(id);
  expect(await Promise.all(ids.map(stageOf))).toEqual(['done', 'done']);
  expect((await findDelivery(acme.opened.db, ids[0] as number))?.zero_bits).toBe(0);
  const there = await acme.opened.db.selectFrom('message').select('account_id').execute();
  expect(there.map(({ account_id }) => account_id).sort()).toEqual([acme.alice.accountId, doraId].sort());
});
