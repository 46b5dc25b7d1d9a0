/**
 * A small server of the kit's own, with users whose keys the tested server fetches when they log in there. It counts what it
 * is asked, and can be told to be slow or broken.
 */
import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import { type Address, type Domain, encodePathSegment, parseAddress } from '../smimp/address.ts';
import { type ApiErrorCode, PROBLEM_MEDIA_TYPE, problem } from '../smimp/api.ts';
import { randomBytes } from '../smimp/crypto.ts';
import { DISCOVERY_PATH } from '../smimp/discovery.ts';
import { toHex } from '../smimp/encoding.ts';
import { recordHead } from '../smimp/record.ts';
import { lastRecord, type Member, newMember, publicKeyOf } from './member.ts';

export interface Counterpart extends AsyncDisposable {
  readonly domain: Domain;
  /** Somebody new, known here. */
  newUser(now: number): Member;
  /** An address here that nobody has. */
  nobody(): Address;
  /** Requests since it began, of any kind. */
  requests(): number;
  /** Requests about one user. */
  requestsAbout(address: Address): number;
  /** The most that were being answered at once about users since it was last asked. */
  mostAtOnce(): number;
  /** Each answer about a user takes this long. */
  slow(ms: number): void;
  /** Answers about users fail. */
  broken(is: boolean): void;
}

const BYTES_OF_A_NAME = 8;

export async function startCounterpart(options: {
  domain: Domain;
  listen: { host: string; port: number };
  tls: { cert: string; key: string };
}): Promise<Counterpart & { port: number }> {
  const { domain } = options;
  const users = new Map<string, Member>();
  const asked: string[] = [];
  const state = { delayMs: 0, isBroken: false, running: 0, most: 0 };

  const aboutUser = async (response: ServerResponse, path: string): Promise<void> => {
    state.running += 1;
    state.most = Math.max(state.most, state.running);
    if (state.delayMs > 0) await new Promise((resolve) => setTimeout(resolve, state.delayMs));
    state.running -= 1;
    const [, segment = '', what = ''] = /^\/0\.1\/get_user\/([^/]+)\/(\w+)/.exec(path) ?? [];
    const user = users.get(segment.toLowerCase());
    if (state.isBroken) refuse(response, 'unavailable');
    else if (user === undefined || !Object.hasOwn(ANSWERS, what)) refuse(response, 'unknown_user');
    else answer(response, ANSWERS[what as keyof typeof ANSWERS](user));
  };

  const server = createServer(options.tls, (request: IncomingMessage, response) => {
    const path = request.url ?? '';
    asked.push(path);
    if (path === DISCOVERY_PATH) response.writeHead(200, { 'content-type': 'text/plain' }).end(`${domain}\n`);
    else if (path === '/version') answer(response, { versions: ['0.1'] });
    else if (path.startsWith('/0.1/get_user/')) void aboutUser(response, path);
    else refuse(response, 'not_found');
  });
  await once(server.listen(options.listen.port, options.listen.host), 'listening');
  const address = server.address();
  const newName = (): Address => parseAddress(`kit${toHex(randomBytes(BYTES_OF_A_NAME))}#${domain}`);
  return {
    domain,
    port: typeof address === 'object' && address !== null ? address.port : 0,
    newUser(now) {
      const user = newMember(newName(), now);
      users.set(encodePathSegment(user.address), user);
      return user;
    },
    nobody: newName,
    requests: () => asked.length,
    requestsAbout: (user) => asked.filter((path) => path.toLowerCase().includes(encodePathSegment(user))).length,
    mostAtOnce() {
      const { most } = state;
      state.most = state.running;
      return most;
    },
    slow(ms) {
      state.delayMs = ms;
    },
    broken(is) {
      state.isBroken = is;
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

const headOf = ({ records }: Member) => recordHead(records.length - 1, lastRecord({ records }));

const ANSWERS = {
  public_key: (user: Member) => ({
    address: user.address,
    public_key: publicKeyOf(user),
    seq: user.records.length - 1,
    head: headOf(user),
  }),
  most_recent: (user: Member) => lastRecord(user),
  history: (user: Member) => ({ address: user.address, records: user.records, head: headOf(user) }),
} as const;

function answer(response: ServerResponse, value: unknown): void {
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(value));
}

function refuse(response: ServerResponse, code: ApiErrorCode): void {
  const document = problem(code);
  response.writeHead(document.status, { 'content-type': PROBLEM_MEDIA_TYPE }).end(JSON.stringify(document));
}
