/**
 * The calls of the API (SMIMP 0.1 §5) in one table: method, path, who may call, what goes in and what comes out. Routes,
 * clients and the OpenAPI document are made from it. Paths are below `{base_url}/0.1/`, but `version`, which has no prefix.
 */
import type { z } from 'zod';
import type { ApiErrorCode } from './api-errors.ts';
import * as s from './api-schemas.ts';
import { recordSchema } from './record.ts';

export * from './api-errors.ts';
export * from './api-limits.ts';
export * from './api-schemas.ts';

/** Header that carries the session token. There are no cookies. */
export const SESSION_HEADER = 'smimp-authentication';
/** Prefix of every call but `version`. */
export const API_PREFIX = '/0.1/';

/** `none`, any `session`, the `home` session of this mailbox's owner, or the one-time `code` of a new account. */
export type CallAuth = 'none' | 'session' | 'home' | 'code';

export type CallDefinition = {
  readonly method: 'GET' | 'POST' | 'DELETE';
  /** `{name}` stands for a path segment, described in `params`. */
  readonly path: string;
  readonly auth: CallAuth;
  readonly params?: z.ZodType;
  readonly query?: z.ZodType;
  readonly request?: z.ZodType;
  readonly response: z.ZodType;
  readonly status: 200 | 201 | 204;
  /** Beside `bad_request`, `not_found`, `too_large`, `too_many_requests`, `internal`, `unavailable`, and the session errors of `auth`. */
  readonly errors: readonly ApiErrorCode[];
};

/** What every call may answer. */
export const COMMON_ERRORS: readonly ApiErrorCode[] = [
  'bad_request',
  'not_found',
  'method_not_allowed',
  'request_timeout',
  'too_large',
  'unsupported_media_type',
  'too_many_requests',
  'internal',
  'unavailable',
];

/** What a call may answer because of who calls. */
export const AUTH_ERRORS: Readonly<Record<CallAuth, readonly ApiErrorCode[]>> = {
  none: [],
  session: ['unauthorized'],
  home: ['unauthorized', 'forbidden'],
  code: ['unauthorized'],
};

type Parts = Omit<CallDefinition, 'method' | 'path' | 'auth' | 'errors' | 'status'> & {
  status?: CallDefinition['status'];
  errors?: readonly ApiErrorCode[];
};

type Defined<P extends Parts> = P & Pick<CallDefinition, 'method' | 'path' | 'auth' | 'status' | 'errors'>;

function call<const P extends Parts>(
  method: CallDefinition['method'],
  path: string,
  auth: CallAuth,
  parts: P,
): Defined<P> {
  return { status: 200, errors: [], ...parts, method, path, auth } as Defined<P>;
}

const done = { response: s.nothing, status: 204 } as const;
const byAddress = { params: s.addressParams, errors: ['unknown_user'] } as const;
const byMessage = { params: s.messageParams, errors: ['unknown_message'] } as const;

const byEntry = { ...done, params: s.listEntryParams, errors: ['unknown_entry'] } as const;
const addEntry = {
  request: s.listEntryRequest,
  response: s.nothing,
  status: 201,
  errors: ['insufficient_storage'],
} as const;

export const CALLS = {
  version: call('GET', 'version', 'none', { response: s.versionsAnswer }),
  server_information: call('GET', 'server_information', 'none', { response: s.serverInformationAnswer }),
  get_public_key: call('GET', 'get_user/{a}/public_key', 'none', { ...byAddress, response: s.publicKeyAnswer }),
  get_most_recent: call('GET', 'get_user/{a}/most_recent', 'none', { ...byAddress, response: recordSchema }),
  get_history: call('GET', 'get_user/{a}/history', 'none', {
    ...byAddress,
    query: s.historyQuery,
    response: s.historyAnswer,
  }),
  /** `not_found`: the user has no avatar. */
  get_user_avatar: call('GET', 'user_avatar/{a}', 'none', { ...byAddress, response: s.avatarAnswer }),
  post_user_avatar: call('POST', 'user_avatar', 'home', {
    ...done,
    request: s.avatarRequest,
    errors: ['bad_image', 'bad_signature'],
  }),
  get_create_session: call('GET', 'create_session/{a}', 'none', {
    params: s.addressParams,
    response: s.loginTokenAnswer,
  }),
  post_create_session: call('POST', 'create_session/{a}', 'none', {
    params: s.addressParams,
    request: s.loginRequest,
    response: s.sessionAnswer,
    errors: ['unauthorized', 'bad_gateway', 'gateway_timeout'],
  }),
  destroy_session: call('POST', 'destroy_session', 'session', done),
  get_message_key: call('POST', 'get_message_key', 'session', {
    request: s.messageKeyRequest,
    response: s.messageKeyAnswer,
    errors: ['blocked', 'unknown_user'],
  }),
  get_pow_params: call('GET', 'get_pow_params/{a}/{type}', 'session', {
    params: s.addressTypeParams,
    response: s.powParametersAnswer,
    errors: ['unknown_user'],
  }),
  send_message: call('POST', 'send_message/{a}', 'session', {
    params: s.addressParams,
    request: s.sendMessageRequest,
    response: s.messageIdAnswer,
    errors: [
      'blocked',
      'unknown_user',
      'key_consumed',
      'bad_signature',
      'bad_pow',
      'bad_key',
      'bad_gateway',
      'gateway_timeout',
      'insufficient_storage',
    ],
  }),
  get_folders: call('GET', 'folders', 'home', { response: s.foldersAnswer }),
  get_folders_of_type: call('GET', 'folders/{type}', 'home', { params: s.typeParams, response: s.foldersAnswer }),
  create_folder: call('POST', 'folders', 'home', {
    request: s.folderRequest,
    response: s.folderObject,
    status: 201,
    errors: ['folder_exists', 'unknown_folder', 'wrong_type', 'bad_folder'],
  }),
  change_folder: call('POST', 'folders/{name}', 'home', {
    params: s.folderNameParams,
    request: s.folderRequest,
    response: s.folderObject,
    errors: ['folder_exists', 'unknown_folder', 'wrong_type', 'bad_folder'],
  }),
  delete_folder: call('DELETE', 'folders/{type}/{name}', 'home', {
    ...done,
    params: s.folderParams,
    errors: ['unknown_folder', 'folder_not_empty'],
  }),
  get_inbox: call('GET', 'folder/{type}', 'home', {
    params: s.typeParams,
    query: s.pageQuery,
    response: s.folderPageAnswer,
  }),
  get_folder: call('GET', 'folder/{type}/{name}', 'home', {
    params: s.folderParams,
    query: s.pageQuery,
    response: s.folderPageAnswer,
    errors: ['unknown_folder'],
  }),
  get_message: call('GET', 'message/{id}/{mark}', 'home', {
    params: s.readMessageParams,
    response: s.messageAnswer,
    errors: ['unknown_message'],
  }),
  delete_message: call('DELETE', 'message/{id}', 'home', { ...byMessage, ...done }),
  message_move: call('POST', 'message_move/{id}', 'home', {
    params: s.messageParams,
    request: s.placeRequest,
    response: s.placedAnswer,
    errors: ['unknown_message', 'unknown_folder', 'wrong_type'],
  }),
  message_copy: call('POST', 'message_copy/{id}', 'home', {
    params: s.messageParams,
    request: s.placeRequest,
    response: s.placedAnswer,
    errors: ['unknown_message', 'unknown_folder', 'wrong_type', 'insufficient_storage'],
  }),
  get_message_read: call('GET', 'message_read/{id}', 'home', { ...byMessage, response: s.readAnswer }),
  post_message_read: call('POST', 'message_read/{id}', 'home', {
    ...byMessage,
    request: s.readRequest,
    response: s.revisionAnswer,
  }),
  message_extensions: call('POST', 'message_extensions/{id}', 'home', {
    params: s.messageParams,
    request: s.extensionsRequest,
    response: s.revisionAnswer,
    errors: ['unknown_message', 'precondition_failed', 'precondition_required'],
  }),
  import_message: call('POST', 'import_message', 'home', {
    request: s.importRequest,
    response: s.placedAnswer,
    status: 201,
    errors: ['unknown_folder', 'wrong_type', 'bad_signature', 'bad_key', 'insufficient_storage'],
  }),
  initialize_account: call('POST', 'initialize_account', 'code', {
    request: s.initializeRequest,
    response: s.nothing,
    status: 201,
    errors: ['already_initialized', 'bad_record', 'bad_signature', 'bad_key'],
  }),
  get_nonephemeral_key: call('GET', 'nonephemeral_key', 'home', { response: s.messageKeyObject }),
  post_nonephemeral_key: call('POST', 'nonephemeral_key', 'home', {
    ...done,
    request: s.messageKeyObjectRequest,
    errors: ['bad_key', 'bad_signature'],
  }),
  get_ephemeral_keys: call('GET', 'ephemeral_keys', 'home', { response: s.ephemeralKeysAnswer }),
  post_ephemeral_keys: call('POST', 'ephemeral_keys', 'home', {
    request: s.ephemeralKeysRequest,
    response: s.keyCountAnswer,
    errors: ['bad_key', 'bad_signature', 'precondition_failed', 'precondition_required'],
  }),
  update_profile: call('POST', 'update_profile', 'home', {
    request: s.updateProfileRequest,
    response: s.headAnswer,
    errors: ['stale_record', 'bad_record', 'bad_signature', 'bad_key'],
  }),
  get_whitelist: call('GET', 'whitelist', 'home', { response: s.listAnswer }),
  post_whitelist: call('POST', 'whitelist', 'home', addEntry),
  delete_whitelist: call('DELETE', 'whitelist/{hash}', 'home', byEntry),
  get_blacklist: call('GET', 'blacklist', 'home', { response: s.listAnswer }),
  post_blacklist: call('POST', 'blacklist', 'home', addEntry),
  delete_blacklist: call('DELETE', 'blacklist/{hash}', 'home', byEntry),
  get_quota: call('GET', 'quota', 'home', { response: s.quotaAnswer }),
  get_changes: call('GET', 'changes', 'home', { query: s.changesQuery, response: s.changesAnswer }),
} as const;

export type CallName = keyof typeof CALLS;
export const CALL_NAMES = Object.keys(CALLS) as CallName[];

/** Every error a call may answer with. */
export function callErrors(name: CallName): ApiErrorCode[] {
  const { auth, errors }: CallDefinition = CALLS[name];
  return [...new Set([...COMMON_ERRORS, ...AUTH_ERRORS[auth], ...errors])];
}
