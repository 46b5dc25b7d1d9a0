/**
 * An SMIMP server for tests: honest until told otherwise. It serves the histories it is given, be they truncated, forked,
 * replaced or nonsense, and answers any call as a test decides. Logins, keys and messages are checked as a real one would.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { type Address, parseAddress, parsePathSegment } from '../../src/smimp/address.ts';
import { API_PREFIX, type ApiErrorCode, type CallName, problem } from '../../src/smimp/api.ts';
import { hash, type MasterKeyPair, masterKeyPair, randomBytes } from '../../src/smimp/crypto.ts';
import type { BaseUrl } from '../../src/smimp/discovery.ts';
import { formatTimestamp, type Hex32, toHex } from '../../src/smimp/encoding.ts';
import type { SentEnvelope } from '../../src/smimp/envelope.ts';
import { createMessageKey } from '../../src/smimp/message-key.ts';
import { createRecord, type IdentityRecord, type Profile, recordHead, rotateRecord } from '../../src/smimp/record.ts';
import { loginDigest, loginTokenDigest, verifySignedHash } from '../../src/smimp/transcript.ts';
import { answerJson, answerText, type Handler, readRequest, startTlsServer, type TlsServer } from './tls-server.ts';

/** A user of the server. `records` is what `history` serves; set it to anything. */
export class ServedUser {
  readonly address: Address;
  master: MasterKeyPair;
  /** Master keys that were rotated away, oldest first. */
  readonly retired: MasterKeyPair[] = [];
  records: IdentityRecord[];
  /** Served instead of the true head. */
  head: Hex32 | null = null;
  /** The head in `get_message_key`, when it is to differ from that of the history. */
  messageKeyHead: Hex32 | null = null;
  /** Secrets of the message keys given out, by public key. */
  readonly secrets = new Map<string, Uint8Array>();

  constructor(address: Address, now: number) {
    this.address = address;
    this.master = masterKeyPair();
    this.records = [createRecord({ address, master: this.master, now })];
  }

  get lastRecord(): IdentityRecord {
    return this.records.at(-1) as IdentityRecord;
  }

  trueHead(): Hex32 {
    return recordHead(this.records.length - 1, this.lastRecord);
  }

  /** Adds a record: with a new key, or with a new profile under the same key. */
  change(change: { now: number; rotate?: boolean; profile?: Partial<Profile> }): void {
    const newKey = change.rotate ? masterKeyPair() : undefined;
    const { now, profile = {} } = change;
    const signer = this.master;
    const record = rotateRecord({ previous: this.lastRecord, signer, now, profile, ...(newKey ? { newKey } : {}) });
    this.records = [...this.records, record];
    if (newKey !== undefined) this.retired.push(signer);
    this.master = newKey ?? signer;
  }
}

export type ServedMessage = { sender: Address; senderKey: Hex32; recipient: Address; envelope: SentEnvelope };

type ServedSession = { address: Address; publicKey: Hex32; loginTokenHash: Hex32 };

export interface HostileServer extends TlsServer {
  readonly domain: string;
  readonly baseUrl: BaseUrl;
  /** For the `hosts` of a client: the domain and the server's own name. */
  readonly hosts: Record<string, string>;
  readonly messages: ServedMessage[];
  /** `local#domain` with a history of one record. */
  addUser(local: string, now: number): ServedUser;
  removeUser(user: ServedUser): void;
  /** Answers a call, `smimp.txt` or `version` by `handler` instead, until set to null. */
  behave(call: CallName | 'smimp.txt', handler: Handler | null): void;
  /** Answers a call with an API error, once. */
  failOnce(call: CallName, code: ApiErrorCode, headers?: Record<string, string>): void;
  endSessions(): void;
}

const ROUTES: readonly [CallName, string, RegExp][] = [
  ['get_public_key', 'GET', /^get_user\/([^/?]+)\/public_key$/],
  ['get_history', 'GET', /^get_user\/([^/?]+)\/history(?:\?from=(\d+))?$/],
  ['get_create_session', 'GET', /^create_session\/([^/?]+)$/],
  ['post_create_session', 'POST', /^create_session\/([^/?]+)$/],
  ['destroy_session', 'POST', /^destroy_session$/],
  ['get_message_key', 'POST', /^get_message_key$/],
  ['get_pow_params', 'GET', /^get_pow_params\/([^/?]+)\/([a-z0-9-]+)$/],
  ['send_message', 'POST', /^send_message\/([^/?]+)$/],
];

type Call = { request: IncomingMessage; response: ServerResponse; parameters: string[]; session: ServedSession | null };

/** `zeroBits` and `now` (unix seconds) may change while it runs. */
export type HostileSettings = {
  zeroBits: number;
  now: () => number;
  /** Before a message key is given: at a gateway this makes the identity. */
  onKeyAsked?: (address: Address) => void;
};

export async function startHostileServer(domain: string, settings: HostileSettings): Promise<HostileServer> {
  const host = `smimp.${domain}`;
  const baseUrl = `https://${host}` as BaseUrl;
  const users = new Map<Address, ServedUser>();
  const tokens = new Map<Hex32, Address>();
  const sessions = new Map<string, ServedSession>();
  const behaviours = new Map<string, Handler>();
  const messages: ServedMessage[] = [];
  const fresh = (): Hex32 => toHex(randomBytes(32));
  const refuse = (response: ServerResponse, code: ApiErrorCode, headers: Record<string, string> = {}): void => {
    const body = problem(code);
    answerJson(response, body, body.status, headers);
  };

  const history = ({ request, response, parameters }: Call, user: ServedUser): void => {
    const head = user.head ?? (user.records.length === 0 ? fresh() : user.trueHead());
    const answer = { address: user.address, records: user.records.slice(Number(parameters[1] ?? 0)), head };
    const etag = `"${toHex(hash(Buffer.from(JSON.stringify(answer))))}"`;
    if (request.headers['if-none-match'] === etag) response.writeHead(304, { etag }).end();
    else answerJson(response, answer, 200, { etag });
  };

  const login = async ({ request, response }: Call, address: Address): Promise<void> => {
    const body = JSON.parse((await readRequest(request)).toString()) as Record<string, string>;
    const token = body.token as Hex32;
    const publicKey = body.public_key as Hex32;
    if (tokens.get(token) !== address) return refuse(response, 'unauthorized');
    tokens.delete(token);
    const digest = loginDigest({ baseUrl, address, masterKey: publicKey, token });
    verifySignedHash(body.signed_token ?? '', digest, publicKey);
    const authentication_token = fresh();
    const loginTokenHash = toHex(loginTokenDigest(token));
    sessions.set(authentication_token, { address, publicKey, loginTokenHash });
    const expires = formatTimestamp(settings.now() + 86_400);
    answerJson(response, { authentication_token, expires, scope: 'remote' });
  };

  const messageKey = async ({ request, response }: Call): Promise<void> => {
    const body = JSON.parse((await readRequest(request)).toString()) as { address: Address };
    settings.onKeyAsked?.(body.address);
    const user = users.get(body.address);
    if (user === undefined) return refuse(response, 'unknown_user');
    const { address, master } = user;
    const created = createMessageKey({ address, kind: 'ephemeral', master, now: settings.now(), lifetimeDays: 90 });
    user.secrets.set(created.key.public_key, created.secret);
    const head = user.messageKeyHead ?? user.trueHead();
    const public_key = toHex(master.publicKey);
    answerJson(response, { address, public_key, head, message_key: created.key, non_ephemeral: false });
  };

  const take = async ({ request, response, session }: Call, recipient: Address): Promise<void> => {
    const envelope = JSON.parse((await readRequest(request)).toString()) as SentEnvelope;
    if (session === null) return refuse(response, 'unauthorized');
    const { address: sender, publicKey: senderKey } = session;
    messages.push({ sender, senderKey, recipient, envelope });
    answerJson(response, { message_id: fresh() });
  };

  const withUser = (call: Call, serve: (call: Call, user: ServedUser) => void): void => {
    const user = users.get(parsePathSegment(call.parameters[0] ?? ''));
    if (user === undefined) refuse(call.response, 'unknown_user');
    else serve(call, user);
  };

  const honest: Partial<Record<CallName, (call: Call) => void | Promise<void>>> = {
    get_history: (call) => withUser(call, history),
    get_public_key: (call) =>
      withUser(call, ({ response }, user) => {
        const public_key = toHex(user.master.publicKey);
        const seq = user.records.length - 1;
        answerJson(response, { address: user.address, public_key, seq, head: user.head ?? user.trueHead() });
      }),
    get_create_session({ response, parameters }) {
      const token = fresh();
      tokens.set(token, parsePathSegment(parameters[0] ?? ''));
      answerJson(response, { token, expires: formatTimestamp(settings.now() + 120) });
    },
    post_create_session: (call) => login(call, parsePathSegment(call.parameters[0] ?? '')),
    destroy_session({ request, response }) {
      sessions.delete(String(request.headers['smimp-authentication']));
      response.writeHead(204).end();
    },
    get_message_key: messageKey,
    get_pow_params({ response }) {
      const expires = formatTimestamp(settings.now() + 3600);
      answerJson(response, { zero_bits: settings.zeroBits, nonce: fresh(), expires });
    },
    send_message: (call) => take(call, parsePathSegment(call.parameters[0] ?? '')),
  };

  const apiCall = async (request: IncomingMessage, response: ServerResponse, path: string): Promise<void> => {
    for (const [name, method, pattern] of ROUTES) {
      const match = request.method === method ? pattern.exec(path) : null;
      if (match === null) continue;
      const behaviour = behaviours.get(name);
      if (behaviour !== undefined) return behaviour(request, response);
      const session = sessions.get(String(request.headers['smimp-authentication'])) ?? null;
      const needsSession = ['destroy_session', 'get_message_key', 'get_pow_params', 'send_message'].includes(name);
      if (needsSession && session === null) return refuse(response, 'unauthorized');
      return honest[name]?.({ request, response, parameters: match.slice(1), session });
    }
    refuse(response, 'not_found');
  };

  const handler: Handler = (request, response) => {
    const path = request.url ?? '';
    if (path === '/.well-known/smimp.txt') {
      const behaviour = behaviours.get('smimp.txt');
      return behaviour === undefined ? answerText(response, `${host}\n`) : behaviour(request, response);
    }
    if (path === '/version') {
      const behaviour = behaviours.get('version');
      return behaviour === undefined ? answerJson(response, { versions: ['0.1'] }) : behaviour(request, response);
    }
    return apiCall(request, response, path.slice(API_PREFIX.length));
  };

  const server = await startTlsServer({ names: [domain, host], handler });
  const behave: HostileServer['behave'] = (call, behaviour) => {
    if (behaviour === null) behaviours.delete(call);
    else behaviours.set(call, behaviour);
  };
  return {
    ...server,
    domain,
    baseUrl,
    hosts: { [domain]: server.target, [host]: server.target },
    messages,
    addUser(local, now) {
      const user = new ServedUser(parseAddress(`${local}#${domain}`), now);
      users.set(user.address, user);
      return user;
    },
    removeUser: (user) => void users.delete(user.address),
    behave,
    failOnce(call, code, headers) {
      behave(call, (_request, response) => {
        behave(call, null);
        refuse(response, code, headers);
      });
    },
    endSessions: () => sessions.clear(),
  };
}
