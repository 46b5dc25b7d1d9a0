/**
 * The composition root: which services there are, and who gets which. Nothing else builds one.
 *
 * What only some process needs (a role's door, a gateway) is imported when that process needs it: each module takes memory.
 * Every service is owned by one stack, so that closing goes the way back: doors first, then work, then the database.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { loadTls, type TlsMaterial } from './admin/tls.ts';
import type { PriceDecision, PriceQuestion } from './api/pow-price.ts';
import type { Config } from './config.ts';
import { type Base, createDoors, type Door, type Parts, ROLES, type Role } from './door-services.ts';
import { createEvents, type Events } from './events.ts';
import { createHighWaterMark, type HighWaterMark } from './high-water-mark.ts';
import { type Accounts, createAccounts } from './identity/accounts.ts';
import { createKeyMaintenance, type KeyMaintenance } from './identity/maintenance.ts';
import { createIdentity, type Identity } from './identity/resolve.ts';
import { createKeystoreTransfer, type KeystoreTransfer } from './identity/transfer.ts';
import { createKeystore, type Keystore } from './keystore/keystore.ts';
import { openServerKey } from './keystore/server-key.ts';
import { createLogger } from './log.ts';
import { createMailbox, type Mailbox } from './mailbox/mailbox.ts';
import type { Meters } from './metrics/meters.ts';
import { type Connect, createConnect } from './mirror/connect.ts';
import { withMirrors } from './mirror/rotation.ts';
import { createOutward } from './pipeline/outward.ts';
import { createPipeline, type Pipeline } from './pipeline/pipeline.ts';
import { createDiscovery } from './remote/discovery.ts';
import { createHomeClient } from './remote/home.ts';
import { createHttps } from './remote/https.ts';
import { createOwnerClient } from './remote/owner.ts';
import { createFetchPublicKey } from './remote/public-keys.ts';
import { createSessions } from './remote/sessions.ts';
import {
  freeTries,
  legacyDisplay,
  legacyPolicy,
  networkOf,
  pipelineLimits,
  priceRules,
  queueSettings,
} from './settings.ts';
import type { BaseUrl } from './smimp/discovery.ts';
import { type OpenedDatabase, openDatabase } from './store/database.ts';
import { ensureDatabase, startEmbeddedPostgres } from './store/embedded.ts';

export { type Door, ROLES, type Role };

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
  const meters = roles.length === 0 || config.listen.metrics === null ? null : await countedEvents();
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
    async explainPrice(ask) {
      const { explainPrice } = await import('./api/pow-price.ts');
      return explainPrice(opened.db, priceRules(config), { ...ask, now: clock() });
    },
    ...doors,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

async function countedEvents(): Promise<Meters> {
  const { createMeters } = await import('./metrics/meters.ts');
  return createMeters();
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
  const ofGateway = config.deployment === 'gateway' ? await import('./gateway-services.ts') : null;
  const gateway = (await ofGateway?.gatewayOf(config, { db, https, network, clock })) ?? null;
  const limits = pipelineLimits(config);
  const { giveUpAfterMs } = limits;
  const outward = gateway === null ? null : createOutward({ gateway, giveUpAfterMs, events, clock });
  const quotaBytes = config.limits.quota;
  const mailbox = createMailbox({
    ...{ db, listener, keystore, identity, events, clock, quotaBytes, outward },
    ...{ legacyDisplay: legacyDisplay(config), originals: config.imap.originals },
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
    legacy: ofGateway?.legacyOf(config, { db, keystore, events }) ?? null,
  };
}
