/**
 * A real home server on loopback with a real database, and people who use it: what the tests of the API stand on. The clock
 * is the test's. Requests go over TLS by plain node:https, so that a test can send what no decent client would.
 */
import { once } from 'node:events';
import type { IncomingHttpHeaders } from 'node:http';
import { Agent, request as httpsRequest, type RequestOptions } from 'node:https';
import { connect } from 'node:tls';
import { type ApiLimits, createApi } from '../../src/api/server.ts';
import { createEvents } from '../../src/events.ts';
import type { LegacyIdentities } from '../../src/legacy/identities.ts';
import { createLogger } from '../../src/log.ts';
import { constantPolicy, type PowPolicy } from '../../src/policy/pow-policy.ts';
import { type Address, parseAddress } from '../../src/smimp/address.ts';
import { CALLS, type CallName, type PublicKeyAnswer, problemSchema } from '../../src/smimp/api.ts';
import { type MasterKeyPair, masterKeyPair, randomBytes } from '../../src/smimp/crypto.ts';
import { parseBaseUrl } from '../../src/smimp/discovery.ts';
import { type Hex24, type Hex32, type SignedHash, toHex } from '../../src/smimp/encoding.ts';
import { type SentEnvelope, signEnvelope } from '../../src/smimp/envelope.ts';
import { parseStrictJson } from '../../src/smimp/json.ts';
import { createMessageKey, type MessageKey } from '../../src/smimp/message-key.ts';
import { ciphertextHash, formatProof, powDigest } from '../../src/smimp/pow.ts';
import { createRecord, type IdentityRecord } from '../../src/smimp/record.ts';
import { loginDigest, loginTokenDigest, signDigest } from '../../src/smimp/transcript.ts';
import { createAccount } from '../../src/store/accounts.ts';
import type { OpenedDatabase } from '../../src/store/database.ts';
import { initializeAccount } from '../../src/store/records.ts';
import { testDatabase } from './database.ts';
import { testAuthority, testCertificate } from './tls-server.ts';

export const BASE_URL = parseBaseUrl('https://smimp.corp.test');
export const START = new Date('2026-03-01T09:00:00Z');
export const BOB = parseAddress('bob#corp.test');
export const CAROL = parseAddress('carol#corp.test');
export const ALICE = parseAddress('alice#acme.test');

export type Reply = { status: number; headers: IncomingHttpHeaders; text: string; json: unknown };
export type Sent = {
  method?: string;
  path: string;
  body?: string | Buffer;
  token?: string;
  headers?: Record<string, string>;
};
export type Login = { token: Hex32; loginTokenHash: Hex32; scope: string };
export type Person = { address: Address; master: MasterKeyPair };

export interface ApiSite extends AsyncDisposable {
  readonly opened: OpenedDatabase;
  readonly port: number;
  readonly ca: string;
  now: Date;
  /** What other servers answer for an address; throws what it was told to throw. */
  remoteKeys: Map<string, Hex32 | Error>;
  /** How often another server was asked. */
  fetches: number;
  /** Done while another server is being asked. */
  duringFetch: () => Promise<void>;
  /** Lines of the log. */
  readonly log: string[];
  later(seconds: number): void;
  send(sent: Sent): Promise<Reply>;
  get(path: string, token?: string): Promise<Reply>;
  post(path: string, body: unknown, token?: string, headers?: Record<string, string>): Promise<Reply>;
  account(address: Address, keys?: { ephemeral?: number }): Promise<Account>;
  logIn(person: Person): Promise<Login>;
}

export type Account = Person & {
  accountId: number;
  record: IdentityRecord;
  nonEphemeral: MessageKey;
  ephemeral: MessageKey[];
};

export interface ApiSiteOptions {
  limits?: Partial<ApiLimits>;
  /** Asked of everybody; unless there is a policy. */
  zeroBits?: number;
  powPolicy?: PowPolicy;
  /** Most bytes of a mailbox. */
  quotaBytes?: number;
  /** Of another site: a second process of the same server. */
  opened?: OpenedDatabase;
  /** Makes it a gateway. */
  legacy?: (opened: OpenedDatabase) => LegacyIdentities;
  /** Instead of `remoteKeys`. */
  fetchPublicKey?: (address: Address) => Promise<PublicKeyAnswer>;
}

export async function startApi(options: ApiSiteOptions = {}): Promise<ApiSite> {
  const opened = options.opened ?? (await testDatabase());
  const legacy = options.legacy?.(opened) ?? null;
  const authority = await testAuthority();
  const { certificate: cert, key } = await testCertificate('smimp.corp.test', 'corp.test');
  const agent = new Agent({ keepAlive: true, maxSockets: 60 });
  const remoteKeys = new Map<string, Hex32 | Error>();
  const log: string[] = [];
  const api = createApi({
    db: opened.db,
    listener: opened.listener,
    baseUrl: BASE_URL,
    domains: legacy === null ? ['corp.test'] : [legacy.domain],
    legacy,
    tls: { cert, key },
    quotaBytes: options.quotaBytes ?? null,
    powPolicy: options.powPolicy ?? constantPolicy(options.zeroBits ?? 4),
    fetchPublicKey: async (address) => {
      site.fetches += 1;
      await site.duringFetch();
      if (options.fetchPublicKey !== undefined) return options.fetchPublicKey(address);
      const known = remoteKeys.get(address);
      if (known instanceof Error) throw known;
      if (known === undefined) throw new TypeError('the test names no key for this address');
      return { address, public_key: known, seq: 0, head: known } satisfies PublicKeyAnswer;
    },
    events: createEvents(createLogger({ level: 'info', destination: { write: (line) => log.push(line) } })),
    clock: () => site.now,
    ...(options.limits === undefined ? {} : { limits: options.limits }),
  });
  const { port } = await api.listen({ host: '127.0.0.1', port: 0 });
  const ca = authority.certificate;
  const site: ApiSite = {
    opened,
    port,
    ca,
    now: START,
    remoteKeys,
    fetches: 0,
    duringFetch: async () => undefined,
    log,
    later(seconds) {
      site.now = new Date(site.now.getTime() + seconds * 1000);
    },
    send: (sent) => exchange({ host: '127.0.0.1', port, ca, servername: 'smimp.corp.test', agent }, sent),
    get: (path, token) => site.send(token === undefined ? { path } : { path, token }),
    post: (path, body, token, headers = {}) =>
      site.send({
        method: 'POST',
        path,
        body: JSON.stringify(body),
        headers: { 'content-type': 'application/json', ...headers },
        ...(token === undefined ? {} : { token }),
      }),
    account: (address, keys) => newAccount(site, address, keys?.ephemeral ?? 8),
    logIn: (person) => logIn(site, person),
    async [Symbol.asyncDispose]() {
      agent.destroy();
      await api[Symbol.asyncDispose]();
      if (options.opened === undefined) await opened[Symbol.asyncDispose]();
    },
  };
  return site;
}

async function exchange(target: RequestOptions, sent: Sent): Promise<Reply> {
  const length = sent.body === undefined ? {} : { 'content-length': String(Buffer.byteLength(sent.body)) };
  const session = sent.token === undefined ? {} : { 'smimp-authentication': sent.token };
  const headers = { ...length, ...session, ...sent.headers };
  const request = httpsRequest({ ...target, method: sent.method ?? 'GET', path: sent.path, headers });
  request.end(sent.body);
  const [response] = (await once(request, 'response')) as [import('node:http').IncomingMessage];
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  const text = Buffer.concat(chunks).toString('utf8');
  const isJson = /json/.test(response.headers['content-type'] ?? '');
  const json = isJson ? parseStrictJson(text) : undefined;
  return { status: response.statusCode ?? 0, headers: response.headers, text, json };
}

/** The code of a problem document, whose status, type and form are checked on the way. */
export function codeOf(reply: Reply): string {
  const document = problemSchema.strict().parse(reply.json);
  if (document.status !== reply.status || document.type !== `urn:smimp:error:${document.code}`)
    throw new Error(`a problem document that contradicts itself: ${reply.text}`);
  return document.code;
}

/** The body of an answer that went well, checked against the schema of its call. */
export function answerOf<Name extends CallName>(
  name: Name,
  reply: Reply,
): import('zod').z.output<(typeof CALLS)[Name]['response']> {
  if (reply.status !== CALLS[name].status) throw new Error(`${name}: ${reply.status} ${reply.text}`);
  return CALLS[name].response.parse(reply.json) as never;
}

export const segment = (address: string): string => address.replace('#', '%23');
const unix = (date: Date): number => Math.floor(date.getTime() / 1000);

/** A signed message key of a person. */
export function keyOf(person: Person, kind: MessageKey['kind'], now: Date, lifetimeDays = 30): MessageKey {
  return createMessageKey({ ...person, kind, now: unix(now), lifetimeDays }).key;
}

async function newAccount(site: ApiSite, address: Address, ephemeralCount: number): Promise<Account> {
  const { db } = site.opened;
  const master = masterKeyPair();
  const person = { address, master };
  const record = createRecord({ ...person, now: unix(site.now) });
  const nonEphemeral = keyOf(person, 'non-ephemeral', site.now);
  const ephemeral = Array.from({ length: ephemeralCount }, () => keyOf(person, 'ephemeral', site.now));
  const accountId = await db.transaction().execute(async (tx) => {
    const { id } = await createAccount(tx, { address, initializeHash: null, now: site.now });
    const masterKey = toHex(master.publicKey);
    const keys = { masterKey, nonEphemeralKey: nonEphemeral, ephemeralKeys: ephemeral };
    await initializeAccount(tx, { ...keys, accountId: id, record, now: site.now });
    return id;
  });
  return { ...person, accountId, record, nonEphemeral, ephemeral };
}

/** Somebody whose account is on another server, which knows her key. */
export function stranger(site: ApiSite, address: Address): Person {
  const master = masterKeyPair();
  site.remoteKeys.set(address, toHex(master.publicKey));
  return { address, master };
}

/** What a login posts. */
export async function loginBody(
  site: ApiSite,
  person: Person,
  baseUrl: string = BASE_URL,
): Promise<{ token: Hex32; signed_token: SignedHash; public_key: Hex32 }> {
  const path = `/0.1/create_session/${segment(person.address)}`;
  const { token } = answerOf('get_create_session', await site.get(path));
  const masterKey = toHex(person.master.publicKey);
  const digest = loginDigest({ baseUrl, address: person.address, masterKey, token });
  return { token, signed_token: signDigest(person.master.secretKey, digest), public_key: masterKey };
}

async function logIn(site: ApiSite, person: Person): Promise<Login> {
  const body = await loginBody(site, person);
  const reply = await site.post(`/0.1/create_session/${segment(person.address)}`, body);
  const { authentication_token, scope } = answerOf('post_create_session', reply);
  return { token: authentication_token, loginTokenHash: toHex(loginTokenDigest(body.token)), scope };
}

export type Draft = {
  sender: Person;
  recipient: Address;
  login: Login;
  messageKey: Hex32;
  ciphertext?: Buffer;
  messageType?: string;
  proofOfWork?: string | null;
};

/** An envelope of random bytes, properly signed. */
export function envelopeOf(draft: Draft): SentEnvelope {
  const { sender, recipient, login, messageKey } = draft;
  return signEnvelope({
    sealed: {
      ciphertext: draft.ciphertext ?? randomBytes(400),
      messageType: draft.messageType ?? 'email',
      messagePublicKey: messageKey,
      nonce: toHex<Hex24>(randomBytes(24)),
    },
    proofOfWork: draft.proofOfWork ?? null,
    loginTokenHash: login.loginTokenHash,
    sender: sender.address,
    recipient,
    senderKey: sender.master,
  });
}

/** A proof with at least `zeroBits` for exactly this ciphertext, or with too few when `enough` is false. */
export function proofOf(work: {
  ciphertext: Uint8Array;
  login: Login;
  recipient: Address;
  nonce: Hex32;
  zeroBits: number;
  messageType?: string;
  enough?: boolean;
}): string {
  const target = {
    loginTokenHash: work.login.loginTokenHash,
    ciphertextHash: ciphertextHash(work.ciphertext),
    recipient: work.recipient,
    messageType: work.messageType ?? 'email',
    nonce: work.nonce,
  };
  for (;;) {
    const value = randomBytes(32);
    const digest = powDigest(target, value);
    const isEnough = digest.readUInt32BE(0) >>> (32 - work.zeroBits || 0) === 0 || work.zeroBits === 0;
    if (isEnough === (work.enough ?? true)) return formatProof({ hash: digest, value, nonce: work.nonce });
  }
}

/** A message from `sender` to `recipient` with everything it needs: key, nonce, proof, signature. */
export async function prepare(
  site: ApiSite,
  from: { sender: Person; login: Login; recipient: Address; ciphertext?: Buffer },
): Promise<{ envelope: SentEnvelope; nonce: Hex32; messageKey: MessageKey; ciphertext: Buffer }> {
  const { login, recipient } = from;
  const ciphertext = from.ciphertext ?? randomBytes(400);
  const given = answerOf(
    'get_message_key',
    await site.post('/0.1/get_message_key', { address: recipient }, login.token),
  );
  const asked = answerOf(
    'get_pow_params',
    await site.get(`/0.1/get_pow_params/${segment(recipient)}/email`, login.token),
  );
  const proofOfWork = proofOf({ ciphertext, login, recipient, nonce: asked.nonce, zeroBits: asked.zero_bits });
  const messageKey = given.message_key;
  const envelope = envelopeOf({ ...from, ciphertext, messageKey: messageKey.public_key, proofOfWork });
  return { envelope, nonce: asked.nonce, messageKey, ciphertext };
}

export const sendPath = (recipient: Address): string => `/0.1/send_message/${segment(recipient)}`;

/** Raw bytes over TLS, and all that comes back until the server closes or the answer is complete. */
export async function rawExchange(site: ApiSite, bytes: string, until: RegExp): Promise<string> {
  const socket = connect({ host: '127.0.0.1', port: site.port, ca: site.ca, servername: 'smimp.corp.test' });
  await once(socket, 'secureConnect');
  socket.write(bytes);
  let got = '';
  for await (const chunk of socket) {
    got += String(chunk);
    if (until.test(got)) break;
  }
  socket.destroy();
  return got;
}
