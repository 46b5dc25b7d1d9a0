/**
 * Everything of a gateway that carries mail outward, over a real database: legacy identities, the opening of what arrives, the
 * pipeline, and a mailer that reaches a server of the old internet on loopback. Alice lives at a server that a test commands.
 */
import { createEvents, type Events } from '../../src/events.ts';
import { createIdentity, type Identity } from '../../src/identity/resolve.ts';
import { createKeystore, type Keystore } from '../../src/keystore/keystore.ts';
import { ensureLegacyIdentity } from '../../src/legacy/identities.ts';
import { createNewcomers } from '../../src/legacy/newcomers.ts';
import { createOutgoing } from '../../src/legacy/outgoing.ts';
import { createLogger } from '../../src/log.ts';
import { createMailbox } from '../../src/mailbox/mailbox.ts';
import { openPending } from '../../src/mailbox/open.ts';
import { ByteGate } from '../../src/memory/byte-gate.ts';
import { createOutward } from '../../src/pipeline/outward.ts';
import { createPipeline, type Pipeline } from '../../src/pipeline/pipeline.ts';
import { createDiscovery } from '../../src/remote/discovery.ts';
import { createHomeClient } from '../../src/remote/home.ts';
import { createHttps } from '../../src/remote/https.ts';
import { createSessions } from '../../src/remote/sessions.ts';
import { type Address, parseDomain } from '../../src/smimp/address.ts';
import type { BaseUrl } from '../../src/smimp/discovery.ts';
import type { OpenedDatabase } from '../../src/store/database.ts';
import { type Delivery, findDelivery, listDeliveries } from '../../src/store/outbound.ts';
import { testDatabase } from './database.ts';
import { type HostileServer, type ServedUser, startHostileServer } from './hostile-server.ts';
import { type Letter, receive } from './mail-site.ts';
import { type OldServer, startOldServer } from './old-server.ts';
import { DELAY_NOTICE_MS, GIVE_UP_MS, TestClock } from './outbound-site.ts';
import { testAuthority } from './tls-server.ts';

export const GATEWAY = parseDomain('gw.test');

export interface GatewaySite extends AsyncDisposable {
  readonly opened: OpenedDatabase;
  readonly clock: TestClock;
  readonly events: Events;
  readonly keystore: Keystore;
  readonly identity: Identity;
  readonly pipeline: Pipeline;
  /** Where Alice lives. */
  readonly acme: HostileServer;
  readonly alice: ServedUser;
  /** Where Bob has his mailbox. */
  readonly old: OldServer;
  readonly bob: { accountId: number; address: Address };
  readonly log: string[];
  /** Puts an envelope for Bob into his identity's mailbox as the API does. */
  receive(letter: Omit<Letter, 'from'> & { from?: ServedUser }): Promise<Buffer>;
  /** Opens what is due. `dying`: as a process that is killed in the middle of the transaction. */
  open(options?: { dying?: boolean }): Promise<number>;
  /** Runs a delivery once, until it has to wait. */
  run(deliveryId: number, signal?: AbortSignal): Promise<Delivery>;
  /** The same, when it is due again. */
  again(deliveryId: number): Promise<Delivery>;
  deliveries(): Promise<Delivery[]>;
}

export async function gatewaySite(
  options: {
    senders?: readonly string[];
    dkim?: Record<string, { selector: string; key_file: string }>;
    /** Another way in which what leaves is written. */
    write?: NonNullable<Parameters<typeof createOutward>[0]['write']>;
  } = {},
): Promise<GatewaySite> {
  const opened = await testDatabase();
  const { db, listener } = opened;
  const clock = new TestClock();
  const log: string[] = [];
  const events = createEvents(createLogger({ level: 'info', destination: { write: (line) => log.push(line) } }));
  const acme = await startHostileServer('acme.test', { zeroBits: 0, now: clock.seconds });
  const alice = acme.addUser('alice', clock.seconds());
  const old = await startOldServer();
  const ca = [(await testAuthority()).certificate];
  const https = createHttps({ hosts: acme.hosts, allow: [], ca });
  const keystore = createKeystore({ db, serverKey: Buffer.alloc(32, 7) });
  const home = createHomeClient({ https });
  const common = { db, home, keystore, events, clock: clock.read };
  const discovery = createDiscovery({ ...common, https });
  const identity = createIdentity({ ...common, discovery, baseUrl: 'https://smimp.gw.test' as BaseUrl });
  const { senders = ['acme.test'], dkim = {}, ...writing } = options;
  const settings = { tls: 'opportunistic' as const, smarthost: null, routes: { 'old.test': old.target }, dkim };
  const outgoing = await createOutgoing({
    ...{ settings, name: 'mx.gw.test', password: null, network: { allow: [], ca }, https, db },
    clock: clock.read,
  });
  const ownDomains = ['gw.test', 'corp.test'];
  const newcomers = createNewcomers({ perHour: 1_000 });
  const gateway = { ...outgoing, domain: GATEWAY, senders, ownDomains, authServices: ['gw.test'], newcomers };
  const services = { ...common, identity };
  const mailbox = createMailbox({ ...services, listener });
  const pipeline = createPipeline({
    ...{ ...services, listener, sessions: createSessions(common), notices: mailbox.notices, gateway },
    queue: { kind: 'postgres', connection: opened.connection },
    limits: {
      ...{ concurrency: 1, askOperatorAboveBits: 22, mintThreads: 1 },
      ...{ delayNoticeAfterMs: DELAY_NOTICE_MS, giveUpAfterMs: GIVE_UP_MS },
    },
  });
  const outward = createOutward({ gateway, giveUpAfterMs: GIVE_UP_MS, events, clock: clock.read, ...writing });
  const bob = await db
    .transaction()
    .execute((tx) =>
      ensureLegacyIdentity(tx, { keystore, gatewayDomain: GATEWAY, mailbox: 'bob@old.test', now: clock.read() }),
    );
  const gate = new ByteGate(1_000_000);

  const run: GatewaySite['run'] = async (deliveryId, signal = new AbortController().signal) => {
    await pipeline.run(deliveryId, signal);
    const delivery = await findDelivery(db, deliveryId);
    if (delivery === undefined) throw new Error('no such delivery');
    return delivery;
  };
  return {
    ...{ opened, clock, events, keystore, identity, pipeline, acme, alice, old, bob, log, run },
    receive: (letter) => {
      const into = { opened, clock, identity, bobId: bob.accountId, recipient: bob.address };
      return receive(into, { from: alice, ...letter });
    },
    open: ({ dying = false } = {}) => {
      const take: typeof outward.take = (account, message) => {
        const onward = outward.take(account, message);
        const carry: typeof onward.carry = async (tx) => {
          await onward.carry(tx);
          if (dying) throw new Error('killed');
        };
        return { ...onward, carry };
      };
      return openPending({ ...services, gate, outward: { ...outward, take } }, bob.accountId);
    },
    async again(deliveryId) {
      clock.moveTo((await findDelivery(db, deliveryId))?.next_attempt_at ?? clock.read());
      return run(deliveryId);
    },
    deliveries: () => listDeliveries(db, { states: [], limit: 100 }),
    async [Symbol.asyncDispose]() {
      await pipeline[Symbol.asyncDispose]();
      await https[Symbol.asyncDispose]();
      await old[Symbol.asyncDispose]();
      await acme[Symbol.asyncDispose]();
      await opened[Symbol.asyncDispose]();
    },
  };
}
