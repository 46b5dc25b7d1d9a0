/**
 * A real home server on loopback (api-site.ts), and people who use it through the client library. What a client saves is kept
 * as text, as a user of the library would keep it, so that a test can start the client anew.
 */
import { type ClientState, createClient, newState, parseState, type SmimpClient } from '../../src/client/index.ts';
import { type Address, parseAddress } from '../../src/smimp/address.ts';
import { initializeDigest } from '../../src/smimp/transcript.ts';
import { createAccount } from '../../src/store/accounts.ts';
import { type ApiSite, startApi } from './api-site.ts';

export const CODE = '7f0e51c0a6a94f2f9c2b8a1d3e5f7091';

export interface TestClient {
  readonly client: SmimpClient;
  /** How often it was saved, and what was saved last. */
  readonly saves: () => number;
  readonly saved: () => ClientState;
  /** Thrown by the next save, if set. */
  failSaving: Error | null;
  /** The same account, as a program that was started again. */
  restart(): TestClient;
}

export interface ClientSite extends AsyncDisposable {
  readonly site: ApiSite;
  /** For the `network` of a client. More names may be added. */
  readonly hosts: Record<string, string>;
  open(state: ClientState): TestClient;
  /** An account that waits for its one-time code, CODE, and a client with a new identity for it. */
  invite(local: string): Promise<TestClient>;
  /** An account with keys. */
  join(local: string): Promise<TestClient>;
}

export async function clientSite(options: { zeroBits?: number } = {}): Promise<ClientSite> {
  const owned = new AsyncDisposableStack();
  const site = owned.use(await startApi(options));
  const target = `127.0.0.1:${site.port}`;
  const hosts: Record<string, string> = { 'corp.test': target, 'smimp.corp.test': target };

  const open = (state: ClientState): TestClient => {
    let text = JSON.stringify(state);
    let saves = 0;
    const network = { hosts, ca: [site.ca], timeoutMs: 5_000 };
    const save = async (changed: ClientState): Promise<void> => {
      if (test.failSaving !== null) throw test.failSaving;
      saves += 1;
      text = JSON.stringify(changed);
    };
    const saved = (): ClientState => parseState(JSON.parse(text));
    const client = owned.use(createClient({ state, save, network, threads: 1, clock: () => site.now }));
    const test: TestClient = { client, saves: () => saves, saved, failSaving: null, restart: () => open(saved()) };
    return test;
  };

  const invite = async (local: string): Promise<TestClient> => {
    const address = parseAddress(`${local}#corp.test`);
    await inviteAccount(site, address);
    return open(newState({ address, profile: { name: local }, now: site.now }));
  };

  return {
    site,
    hosts,
    open,
    invite,
    async join(local) {
      const joined = await invite(local);
      await joined.client.keys.initialize(CODE);
      return joined;
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

async function inviteAccount(site: ApiSite, address: Address): Promise<void> {
  const initializeHash = initializeDigest(address, CODE);
  await site.opened.db.transaction().execute((tx) => createAccount(tx, { address, initializeHash, now: site.now }));
}
