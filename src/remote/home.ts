/**
 * The client's side of other people's SMIMP servers (SMIMP 0.1 §5): keys, histories, logins, messages. No answer is
 * believed here beyond its form; who somebody is, is decided in src/identity.
 */
import type { Address } from '../smimp/address.ts';
import {
  historyAnswer,
  loginTokenAnswer,
  type MessageKeyAnswer,
  messageIdAnswer,
  messageKeyAnswer,
  type PowParametersAnswer,
  type PublicKeyAnswer,
  powParametersAnswer,
  publicKeyAnswer,
  type SessionAnswer,
  sessionAnswer,
} from '../smimp/api.ts';
import type { MasterKeyPair } from '../smimp/crypto.ts';
import type { BaseUrl } from '../smimp/discovery.ts';
import { type Hex32, parseTimestamp, toHex } from '../smimp/encoding.ts';
import type { SentEnvelope } from '../smimp/envelope.ts';
import { ProfileError } from '../smimp/errors.ts';
import { MAX_HISTORY_RECORDS, MAX_RECORD_DATA_BYTES } from '../smimp/record.ts';
import { loginDigest, loginTokenDigest, signDigest } from '../smimp/transcript.ts';
import { callRemote, etagOf, parseAnswer, type RemoteCall } from './call.ts';
import { RemoteError } from './errors.ts';
import type { Https, StreamedBody } from './https.ts';

/** A login at another server. Plain data; `token` is a secret. */
export type Session = {
  readonly baseUrl: BaseUrl;
  /** Who logged in, and the master key that did. */
  readonly address: Address;
  readonly publicKey: Hex32;
  readonly token: Hex32;
  /** D(login-token) of the token that was signed; envelopes are bound to it. */
  readonly loginTokenHash: Hex32;
  /** Unix seconds. */
  readonly expires: number;
  readonly scope: SessionAnswer['scope'];
};

/** What a server answered to `history`; its form is checked, nothing else. `etag` names this answer. */
export type HistoryReply = { readonly records: unknown[]; readonly head: Hex32; readonly etag: string | null };

export interface HomeClient {
  publicKey(baseUrl: BaseUrl, address: Address): Promise<PublicKeyAnswer>;
  /** Records from number `from` on. Null: not changed since the answer that `etag` names. */
  history(ask: {
    baseUrl: BaseUrl;
    address: Address;
    from: number;
    etag?: string | null;
    signal?: AbortSignal;
  }): Promise<HistoryReply | null>;
  /** Logs in; the signature binds `baseUrl` (SMIMP 0.1 §1.3). A refused login is `retry`: logging in again is no cure. */
  createSession(login: { baseUrl: BaseUrl; address: Address; master: MasterKeyPair }): Promise<Session>;
  destroySession(session: Session): Promise<void>;
  /** Compare `head` with the verified one before the key is used. */
  getMessageKey(session: Session, address: Address): Promise<MessageKeyAnswer>;
  getPowParams(session: Session, address: Address, messageType: string): Promise<PowParametersAnswer>;
  /** `envelope`: the object, or its JSON. */
  sendMessage(
    session: Session,
    address: Address,
    envelope: SentEnvelope | Buffer | StreamedBody,
    signal?: AbortSignal,
  ): Promise<{ messageId: Hex32 }>;
}

/** 1000 records of 16 KiB, each quote and backslash of which is escaped once more, with room for signatures. */
export const MAX_HISTORY_BYTES = MAX_HISTORY_RECORDS * (2 * MAX_RECORD_DATA_BYTES + 1024);
/** A message of 25 MiB over a slow line: 56 MiB at 2 Mbit/s. */
const SEND_TIMEOUT_MS = 240_000;

export function createHomeClient(options: { https: Https; timeoutMs?: number; sendTimeoutMs?: number }): HomeClient {
  const { https, timeoutMs } = options;
  const timed = timeoutMs === undefined ? {} : { timeoutMs };
  const sendTimeoutMs = options.sendTimeoutMs ?? SEND_TIMEOUT_MS;
  const asSession = (session: Session): RemoteCall => ({ baseUrl: session.baseUrl, token: session.token, ...timed });
  return {
    async publicKey(baseUrl, address) {
      const answer = await callRemote(https, 'get_public_key', { baseUrl, params: { a: address }, ...timed });
      return about(address, parseAnswer(publicKeyAnswer, answer));
    },
    async history({ baseUrl, address, from, etag = null, signal }) {
      const query = from === 0 ? {} : { from };
      const params = { a: address };
      const call = { baseUrl, params, query, ifNoneMatch: etag, maxBytes: MAX_HISTORY_BYTES, signal, ...timed };
      const answer = await callRemote(https, 'get_history', call);
      if (answer.status === 304) return null;
      const { records, head } = about(address, parseAnswer(historyAnswer, answer));
      return { records, head, etag: etagOf(answer) };
    },
    createSession: (login) => logIn(https, login, timed),
    async destroySession(session) {
      await callRemote(https, 'destroy_session', asSession(session));
    },
    async getMessageKey(session, address) {
      const body = Buffer.from(JSON.stringify({ address }));
      const answer = await callRemote(https, 'get_message_key', { ...asSession(session), body });
      return about(address, parseAnswer(messageKeyAnswer, answer));
    },
    async getPowParams(session, address, messageType) {
      const call = { ...asSession(session), params: { a: address, type: messageType } };
      return parseAnswer(powParametersAnswer, await callRemote(https, 'get_pow_params', call));
    },
    async sendMessage(session, address, envelope, signal) {
      const isJson = Buffer.isBuffer(envelope) || 'pieces' in envelope;
      const body = isJson ? envelope : Buffer.from(JSON.stringify(envelope));
      const call = { ...asSession(session), params: { a: address }, body, timeoutMs: sendTimeoutMs, signal };
      const answer = parseAnswer(messageIdAnswer, await callRemote(https, 'send_message', call));
      return { messageId: answer.message_id };
    },
  };
}

/** An answer about somebody else than was asked for is none. */
function about<T extends { address: Address }>(address: Address, answer: T): T {
  if (answer.address === address) return answer;
  throw new RemoteError('bad-response', { status: 200, cause: new ProfileError('record-address') });
}

async function logIn(
  https: Https,
  login: { baseUrl: BaseUrl; address: Address; master: MasterKeyPair },
  timed: { timeoutMs?: number },
): Promise<Session> {
  const { baseUrl, address, master } = login;
  const publicKey = toHex(master.publicKey);
  const call = { baseUrl, params: { a: address }, ...timed };
  const { token } = parseAnswer(loginTokenAnswer, await callRemote(https, 'get_create_session', call));
  const signed_token = signDigest(master.secretKey, loginDigest({ baseUrl, address, masterKey: publicKey, token }));
  const body = Buffer.from(JSON.stringify({ token, signed_token, public_key: publicKey }));
  const answer = await callRemote(https, 'post_create_session', { ...call, body }).catch(refusedLogin);
  const { authentication_token, expires, scope } = parseAnswer(sessionAnswer, answer);
  const loginTokenHash = toHex(loginTokenDigest(token));
  const until = parseTimestamp(expires);
  return { baseUrl, address, publicKey, token: authentication_token, loginTokenHash, expires: until, scope };
}

function refusedLogin(error: unknown): never {
  if (!(error instanceof RemoteError) || error.disposition !== 'session') throw error;
  const { status, apiCode, retryAfterMs } = error;
  throw new RemoteError('api', { status, apiCode, retryAfterMs, disposition: 'retry', cause: error });
}
