/**
 * The composition root: which services there are, and who gets which. Nothing else builds one.
 *
 * Every service is owned by one stack, so that closing goes the way back: doors first, then work, then the database.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Registry } from 'prom-client';
import { loadTls, type TlsMaterial } from './admin/tls.ts';
import { explainPrice, type PriceDecision, type PriceQuestion } from './api/pow-price.ts';
import { createApi } from './api/server.ts';
import { startChores } from './chores.ts';
import type { Config } from './config.ts';
import { createEvents, type Events } from './events.ts';
import { gatewayOf, legacyOf, mxOf } from './gateway-services.ts';
import { createHighWaterMark, type HighWaterMark } from './high-water-mark.ts';
import { type Accounts, createAccounts } from './identity/accounts.ts';
import { createKeyMaintenance, type KeyMaintenance } from './identity/maintenance.ts';
import { createIdentity, type Identity } from './identity/resolve.ts';
import { createKeystoreTransfer, type KeystoreTransfer } from './identity/transfer.ts';
import { createImapServer } from './imap/listener.ts';
import { sessionLimits, sessionTimeouts } from './imap-settings.ts';
import { createKeystore, type Keystore } from './keystore/keystore.ts';
import { openServerKey } from './keystore/server-key.ts';
import type { LegacyIdentities } from './legacy/identities.ts';
import { createLogger } from './log.ts';
import { createMailbox, type Mailbox } from './mailbox/mailbox.ts';
import type { OpenMailbox } from './mailbox/types.ts';
import { createMeters } from './metrics/meters.ts';
import { createMetrics } from './metrics/metrics.ts';
import { type Connect, createConnect } from './mirror/connect.ts';
import type { MirrorServices } from './mirror/mirror.ts';
import { startMirrors } from './mirror/mirrors.ts';
import { withMirrors } from './mirror/rotation.ts';
import { withOutbox } from './outbox/mailbox.ts';
import { createOutward } from './pipeline/outward.ts';
import { createPipeline, type Pipeline } from './pipeline/pipeline.ts';
import { createDiscovery } from './remote/discovery.ts';
import { createHomeClient } from './remote/home.ts';
import { createHttps } from './remote/https.ts';
import { createOwnerClient } from './remote/owner.ts';
import { createFetchPublicKey, type FetchPublicKey } from './remote/public-keys.ts';
import { createSessions } from './remote/sessions.ts';
import {
  connectionLimits,
  freeTries,
  legacyDisplay,
  legacyPolicy,
  networkOf,
  pipelineLimits,
  priceRules,
  queueSettings,
} from './settings.ts';
import type { BaseUrl } from './smimp/discovery.ts';
import { createSubmission } from './smtp/submission.ts';
import { CHANNELS, type OpenedDatabase, openDatabase } from './store/database.ts';
import { ensureDatabase, startEmbeddedPostgres } from './store/embedded.ts';

export const ROLES = ['api', 'smtp', 'imap', 'worker'] as const;
export type Role = (typeof ROLES)[number];

export type Door = keyof Config['listen'];

export interface Bridge extends AsyncDisposable {
  readonly config: Config;
  readonly events: Events;
  readonly tls: TlsMaterial;
  readonly keystore: Keystore;
  readonly identity: Identity;
  readonly accounts: Accounts;
  readonly maintenance: KeyMaintenance;
  readonly transfer: KeystoreTransfer;
  readonly mailbox: Mailbox;
  readonly pipeline: Pipeline;
  /** Accounts that live at other servers. */
  readonly elsewhere: Connect;
  readonly highWaterMark: HighWaterMark;
  /** What the next message of a sender to an account here would cost it in proof of work. */
  explainPrice(ask: Omit<PriceQuestion, 'now'>): Promise<PriceDecision>;
  /** Opens the doors and starts the work of this process's roles. */
  listen(): Promise<void>;
  /** Ports of the open doors; null for the others. */
  listening(): Record<Door, number | null>;
}

const EMBEDDED_DATABASE = 'smimp_bridge';
/** A command needs few connections; a bridge under load one for each thing it does at once. */
const POOL_SIZE = { command: 4, serving: 30 };

/** Opens everything that the roles need; no role at all is enough for a command. Owned by the caller. */
export async function openBridge(options: { config: Config; roles: readonly Role[] }): Promise<Bridge> {
  const owned = new AsyncDisposableStack();
  try {
    return await assemble(owned, options.config, options.roles);
  } catch (error) {
    await owned.disposeAsync();
    throw error;
  }
}

async function assemble(owned: AsyncDisposableStack, config: Config, roles: readonly Role[]): Promise<Bridge> {
  const meters = roles.length === 0 || config.listen.metrics === null ? null : createMeters();
  const events = createEvents(createLogger({ level: roles.length === 0 ? 'warn' : config.log.level }), meters?.meter);
  const clock = (): Date => new Date();
  // Others may pass through, as the user `postgres` must, but see nothing: what is secret has modes of its own.
  await mkdir(config.data_directory, { recursive: true, mode: 0o711 });
  const tls = await loadTls(config, clock());
  const poolSize = roles.length === 0 ? POOL_SIZE.command : POOL_SIZE.serving;
  const opened = await openStore(owned, config, events, poolSize);
  const parts = await buildParts(owned, { config, opened, events, clock, tls });
  const registry = meters?.registry ?? null;
  const doors = createDoors(owned, { config, roles, opened, events, clock, tls, registry, ...parts });
  const { keystore, identity, accounts, maintenance, transfer, mailbox, pipeline } = parts;
  return {
    config,
    events,
    tls,
    keystore,
    identity,
    accounts,
    maintenance,
    transfer,
    mailbox,
    pipeline,
    elsewhere: parts.elsewhere,
    highWaterMark: parts.highWaterMark,
    explainPrice: (ask) => explainPrice(opened.db, priceRules(config), { ...ask, now: clock() }),
    ...doors,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

async function openStore(
  stack: AsyncDisposableStack,
  config: Config,
  events: Events,
  poolSize: number,
): Promise<OpenedDatabase> {
  const onError = (error: Error): void => events.unexpected('database', error);
  const { url } = config.database;
  if (url !== null) return stack.use(await openDatabase({ connection: { connectionString: url }, poolSize, onError }));
  const postgres = stack.use(await startEmbeddedPostgres({ directory: join(config.data_directory, 'postgres') }));
  await ensureDatabase(postgres, EMBEDDED_DATABASE);
  const connection = { ...postgres.connection, database: EMBEDDED_DATABASE };
  return stack.use(await openDatabase({ connection, poolSize, onError }));
}

interface Base {
  config: Config;
  opened: OpenedDatabase;
  events: Events;
  clock: () => Date;
  tls: TlsMaterial;
}

interface Parts {
  keystore: Keystore;
  identity: Identity;
  accounts: Accounts;
  maintenance: KeyMaintenance;
  transfer: KeystoreTransfer;
  mailbox: Mailbox;
  pipeline: Pipeline;
  mirrors: MirrorServices;
  elsewhere: Connect;
  highWaterMark: HighWaterMark;
  fetchPublicKey: FetchPublicKey;
  /** Of a gateway. */
  legacy: LegacyIdentities | null;
}

async function buildParts(stack: AsyncDisposableStack, base: Base): Promise<Parts> {
  const { config, opened, events, clock, tls } = base;
  const { db, listener } = opened;
  const file = config.server_key.file ?? join(config.data_directory, 'server.key');
  const keystore = createKeystore({
    db,
    serverKey: await openServerKey({ db, value: config.secrets.serverKey, file }),
    freeTries: freeTries(config),
  });
  const network = await networkOf(config, tls);
  const https = stack.use(createHttps(network));
  const home = createHomeClient({ https });
  const discovery = createDiscovery({ https, db, clock });
  const sessions = createSessions({ home, db, keystore, clock });
  const baseUrl = config.base_url as BaseUrl;
  const identity = createIdentity({ db, discovery, home, keystore, events, clock, baseUrl });
  const gateway = await gatewayOf(config, { db, https, network, clock });
  const limits = pipelineLimits(config);
  const { giveUpAfterMs } = limits;
  const outward = gateway === null ? null : createOutward({ gateway, giveUpAfterMs, clock });
  const quotaBytes = config.limits.quota;
  const mailbox = createMailbox({
    ...{ db, listener, keystore, identity, events, clock, quotaBytes, outward },
    legacyDisplay: legacyDisplay(config),
  });
  const policy = legacyPolicy(config, { db, discovery });
  const shared = { db, listener, keystore, identity, home, sessions, events, clock, policy };
  const queue = queueSettings(config, opened);
  const pipeline = stack.use(createPipeline({ ...shared, queue, notices: mailbox.notices, gateway, limits }));
  const accounts = createAccounts({ db, keystore, events, clock });
  const mirrors = { ...shared, owner: createOwnerClient({ https }) };
  const maintenance = withMirrors(createKeyMaintenance({ db, keystore, events }), mirrors);
  const transfer = createKeystoreTransfer({ db, keystore, events, clock });
  return {
    keystore,
    identity,
    accounts,
    maintenance,
    transfer,
    mailbox,
    pipeline,
    mirrors,
    elsewhere: createConnect({ ...mirrors, discovery }),
    highWaterMark: createHighWaterMark({ db, directory: config.data_directory, events, clock }),
    fetchPublicKey: createFetchPublicKey({ discovery, home, clock }),
    legacy: legacyOf(config, { db, keystore, events }),
  };
}

function createDoors(
  stack: AsyncDisposableStack,
  base: Base & Parts & { roles: readonly Role[]; registry: Registry | null },
): Pick<Bridge, 'listen' | 'listening'> {
  const { config, roles, opened, events, tls, keystore, pipeline, clock, registry } = base;
  const material = { cert: tls.certificate, key: tls.key };
  const ports: Record<Door, number | null> = {
    api: null,
    submission: null,
    submissions: null,
    imap: null,
    imaps: null,
    mx: null,
    metrics: null,
  };
  const plays = (role: Role): boolean => roles.includes(role);

  type Listening = { listen(door: { host: string; port: number; implicitTls: boolean }): Promise<{ port: number }> };
  const open = async (server: Listening, door: Door, implicitTls: boolean): Promise<void> => {
    const at = config.listen[door];
    if (at === null) return;
    ports[door] = (await server.listen({ ...at, implicitTls })).port;
    events.listening({ role: door, port: ports[door] ?? 0, tls: implicitTls });
  };

  return {
    listening: () => ({ ...ports }),
    async listen() {
      await opened.listener.start(CHANNELS);
      // Before anybody is told anything of a mailbox.
      if (roles.length > 0) stack.use(await base.highWaterMark.start());
      if (registry !== null) {
        await open(stack.use(createMetrics({ registry, db: opened.db, events, clock })), 'metrics', false);
      }
      if (plays('worker')) await startWork(stack, base);
      if (plays('api')) {
        const { db, listener } = opened;
        const { fetchPublicKey, legacy } = base;
        const services = { db, listener, events, clock, fetchPublicKey, legacy };
        const own = { baseUrl: config.base_url as BaseUrl, ...priceRules(config), quotaBytes: config.limits.quota };
        await open(stack.use(createApi({ ...services, ...own, tls: material })), 'api', true);
      }
      const limits = connectionLimits(config);
      if (plays('imap')) {
        const { withhold, limits: own } = config.imap;
        const session = { sessionLimits: sessionLimits(own), timeouts: sessionTimeouts(own) };
        const services = { keystore, mailbox: withOutboxOf(base), events, clock };
        const server = stack.use(createImapServer({ tls: material, limits, withhold, ...session, ...services }));
        await open(server, 'imaps', true);
        await open(server, 'imap', false);
      }
      if (plays('smtp')) {
        const { accept, checkRecipient, recipientOf } = pipeline;
        const keepSent = config.imap.save_sent ? base.mailbox.keepSent : null;
        const shared = { keystore, accept, checkRecipient, recipientOf, keepSent, events, clock };
        const server = stack.use(createSubmission({ name: config.mail_host, tls: material, limits, ...shared }));
        await open(server, 'submissions', true);
        await open(server, 'submission', false);
        const mx = mxOf(config, { identity: base.identity, pipeline, events, clock, tls: material });
        if (mx !== null) await open(stack.use(mx), 'mx', false);
      }
    },
  };
}

/** The mailboxes as mail programs see them. */
function withOutboxOf({ config, opened, keystore, mailbox, pipeline }: Base & Parts): OpenMailbox {
  const name = config.imap.outbox;
  if (name === null) return mailbox;
  return withOutbox(mailbox, { ...opened, keystore, operations: pipeline.operations, name });
}

/** What the worker role does: deliver, open what arrives, keep keys fresh, throw away what has ended. */
async function startWork(stack: AsyncDisposableStack, base: Base & Parts): Promise<void> {
  const { opened, identity, events, clock, mailbox, maintenance, pipeline } = base;
  await pipeline.work();
  stack.use(await mailbox.startOpening());
  stack.use(startMirrors({ ...base.mirrors, listener: opened.listener }));
  stack.use(startChores({ db: opened.db, maintenance, identity, events, clock }));
}
