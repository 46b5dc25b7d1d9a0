/**
 * Everything of a bridge that sends, over a real database, against servers that a test commands: only the queue and the
 * doors are missing. The clock stands still until it is moved.
 */
import { createEvents, type Events } from '../../src/events.ts';
import { createAccounts } from '../../src/identity/accounts.ts';
import { createIdentity, type Identity } from '../../src/identity/resolve.ts';
import { createKeystore, type Keystore } from '../../src/keystore/keystore.ts';
import { createLegacyPolicy, type LegacyPolicy } from '../../src/legacy/policy.ts';
import { createLogger } from '../../src/log.ts';
import { ByteGate } from '../../src/memory/byte-gate.ts';
import { createDeliver } from '../../src/pipeline/deliver.ts';
import { createMint } from '../../src/pipeline/mint.ts';
import { createMinter, type Minter } from '../../src/pipeline/minter.ts';
import { createQueueOperations, type QueueOperations } from '../../src/pipeline/queue-operations.ts';
import { createRelay } from '../../src/pipeline/relay.ts';
import { createHeld, createRoute } from '../../src/pipeline/route.ts';
import { createRunner, type Runner, type StageTable } from '../../src/pipeline/runner.ts';
import { createSeal } from '../../src/pipeline/seal.ts';
import type { Tell } from '../../src/pipeline/settle.ts';
import { sealContent } from '../../src/pipeline/submission-content.ts';
import { createDiscovery } from '../../src/remote/discovery.ts';
import { createHomeClient, type HomeClient } from '../../src/remote/home.ts';
import { createHttps } from '../../src/remote/https.ts';
import { createSessions, type Sessions } from '../../src/remote/sessions.ts';
import { type Address, parseAddress, parseDomain } from '../../src/smimp/address.ts';
import { openBoxes } from '../../src/smimp/boxes.ts';
import { randomBytes } from '../../src/smimp/crypto.ts';
import type { BaseUrl } from '../../src/smimp/discovery.ts';
import { type EmailBody, parseBody, serializeBody } from '../../src/smimp/email.ts';
import { type Hex24, type Hex32, parseBase64 } from '../../src/smimp/encoding.ts';
import { type MessageHeader, parseHeader } from '../../src/smimp/header.ts';
import type { OpenedDatabase } from '../../src/store/database.ts';
import { insertSubmission } from '../../src/store/submissions.ts';
import { testDatabase } from './database.ts';
import type { HostileServer, ServedMessage, ServedUser } from './hostile-server.ts';
import { testAuthority } from './tls-server.ts';

export const START = new Date('2026-01-15T12:00:00Z');
export const DELAY_NOTICE_MS = 4 * 3_600_000;
export const GIVE_UP_MS = 120 * 3_600_000;

export class TestClock {
  #now = START;
  readonly read = (): Date => this.#now;
  /** Unix seconds, as the protocol counts. */
  readonly seconds = (): number => Math.floor(this.#now.getTime() / 1000);

  advance(ms: number): void {
    this.#now = new Date(this.#now.getTime() + ms);
  }

  moveTo(time: Date): void {
    this.#now = time;
  }
}

export interface OutboundSite extends AsyncDisposable {
  readonly opened: OpenedDatabase;
  readonly clock: TestClock;
  readonly keystore: Keystore;
  readonly identity: Identity;
  readonly policy: LegacyPolicy;
  readonly events: Events;
  readonly minter: Minter;
  readonly home: HomeClient;
  readonly sessions: Sessions;
  readonly stages: StageTable;
  readonly operations: QueueOperations;
  readonly alice: { accountId: number; address: Address };
  /** Where servers are; may be added to. */
  readonly hosts: Record<string, string>;
  /** Lines of the log. */
  readonly log: string[];
  runner(options?: { stages?: Partial<StageTable>; tell?: Tell }): Runner;
  /** Submits a body to each recipient, as accept would; resolves with the ids of the deliveries. */
  submit(...recipients: Address[]): Promise<number[]>;
  submitBody(body: EmailBody, ...recipients: Address[]): Promise<number[]>;
  /** Runs a delivery once, until it has to wait. */
  run(deliveryId: number): Promise<void>;
  /** Resolves at the next line of the log. */
  logged(): Promise<void>;
  /** What the sender was told, in order: `KIND REASON DELIVERY`. */
  told(): Promise<string[]>;
}

export const BODY: EmailBody = {
  to: [parseAddress('bob#corp.test')],
  cc: [],
  subject: 'the subject',
  thread_id: 'cd'.repeat(32) as Hex32,
  reply_to_message_id: null,
  date_sent: '2026-01-15 12:00:00' as EmailBody['date_sent'],
  body: 'the text',
  signature_text: null,
  attachments: [],
  extensions_data: null,
  reply_to: null,
  auto_reply_address: null,
};

export async function outboundSite(
  servers: readonly Pick<HostileServer, 'hosts'>[],
  clock: TestClock,
  /** Reached through the gateway gw.test. */
  legacyDomains: readonly string[] = [],
): Promise<OutboundSite> {
  const opened = await testDatabase();
  const { db } = opened;
  const log: string[] = [];
  let written = Promise.withResolvers<void>();
  const write = (line: string): void => {
    log.push(line);
    written.resolve();
    written = Promise.withResolvers();
  };
  const events = createEvents(createLogger({ level: 'info', destination: { write } }));
  const hosts: Record<string, string> = { 'dead.test': '127.0.0.1:1' };
  for (const server of servers) Object.assign(hosts, server.hosts);
  const https = createHttps({
    hosts,
    allow: [],
    ca: [(await testAuthority()).certificate],
  });
  const keystore = createKeystore({ db, serverKey: Buffer.alloc(32, 7) });
  const home = createHomeClient({ https });
  const common = { db, home, keystore, events, clock: clock.read };
  const discovery = createDiscovery({ ...common, https });
  const identity = createIdentity({ ...common, discovery, baseUrl: 'https://smimp.acme.test' as BaseUrl });
  const sessions = createSessions(common);
  const minter = createMinter({ threads: 1 });
  const services = { ...common, identity, sessions, minter, askOperatorAboveBits: 12 };
  const policy = createLegacyPolicy({
    ...{ db, discovery, ownDomains: ['acme.test'] },
    gatewayDomain: parseDomain('gw.test'),
    domains: legacyDomains,
  });
  const route = createRoute({ ...services, policy });
  const mint = createMint(services);
  const relay = createRelay({ ...services, gateway: null });
  const stages: StageTable = {
    route,
    seal: createSeal(services),
    mint,
    deliver: createDeliver(services),
    relay,
    held: createHeld({ route, mint, relay }),
  };
  const address = parseAddress('alice#acme.test');
  const { id: accountId } = await createAccounts(common).add({ address, password: 'secret word', name: null });

  /** The notices of these tests: rows that come and go with the transaction. */
  let notices = 0;
  const tell: Tell = async (tx, delivery, { kind, reason }) => {
    notices += 1;
    const name = `notice ${String(notices).padStart(4, '0')}`;
    await tx
      .insertInto('setting')
      .values({ name, value: `${kind} ${reason} ${delivery.id}` })
      .execute();
  };
  const runner: OutboundSite['runner'] = (options = {}) =>
    createRunner({
      ...common,
      stages: { ...stages, ...options.stages },
      tell: options.tell ?? tell,
      times: { delayNoticeAfterMs: DELAY_NOTICE_MS },
      gate: new ByteGate(1_000_000),
    });
  const usual = runner();

  const submitBody: OutboundSite['submitBody'] = async (email, ...recipients) => {
    const keys = await keystore.open(accountId);
    const uid = randomBytes(32);
    const body = serializeBody('email', email);
    const now = clock.read();
    const { deliveryIds } = await db.transaction().execute((tx) =>
      insertSubmission(tx, {
        accountId,
        digest: randomBytes(32),
        uid,
        messageType: 'email',
        sealed: sealContent(keys, uid, body),
        sizeBytes: body.byteLength,
        recipients,
        now,
        deadline: new Date(now.getTime() + GIVE_UP_MS),
        repeatsSince: now,
        retiredDigest: randomBytes(32),
      }),
    );
    return deliveryIds;
  };

  return {
    ...{ opened, clock, keystore, identity, policy, events, minter, home, sessions, stages, hosts, log, runner },
    operations: createQueueOperations(common),
    alice: { accountId, address },
    submit: (...recipients) => submitBody(BODY, ...recipients),
    submitBody,
    logged: () => written.promise,
    run: (deliveryId) => usual.run(deliveryId, new AbortController().signal),
    async told() {
      const rows = await db
        .selectFrom('setting')
        .select('value')
        .where('name', 'like', 'notice %')
        .orderBy('name')
        .execute();
      return rows.map(({ value }) => value);
    },
    async [Symbol.asyncDispose]() {
      await minter[Symbol.asyncDispose]();
      await https[Symbol.asyncDispose]();
      await opened[Symbol.asyncDispose]();
    },
  };
}

/** What the recipient finds in an envelope, opened with the secret of the key it was sealed to. */
export function unseal(
  user: ServedUser,
  { envelope, senderKey }: ServedMessage,
): { header: MessageHeader; body: EmailBody } {
  const messageSecret = user.secrets.get(envelope.message_public_key);
  if (messageSecret === undefined) throw new Error('not a key of this user');
  const { header, body } = openBoxes({
    ciphertext: parseBase64(envelope.message),
    nonce: envelope.nonce as Hex24,
    senderPublicKey: senderKey,
    senderMasterKeys: [senderKey],
    messageSecret,
  });
  const content = parseBody('email', body);
  if (content.type !== 'email') throw new Error('not an email');
  return { header: parseHeader(header), body: content.value };
}
