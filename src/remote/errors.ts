/**
 * What can go wrong with other people's servers, and what the caller does about it. Decided here, where it is understood,
 * for every way a connection can fail and every code of the API (SMIMP 0.1 §5).
 */
import type { ApiErrorCode } from '../smimp/api.ts';

export type RemoteErrorCode =
  /** The name has no address, or DNS does not answer. */
  | 'unresolvable'
  /** Every address of the name lies in a range that is not allowed (§2.5), or the target is no host name. */
  | 'refused-address'
  | 'connect'
  /** Certificate not valid for the name, expired, self-signed, or no TLS at all (§2.4). Nothing was sent. */
  | 'tls'
  /** The whole exchange took too long. */
  | 'timeout'
  | 'too-large'
  /** Headers, JSON or fields that break the protocol. */
  | 'bad-response'
  /** The API answered with a redirect, or discovery with too many or a forbidden one. */
  | 'redirect'
  | 'no-common-version'
  /** The server answered with an error; `apiCode` says which, when it named one. */
  | 'api'
  /** Our own limit on how often another server is asked. */
  | 'rate-limited'
  | 'cancelled';

/**
 * `retry`: later, the same again. `permanent`: never. `session`: log in again, then again. `reseal`: get another message
 * key. `remint`: get another proof of work. `hold`: a person must look at it.
 */
export type Disposition = 'retry' | 'permanent' | 'session' | 'reseal' | 'remint' | 'hold';

export class RemoteError extends Error {
  override readonly name = 'RemoteError';
  readonly code: RemoteErrorCode;
  readonly disposition: Disposition;
  /** HTTP status of an answer; 0 when there was none. */
  readonly status: number;
  /** The code in the problem document, if it is one of the closed list. */
  readonly apiCode: ApiErrorCode | null;
  /** What the server asked for with `Retry-After`. */
  readonly retryAfterMs: number | null;

  constructor(
    code: RemoteErrorCode,
    details: {
      disposition?: Disposition;
      status?: number;
      apiCode?: ApiErrorCode | null;
      retryAfterMs?: number | null;
      cause?: unknown;
    } = {},
  ) {
    super(details.apiCode ? `${code} (${details.apiCode})` : code, { cause: details.cause });
    this.code = code;
    this.disposition = details.disposition ?? 'retry';
    this.status = details.status ?? 0;
    this.apiCode = details.apiCode ?? null;
    this.retryAfterMs = details.retryAfterMs ?? null;
  }
}

/**
 * What an error answer of the API means for a delivery. `unknown_user` is retried: whoever gets so far has pinned the
 * recipient, for whom 404 means UNAVAILABLE (§3). `bad_signature`: our key may have rotated under the session.
 */
const DISPOSITIONS: Readonly<Record<ApiErrorCode, Disposition>> = {
  bad_request: 'permanent',
  unauthorized: 'session',
  forbidden: 'permanent',
  blocked: 'permanent',
  not_found: 'retry',
  unknown_user: 'retry',
  unknown_message: 'permanent',
  unknown_folder: 'permanent',
  unknown_entry: 'permanent',
  method_not_allowed: 'permanent',
  request_timeout: 'retry',
  key_consumed: 'reseal',
  folder_exists: 'permanent',
  folder_not_empty: 'permanent',
  already_initialized: 'permanent',
  stale_record: 'permanent',
  precondition_failed: 'permanent',
  too_large: 'permanent',
  unsupported_media_type: 'permanent',
  bad_signature: 'session',
  bad_pow: 'remint',
  bad_key: 'reseal',
  bad_record: 'permanent',
  wrong_type: 'permanent',
  bad_folder: 'permanent',
  bad_image: 'permanent',
  precondition_required: 'permanent',
  too_many_requests: 'retry',
  internal: 'retry',
  bad_gateway: 'retry',
  unavailable: 'retry',
  gateway_timeout: 'retry',
  insufficient_storage: 'retry',
};

/** For answers that name no code of the list. 404, 408, 425, 429 and everything from 500 on may pass; 401 needs a login. */
function statusDisposition(status: number): Disposition {
  if (status === 401) return 'session';
  if (status >= 500 || status === 404 || status === 408 || status === 425 || status === 429) return 'retry';
  return 'permanent';
}

export function apiDisposition(status: number, apiCode: ApiErrorCode | null): Disposition {
  return apiCode === null ? statusDisposition(status) : DISPOSITIONS[apiCode];
}
