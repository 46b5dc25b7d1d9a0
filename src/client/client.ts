/**
 * An SMIMP 0.1 client: one person's account at some server, and everybody she writes to. It needs no database; what it
 * remembers is plain data that whoever uses it stores (state.ts).
 */
import { availableParallelism } from 'node:os';
import { createMinter } from '../pipeline/minter.ts';
import { createHomeClient } from '../remote/home.ts';
import { createHttps } from '../remote/https.ts';
import { createLookUp } from '../remote/look-up.ts';
import { createOwnerClient } from '../remote/owner.ts';
import type { Address } from '../smimp/address.ts';
import type { VerifiedHistory } from '../smimp/chain.ts';
import type { BaseUrl } from '../smimp/discovery.ts';
import { type Fingerprint, historyFingerprint, verifyUri } from '../smimp/fingerprint.ts';
import { type FollowOptions, followChanges } from './following.ts';
import { createKeys, type Keys } from './keys.ts';
import { type KeystoreData, masterOf, ownHistoryOf } from './keystore-data.ts';
import { Memory, type SaveState } from './memory.ts';
import { createPeople, type People } from './people.ts';
import { createReading, type Reading } from './reading.ts';
import { createSending, type Sending } from './sending.ts';
import { createClientSessions } from './sessions.ts';
import { type SiteAuthAnswer, signSiteAuth, verifySiteAuth } from './site-auth.ts';
import type { ClientState } from './state.ts';
import { createStorage, type Storage } from './storage.ts';

/** How other servers are reached. All of it is for closed networks and tests; on the internet nothing is needed. */
export type NetworkOptions = {
  /** Addresses of names that DNS does not know: `{"smimp.corp.test": "10.1.2.3:8443"}`. */
  readonly hosts?: Readonly<Record<string, string>>;
  /** Networks that may be connected to though they are not public: `["10.0.0.0/8"]`. */
  readonly allow?: readonly string[];
  /** Certificates (PEM) of authorities trusted besides the usual ones. */
  readonly ca?: readonly string[];
  readonly timeoutMs?: number;
};

export type ClientOptions = {
  /** From `newState`, `parseState`, or `stateOf` with a restored keystore. */
  readonly state: ClientState;
  /**
   * Stores the state and returns when it is on the disk. It holds secrets: store it encrypted, or where only its owner
   * reads. Nothing is said to have happened before it returned; when it throws, the call that needed it fails.
   */
  readonly save: SaveState;
  readonly network?: NetworkOptions;
  /** Threads for proofs of work, started when first needed. Default: one for each processor. */
  readonly threads?: number;
  readonly clock?: () => Date;
};

export interface SmimpClient extends People, Sending, Reading, Storage, AsyncDisposable {
  readonly address: Address;
  readonly keys: Keys;
  /** Logs in at one's own server, if there is no good session yet. Every call does so by itself. */
  logIn(): Promise<void>;
  /** Ends the session at one's own server. */
  logOut(): Promise<void>;
  /** What happens in the mailbox, as it happens: see `followChanges`. */
  follow(options?: FollowOptions): ReturnType<typeof followChanges>;
  /** One's own history: one's own copy. */
  ownHistory(): VerifiedHistory;
  /** What others compare by phone, and the URI for a QR code. */
  ownFingerprint(): { fingerprint: Fingerprint; uri: string };
  /** "Log in with SMIMP" at a web site: see `signSiteAuth`. */
  signSiteAuth(login: { origin: string; token: string }): SiteAuthAnswer;
  /** For web sites: see `verifySiteAuth`. The user is pinned like any contact. */
  verifySiteAuth(login: { origin: string; token: string; answer: unknown }): ReturnType<typeof verifySiteAuth>;
  /** Secrets, own history and pins, as for a backup. */
  keystore(): KeystoreData;
  /** All that is remembered now. */
  state(): ClientState;
}

/** Owned by the caller: `await using client = createClient(…)`. */
export function createClient(options: ClientOptions): SmimpClient {
  const { network = {}, clock = () => new Date() } = options;
  const { hosts = {}, allow = [], ca = [], timeoutMs } = network;
  const timed = timeoutMs === undefined ? {} : { timeoutMs };
  const memory = new Memory(options.state, options.save);
  const https = createHttps({ hosts, allow, ca });
  const minter = createMinter({ threads: options.threads ?? availableParallelism() });
  const home = createHomeClient({ https, ...timed });
  const owner = createOwnerClient({ https, ...timed });
  const discovery = createLookUp({ https, memory: memory.domains, clock, ...timed });
  const sessions = createClientSessions({ memory, discovery, home, clock });
  const ownBaseUrl = (): Promise<BaseUrl> => sessions.homeBaseUrl();
  const people = createPeople({ memory, discovery, home, clock, ownBaseUrl });
  const parts = { memory, people, sessions, owner, home, minter, clock };
  const ownHistory = (): VerifiedHistory => ownHistoryOf(memory.keystore()).history;
  return {
    address: memory.address,
    ...people,
    ...createSending(parts),
    ...createReading(parts),
    ...createStorage(parts),
    keys: createKeys(parts),
    logIn: () => sessions.atHome(async () => undefined),
    logOut: async () => sessions.logOut(await ownBaseUrl()),
    follow: (follow) => followChanges(parts, follow),
    ownHistory,
    ownFingerprint: () => ({ fingerprint: historyFingerprint(ownHistory()), uri: verifyUri(ownHistory()) }),
    signSiteAuth: (login) => signSiteAuth({ ...login, address: memory.address, master: masterOf(memory.identity) }),
    verifySiteAuth: (login) => verifySiteAuth((address) => people.resolve(address), login),
    keystore: () => memory.keystore(),
    state: () => memory.state(),
    async [Symbol.asyncDispose]() {
      await minter[Symbol.asyncDispose]();
      await https[Symbol.asyncDispose]();
    },
  };
}
