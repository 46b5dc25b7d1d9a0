/**
 * The owner's side of her home server (SMIMP 0.1 §5): every call that needs a `home` session, and the few without one that
 * an owner's client needs. One function per call of the table; what an answer means is decided by the caller.
 */
import type { z } from 'zod';
import type { Address } from '../smimp/address.ts';
import type {
  EphemeralKeysRequest,
  InitializeRequest,
  listAnswer,
  quotaAnswer,
  ServerInformation,
  UpdateProfileRequest,
} from '../smimp/api.ts';
import type { BaseUrl } from '../smimp/discovery.ts';
import type { Base64, Hex32 } from '../smimp/encoding.ts';
import type { MessageKey } from '../smimp/message-key.ts';
import type { IdentityRecord } from '../smimp/record.ts';
import { type AvatarCalls, avatarCalls } from './avatars.ts';
import { call, MAX_ANSWER_BYTES } from './call.ts';
import type { Session } from './home.ts';
import type { Https } from './https.ts';
import { type MailboxCalls, mailboxCalls } from './owner-mailbox.ts';

export type ListName = 'whitelist' | 'blacklist';
export type ListEntries = z.output<typeof listAnswer>['entries'];
export type Quota = z.output<typeof quotaAnswer>;
/** Throws RemoteError; ProfileError for a request that the profile forbids. */
export interface OwnerClient extends MailboxCalls, AvatarCalls {
  serverInformation(baseUrl: BaseUrl): Promise<ServerInformation>;
  mostRecent(baseUrl: BaseUrl, address: Address): Promise<IdentityRecord>;
  /** Once ever. Needs no session but the one-time code. */
  initializeAccount(baseUrl: BaseUrl, request: InitializeRequest): Promise<void>;
  nonEphemeralKey(session: Session): Promise<MessageKey>;
  setNonEphemeralKey(session: Session, key: MessageKey): Promise<void>;
  /** Keys that nobody has been given. `etag` names this pool. */
  ephemeralKeys(session: Session): Promise<{ keys: MessageKey[]; etag: string | null }>;
  /** Only if the pool is the one that `etag` names. How many there are then. */
  setEphemeralKeys(session: Session, request: EphemeralKeysRequest, etag: string): Promise<number>;
  /** The head after it. */
  updateProfile(session: Session, request: UpdateProfileRequest): Promise<Hex32>;
  list(session: Session, list: ListName): Promise<ListEntries>;
  addToList(session: Session, list: ListName, entry: { hash: Hex32; data: Base64 }): Promise<void>;
  removeFromList(session: Session, list: ListName, hash: Hex32): Promise<void>;
  quota(session: Session): Promise<Quota>;
}

/** A record of 16 KiB, each quote and backslash of which is escaped once more, with its signatures. */
const MAX_RECORD_BYTES = 48 * 1024;
/** 500 keys of about 400 bytes. */
const MAX_POOL_BYTES = 512 * 1024;
/** The profile sets no limit to a list: some ten thousand entries. */
const MAX_LIST_BYTES = 16 * 1024 * 1024;

export function createOwnerClient(options: { https: Https; timeoutMs?: number }): OwnerClient {
  const { https } = options;
  const timed = options.timeoutMs === undefined ? {} : { timeoutMs: options.timeoutMs };
  const as = ({ baseUrl, token }: Session, maxBytes = MAX_ANSWER_BYTES) => ({ baseUrl, token, maxBytes, ...timed });
  return {
    ...mailboxCalls(https, timed),
    ...avatarCalls(https, timed),
    serverInformation: async (baseUrl) => (await call(https, 'server_information', { baseUrl, ...timed })).answer,
    async mostRecent(baseUrl, address) {
      const ask = { baseUrl, params: { a: address }, maxBytes: MAX_RECORD_BYTES, ...timed };
      return (await call(https, 'get_most_recent', ask)).answer;
    },
    async initializeAccount(baseUrl, request) {
      await call(https, 'initialize_account', { baseUrl, request, ...timed });
    },
    nonEphemeralKey: async (session) => (await call(https, 'get_nonephemeral_key', as(session))).answer,
    async setNonEphemeralKey(session, key) {
      await call(https, 'post_nonephemeral_key', { ...as(session), request: key });
    },
    async ephemeralKeys(session) {
      const { answer, etag } = await call(https, 'get_ephemeral_keys', as(session, MAX_POOL_BYTES));
      return { keys: answer.keys, etag };
    },
    async setEphemeralKeys(session, request, etag) {
      return (await call(https, 'post_ephemeral_keys', { ...as(session), request, ifMatch: etag })).answer.count;
    },
    updateProfile: async (session, request) =>
      (await call(https, 'update_profile', { ...as(session), request })).answer.head,
    list: async (session, list) => (await call(https, `get_${list}`, as(session, MAX_LIST_BYTES))).answer.entries,
    async addToList(session, list, entry) {
      await call(https, `post_${list}`, { ...as(session), request: entry });
    },
    async removeFromList(session, list, hash) {
      await call(https, `delete_${list}`, { ...as(session), params: { hash } });
    },
    quota: async (session) => (await call(https, 'get_quota', as(session))).answer,
  };
}
