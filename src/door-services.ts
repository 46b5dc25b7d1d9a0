/**
 * The part of the composition root that opens doors and starts work. What a role needs is imported when the role begins: a
 * process that only serves IMAP loads neither a web server nor a queue.
 */
import type { Registry } from 'prom-client';
import type { TlsMaterial } from './admin/tls.ts';
import type { Config } from './config.ts';
import type { Events } from './events.ts';
import type { HighWaterMark } from './high-water-mark.ts';
import type { Accounts } from './identity/accounts.ts';
import type { KeyMaintenance } from './identity/maintenance.ts';
import type { Identity } from './identity/resolve.ts';
import type { KeystoreTransfer } from './identity/transfer.ts';
import { sessionLimits, sessionTimeouts } from './imap-settings.ts';
import type { Keystore } from './keystore/keystore.ts';
import type { LegacyIdentities } from './legacy/identities.ts';
import type { Mailbox } from './mailbox/mailbox.ts';
import type { OpenMailbox } from './mailbox/types.ts';
import type { Connect } from './mirror/connect.ts';
import type { MirrorServices } from './mirror/mirror.ts';
import type { Pipeline } from './pipeline/pipeline.ts';
import type { FetchPublicKey } from './remote/public-keys.ts';
import { connectionLimits, priceRules } from './settings.ts';
import type { BaseUrl } from './smimp/discovery.ts';
import { CHANNELS, type OpenedDatabase } from './store/database.ts';

export const ROLES = ['api', 'smtp', 'imap', 'worker'] as const;
export type Role = (typeof ROLES)[number];

export type Door = keyof Config['listen'];

export interface Base {
  config: Config;
  opened: OpenedDatabase;
  events: Events;
  clock: () => Date;
  tls: TlsMaterial;
}

export interface Parts {
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

type DoorServices = Base & Parts & { roles: readonly Role[]; registry: Registry | null };
type Listening = { listen(door: { host: string; port: number; implicitTls: boolean }): Promise<{ port: number }> };
/** Opens a door of a server, if the configuration has it. */
type Open = (server: Listening, door: Door, implicitTls: boolean) => Promise<void>;

export function createDoors(
  stack: AsyncDisposableStack,
  base: DoorServices,
): { listen(): Promise<void>; listening(): Record<Door, number | null> } {
  const { config, events } = base;
  const ports: Record<Door, number | null> = {
    api: null,
    submission: null,
    submissions: null,
    imap: null,
    imaps: null,
    mx: null,
    metrics: null,
  };
  const open: Open = async (server, door, implicitTls) => {
    const at = config.listen[door];
    if (at === null) return;
    ports[door] = (await server.listen({ ...at, implicitTls })).port;
    events.listening({ role: door, port: ports[door] ?? 0, tls: implicitTls });
  };
  return {
    listening: () => ({ ...ports }),
    listen: () => openDoors(stack, base, open),
  };
}

async function openDoors(stack: AsyncDisposableStack, base: DoorServices, open: Open): Promise<void> {
  const { roles, opened, registry, events, clock } = base;
  const plays = (role: Role): boolean => roles.includes(role);
  await opened.listener.start(CHANNELS);
  // Before anybody is told anything of a mailbox.
  if (roles.length > 0) stack.use(await base.highWaterMark.start());
  if (registry !== null) {
    const { createMetrics } = await import('./metrics/metrics.ts');
    await open(stack.use(createMetrics({ registry, db: opened.db, events, clock })), 'metrics', false);
  }
  if (plays('worker')) await startWork(stack, base);
  if (plays('api')) await openApi(stack, base, open);
  if (plays('imap')) await openImap(stack, base, open);
  if (plays('smtp')) await openSmtp(stack, base, open);
}

const materialOf = ({ tls }: Base): { cert: string; key: string } => ({ cert: tls.certificate, key: tls.key });

async function openApi(stack: AsyncDisposableStack, base: DoorServices, open: Open): Promise<void> {
  const { createApi } = await import('./api/server.ts');
  const { config, opened, events, clock, fetchPublicKey, legacy } = base;
  const { db, listener } = opened;
  const services = { db, listener, events, clock, fetchPublicKey, legacy };
  const own = { baseUrl: config.base_url as BaseUrl, ...priceRules(config), quotaBytes: config.limits.quota };
  await open(stack.use(createApi({ ...services, ...own, tls: materialOf(base) })), 'api', true);
}

async function openImap(stack: AsyncDisposableStack, base: DoorServices, open: Open): Promise<void> {
  const { createImapServer } = await import('./imap/listener.ts');
  const { config, keystore, events, clock } = base;
  const { withhold, limits: own } = config.imap;
  const session = { sessionLimits: sessionLimits(own), timeouts: sessionTimeouts(own) };
  const services = { keystore, mailbox: await withOutboxOf(base), events, clock };
  const shared = { tls: materialOf(base), limits: connectionLimits(config), withhold };
  const server = stack.use(createImapServer({ ...shared, ...session, ...services }));
  await open(server, 'imaps', true);
  await open(server, 'imap', false);
}

async function openSmtp(stack: AsyncDisposableStack, base: DoorServices, open: Open): Promise<void> {
  const { createSubmission } = await import('./smtp/submission.ts');
  const { config, keystore, identity, pipeline, events, clock } = base;
  const { accept, checkRecipient, recipientOf } = pipeline;
  const keepSent = config.imap.save_sent ? base.mailbox.keepSent : null;
  const shared = { keystore, accept, checkRecipient, recipientOf, keepSent, events, clock };
  const tls = materialOf(base);
  const limits = connectionLimits(config);
  const server = stack.use(createSubmission({ name: config.mail_host, tls, limits, ...shared }));
  await open(server, 'submissions', true);
  await open(server, 'submission', false);
  if (config.deployment !== 'gateway') return;
  const { mxOf } = await import('./gateway-services.ts');
  const mx = mxOf(config, { identity, pipeline, events, clock, tls });
  if (mx !== null) await open(stack.use(mx), 'mx', false);
}

/** The mailboxes as mail programs see them. */
async function withOutboxOf({
  config,
  opened,
  keystore,
  mailbox,
  pipeline,
  events,
}: Base & Parts): Promise<OpenMailbox> {
  const name = config.imap.outbox;
  if (name === null) return mailbox;
  const { withOutbox } = await import('./outbox/mailbox.ts');
  return withOutbox(mailbox, { ...opened, keystore, operations: pipeline.operations, events, name });
}

/** What the worker role does: deliver, open what arrives, keep keys fresh, throw away what has ended. */
async function startWork(stack: AsyncDisposableStack, base: Base & Parts): Promise<void> {
  const [{ startMirrors }, { startChores }] = await Promise.all([import('./mirror/mirrors.ts'), import('./chores.ts')]);
  const { opened, identity, events, clock, mailbox, maintenance, pipeline } = base;
  await pipeline.work();
  stack.use(await mailbox.startOpening());
  stack.use(startMirrors({ ...base.mirrors, listener: opened.listener }));
  stack.use(startChores({ db: opened.db, maintenance, identity, events, clock }));
}
