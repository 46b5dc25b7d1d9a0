/**
 * A home server with Bob's account, a proxy that mirrors it, each with a database of its own, and another client of Bob's
 * that works at the home. The test says when the proxy looks; requests and statements of the proxy can be broken off.
 */
import type { KyselyPlugin } from 'kysely';
import { createEvents } from '../../src/events.ts';
import { createIdentity } from '../../src/identity/resolve.ts';
import { createKeystore, type Keystore } from '../../src/keystore/keystore.ts';
import { createLogger } from '../../src/log.ts';
import { type MailAccount, openMailAccount } from '../../src/mailbox/mail-account.ts';
import { createMailbox, type Mailbox } from '../../src/mailbox/mailbox.ts';
import { openPending } from '../../src/mailbox/open.ts';
import { isTrustKeyword } from '../../src/mailbox/trust-keywords.ts';
import type { AccountMailbox } from '../../src/mailbox/types.ts';
import { ByteGate } from '../../src/memory/byte-gate.ts';
import { type Connect, createConnect } from '../../src/mirror/connect.ts';
import { type Mirror, type MirrorServices, openMirror } from '../../src/mirror/mirror.ts';
import { syncMirror } from '../../src/mirror/round.ts';
import { createDiscovery } from '../../src/remote/discovery.ts';
import { createHomeClient, type HomeClient } from '../../src/remote/home.ts';
import { createHttps, type Https } from '../../src/remote/https.ts';
import { createOwnerClient, type OwnerClient } from '../../src/remote/owner.ts';
import { createSessions } from '../../src/remote/sessions.ts';
import { initializeDigest } from '../../src/smimp/transcript.ts';
import { createAccount } from '../../src/store/accounts.ts';
import type { Db, OpenedDatabase } from '../../src/store/database.ts';
import { findMirror } from '../../src/store/mirrors.ts';
import { type ApiSite, BASE_URL, BOB, startApi } from './api-site.ts';
import { testDatabase } from './database.ts';
import { type HostileServer, startHostileServer } from './hostile-server.ts';
import { line, OtherClient, type Shown, withoutEmpty } from './other-client.ts';
import { testAuthority } from './tls-server.ts';

export const CODE = 'one-time-code-of-bob';
export const PASSWORD = 'a local password';

/** Thrown where the proxy was to be killed. */
export class Killed extends Error {
  override readonly name = 'Killed';
}

export interface MirrorSite extends AsyncDisposable {
  readonly api: ApiSite;
  readonly acme: HostileServer;
  readonly opened: OpenedDatabase;
  readonly services: MirrorServices;
  readonly keystore: Keystore;
  readonly connect: Connect['connect'];
  readonly mailbox: Mailbox;
  readonly log: string[];
  /** Whether the home can be reached by the proxy. */
  online: boolean;
  /** If set, the home answers at once whoever asks it to wait, and this is called. */
  impatient: (() => void) | null;
  /** Steps (requests, statements) until the proxy is killed; then no step goes through until it is set anew. */
  killAfter: number;
  /** Steps so far. */
  steps: number;
  /** Called before each request of the proxy, with its method and path. */
  onRequest: (request: string) => Promise<void>;
  /** Bob's account at the home, not initialised. */
  invite(): Promise<number>;
  /** Bob's account, connected. */
  connected(): Promise<Bob>;
}

export interface Bob {
  readonly accountId: number;
  readonly account: MailAccount;
  readonly mail: AccountMailbox;
  readonly other: OtherClient;
  mirror(): Promise<Mirror>;
  /** One round, and what came is opened. */
  sync(): Promise<void>;
  /** Opens what came. */
  open(): Promise<void>;
  shownHere(): Promise<Shown>;
  shownAtHome(): Promise<Shown>;
}

export async function mirrorSite(): Promise<MirrorSite> {
  const api = await startApi();
  const opened = await testDatabase();
  const acme = await startHostileServer('acme.test', { zeroBits: 0, now: () => Math.floor(api.now.getTime() / 1000) });
  const target = `127.0.0.1:${api.port}`;
  const hosts = { 'smimp.corp.test': target, 'corp.test': target, ...acme.hosts };
  const https = createHttps({ hosts, allow: [], ca: [(await testAuthority()).certificate] });
  const log: string[] = [];
  const events = createEvents(createLogger({ level: 'info', destination: { write: (line) => log.push(line) } }));
  const clock = (): Date => api.now;

  const step = (): void => {
    site.steps += 1;
    if (site.steps > site.killAfter) throw new Killed();
  };
  const breakable: Https = {
    async request(request) {
      step();
      await site.onRequest(`${request.method} ${request.url.pathname}`);
      const url = site.online ? new URL(request.url) : new URL('https://no-such-host.invalid/');
      if (site.impatient !== null && Number(url.searchParams.get('wait')) > 0) {
        url.searchParams.set('wait', '0');
        site.impatient();
      }
      const answer = await https.request({ ...request, url });
      step();
      return answer;
    },
    [Symbol.asyncDispose]: async () => undefined,
  };
  const plugin: KyselyPlugin = {
    transformQuery({ node }) {
      step();
      return node;
    },
    transformResult: async ({ result }) => result,
  };
  const db: Db = opened.db.withPlugin(plugin);
  const keystore = createKeystore({ db, serverKey: Buffer.alloc(32, 9) });
  const home = createHomeClient({ https: breakable });
  const owner = createOwnerClient({ https: breakable });
  const discovery = createDiscovery({ https: breakable, db, clock });
  const sessions = createSessions({ home, db, keystore, clock });
  const services: MirrorServices = { db, keystore, home, owner, sessions, events, clock };
  const identity = createIdentity({ db, discovery, home, keystore, events, clock, baseUrl: BASE_URL });
  const opening = { db, keystore, identity, events, clock, gate: new ByteGate(8_000_000) };
  const mailbox = createMailbox({ ...opening, listener: opened.listener });

  const site: MirrorSite = {
    ...{ api, acme, opened, services, keystore, mailbox, log },
    ...createConnect({ ...services, discovery }),
    online: true,
    impatient: null,
    killAfter: Number.POSITIVE_INFINITY,
    steps: 0,
    onRequest: async () => undefined,
    async invite() {
      const initializeHash = initializeDigest(BOB, CODE);
      const account = { address: BOB, initializeHash, now: api.now };
      return (await api.opened.db.transaction().execute((tx) => createAccount(tx, account))).id;
    },
    async connected() {
      const homeId = await site.invite();
      const { id } = await site.connect({ address: BOB, code: CODE, password: PASSWORD, name: 'Bob' });
      return bobOf(site, { accountId: id, homeId, https, opening });
    },
    async [Symbol.asyncDispose]() {
      await https[Symbol.asyncDispose]();
      await acme[Symbol.asyncDispose]();
      await api[Symbol.asyncDispose]();
      await opened[Symbol.asyncDispose]();
    },
  };
  return site;
}

async function bobOf(
  site: MirrorSite,
  parts: { accountId: number; homeId: number; https: Https; opening: Parameters<typeof openPending>[0] },
): Promise<Bob> {
  const { accountId, https } = parts;
  const account = await openMailAccount(site.keystore, accountId);
  const mail = await site.mailbox.open(accountId);
  const undisturbed: { home: HomeClient; owner: OwnerClient } = {
    home: createHomeClient({ https }),
    owner: createOwnerClient({ https }),
  };
  const other = await OtherClient.open({ ...undisturbed, api: site.api, account, homeId: parts.homeId });
  const signal = new AbortController().signal;
  const bob: Bob = {
    ...{ accountId, account, mail, other },
    async mirror() {
      const stored = await findMirror(site.opened.db, accountId);
      if (stored === undefined) throw new Error('not mirrored');
      return openMirror(site.services, stored, { signal, isHeld: async () => true });
    },
    async sync() {
      await syncMirror(await bob.mirror());
      await bob.open();
    },
    async open() {
      await openPending(parts.opening, accountId);
    },
    shownHere: () => shownHere(bob),
    shownAtHome: async () => other.shown(await subjects(site.opened.db, bob)),
  };
  return bob;
}

async function shownHere({ mail }: Bob): Promise<Shown> {
  const shown: Shown = {};
  for (const folder of await mail.folders.list()) {
    const view = await mail.view(folder);
    const listed = await view.list(view.opened);
    const lines = view.opened.map(({ flags }, n) =>
      // The home knows nothing of whom its user trusts.
      line(
        listed[n]?.index.envelope.subject ?? '?',
        flags.filter((flag) => !isTrustKeyword(flag)),
      ),
    );
    shown[folder.path] = lines.sort();
  }
  return withoutEmpty(shown);
}

/** The subject of every envelope that was opened here, by `message_hash`. */
async function subjects(db: Db, { account, mail }: Bob): Promise<Map<string, string>> {
  const rows = await db
    .selectFrom('message')
    .select(['message_id', 'message_hash', 'folder_id'])
    .where('account_id', '=', account.accountId)
    .where('state', '=', 'shown')
    .execute();
  const found = new Map<string, string>();
  for (const folder of await mail.folders.list()) {
    const view = await mail.view(folder);
    const listed = await view.list(view.opened);
    view.opened.forEach(({ messageId }, n) => {
      const row = rows.find(({ message_id }) => message_id.equals(messageId));
      if (row !== undefined) found.set(row.message_hash.toString('hex'), listed[n]?.index.envelope.subject ?? '?');
    });
  }
  return found;
}
