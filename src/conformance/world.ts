/**
 * What the checks of one run share: the server, the accounts that were given, and how long they may take. Accounts are made
 * when the first check needs them; when that fails, it is reported by the check of the making, and the others do not run.
 */
import type { Https } from '../remote/https.ts';
import { type Address, addressParts, type Domain, parseAddress } from '../smimp/address.ts';
import { CALLS, type CallName } from '../smimp/api.ts';
import type { BaseUrl } from '../smimp/discovery.ts';
import { type Answer, named } from './answer.ts';
import type { Counterpart } from './counterpart.ts';
import { CheckError, demand, notRun } from './errors.ts';
import { initializeRequest, type KitSession, logIn, type Member, newMember, newPool } from './member.ts';
import type { Probe } from './probe.ts';

/** An account that exists and waits for its keys. */
export type GivenAccount = { readonly address: Address; readonly code: string };

/** A member with an account and a session at the server. */
export type Resident = Member & { session: KitSession };

export type Network = { hosts: Readonly<Record<string, string>>; allow: readonly string[] };

export interface World {
  readonly probe: Probe;
  readonly https: Https;
  readonly baseUrl: BaseUrl;
  /** How names are resolved, for what goes past HTTPS. */
  readonly network: Network;
  /** When the server was named by its domain. */
  readonly domain: Domain | null;
  /** In what this run makes up, so that it can be found again where it does not belong. */
  readonly marker: string;
  readonly accounts: readonly GivenAccount[];
  readonly counterpart: Counterpart | null;
  /** Unix seconds. */
  now(): number;
  /** Waits, or throws `not-run` when nobody allowed for so much time. */
  wait(seconds: number): Promise<void>;
  /** A domain whose accounts live on the server. */
  home(): Promise<Domain>;
  /** An address of the server that nobody has. */
  nobody(): Promise<Address>;
  apis(): Promise<ReadonlySet<string>>;
  /** Somebody with a history: the user that was named, or the first account. */
  somebody(): Promise<Address>;
  /** The first account, made now or before. */
  owner(): Promise<Resident>;
  /** The second. */
  other(): Promise<Resident>;
  /** How the making of the first account was answered. */
  initializing(): Promise<Answer>;
  /** The member of the first account, before it has one. */
  founder(): { member: Member; code: string };
}

/** Twenty to one sender and a quarter of the pool to one domain: with this many the first limit is met first. */
export const POOL_SIZE = 100;

export type WorldOptions = {
  probe: Probe;
  https: Https;
  network: Network;
  domain: Domain | null;
  marker: string;
  accounts: readonly GivenAccount[];
  user: Address | null;
  counterpart: Counterpart | null;
  clock: () => Date;
  /** Null: nothing may take minutes. */
  sleep: ((seconds: number) => Promise<void>) | null;
};

export function createWorld(options: WorldOptions): World {
  const { probe, accounts, clock } = options;
  const now = (): number => Math.floor(clock().getTime() / 1000);
  const founder = once(() => founding(accounts[0], now()));
  const initializing = once(async () => {
    const { member, code } = founder();
    return makeAccount(probe, member, code, now());
  });
  const owner = once(() =>
    standing('the first account could not be made or cannot log in', async () => {
      const answer = await initializing();
      demand(answer.status === CALLS.initialize_account.status, '201', named(answer));
      return resident(probe, founder().member);
    }),
  );
  const other = once(() =>
    standing('the second account could not be made or cannot log in', async () => {
      const { member, code } = founding(accounts[1], now());
      const answer = await makeAccount(probe, member, code, now());
      demand(answer.status === CALLS.initialize_account.status, '201', named(answer));
      return resident(probe, member);
    }),
  );
  const information = once(() => probe.call('server_information'));
  const home = async (): Promise<Domain> => options.domain ?? (await homeOf(accounts, information));
  return {
    ...options,
    baseUrl: probe.baseUrl,
    now,
    async wait(seconds) {
      if (options.sleep === null) throw notRun(`takes ${seconds} seconds; allow it with --slow`);
      await options.sleep(seconds);
    },
    home,
    nobody: async () => parseAddress(`${options.marker}#${await home()}`),
    apis: () =>
      standing('server_information could not be read', async () => new Set(listed((await information()).json, 'apis'))),
    somebody: async () => options.user ?? (await owner()).address,
    owner,
    other,
    initializing,
    founder,
  };
}

function once<Result>(make: () => Result): () => Result {
  let made: { result: Result } | null = null;
  return () => {
    made ??= { result: make() };
    return made.result;
  };
}

function founding(account: GivenAccount | undefined, now: number): { member: Member; code: string } {
  if (account === undefined) throw notRun('no account was given (--account with its one-time code)');
  return { member: newMember(account.address, now), code: account.code };
}

function makeAccount(probe: Probe, member: Member, code: string, now: number): Promise<Answer> {
  const pool = newPool(member, POOL_SIZE, now);
  return probe.call('initialize_account', { request: initializeRequest(member, code, pool) });
}

async function resident(probe: Probe, member: Member): Promise<Resident> {
  return Object.assign(member, { session: await logIn(probe, member) });
}

/** What a check stands on is judged by a check of its own; here its failure only means that this one cannot run. */
async function standing<Result>(reason: string, make: () => Promise<Result>): Promise<Result> {
  try {
    return await make();
  } catch (error) {
    if (!(error instanceof CheckError) || error.code !== 'unmet') throw error;
    throw new CheckError('not-run', `${reason}: ${error.message}`, { cause: error });
  }
}

async function homeOf(accounts: readonly GivenAccount[], information: () => Promise<Answer>): Promise<Domain> {
  const [account] = accounts;
  if (account !== undefined) return addressParts(account.address).domain;
  const [domain] = listed((await information()).json, 'domains');
  if (domain === undefined) throw notRun('server_information names no domain');
  return domain as Domain;
}

function listed(value: unknown, member: string): string[] {
  const list: unknown = typeof value === 'object' && value !== null ? Reflect.get(value, member) : undefined;
  return Array.isArray(list) ? list.filter((item) => typeof item === 'string') : [];
}

/** Whether a server answers all these calls, as it says itself. */
export async function lacking(world: World, calls: readonly CallName[]): Promise<CallName[]> {
  const apis = await world.apis();
  return calls.filter((name) => !apis.has(name));
}
