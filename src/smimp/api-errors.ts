/**
 * Errors of the API (SMIMP 0.1 §5): `application/problem+json`, with a closed list of codes. The status belongs to the
 * code, so a caller needs to look at one of them only. Input is never echoed.
 */
import { z } from 'zod';

/** Every code an API may answer with, and its HTTP status. */
export const API_ERRORS = {
  /** Not JSON, not strict JSON, or a member is absent, unknown or of the wrong form. */
  bad_request: 400,
  /** No session, one that has ended, or a login that does not verify. */
  unauthorized: 401,
  /** A session that may not do this: a remote user's, or that of another mailbox. */
  forbidden: 403,
  /** The recipient does not take messages from this sender. */
  blocked: 403,
  /** No such path. */
  not_found: 404,
  /** No such account here, or none that has been initialised. */
  unknown_user: 404,
  unknown_message: 404,
  unknown_folder: 404,
  /** No such entry on the list. */
  unknown_entry: 404,
  method_not_allowed: 405,
  /** The request did not arrive in time. */
  request_timeout: 408,
  /** The message key has been used up. */
  key_consumed: 409,
  /** A folder of that name and type is there. */
  folder_exists: 409,
  folder_not_empty: 409,
  /** The account has been initialised before. */
  already_initialized: 409,
  /** `previous_signed_hash` is not that of the current record. */
  stale_record: 409,
  /** `If-Match` names another state. */
  precondition_failed: 412,
  too_large: 413,
  unsupported_media_type: 415,
  bad_signature: 422,
  bad_pow: 422,
  /** A message key that was not issued for this, is not canonical, or is not what the profile allows. */
  bad_key: 422,
  /** A record that does not continue the history. */
  bad_record: 422,
  /** Folder and message, or folder and parent, are of different types. */
  wrong_type: 422,
  /** A folder that would contain itself or lie too deep. */
  bad_folder: 422,
  /** An image that is no PNG or JPEG, or too large a one. */
  bad_image: 422,
  /** A change that must name the state it is based on with `If-Match`. */
  precondition_required: 428,
  too_many_requests: 429,
  internal: 500,
  /** Another server gave no usable answer. */
  bad_gateway: 502,
  /** This server cannot do it now. */
  unavailable: 503,
  /** Another server did not answer in time. */
  gateway_timeout: 504,
  /** The mailbox, or the list, is full. */
  insufficient_storage: 507,
} as const;

export type ApiErrorCode = keyof typeof API_ERRORS;

export const API_ERROR_CODES = Object.keys(API_ERRORS) as ApiErrorCode[];

export const PROBLEM_MEDIA_TYPE = 'application/problem+json';
export const PROBLEM_TYPE_PREFIX = 'urn:smimp:error:';

export const problemSchema = z.object({
  type: z.string(),
  title: z.string(),
  status: z.int(),
  code: z.enum(API_ERROR_CODES as [ApiErrorCode, ...ApiErrorCode[]]),
  detail: z.string().optional(),
});
export type Problem = z.infer<typeof problemSchema>;

/** The body of an error answer. `detail` holds nothing of the request. */
export function problem(code: ApiErrorCode, detail?: string): Problem {
  const title = code.replaceAll('_', ' ');
  return {
    type: PROBLEM_TYPE_PREFIX + code,
    title,
    status: API_ERRORS[code],
    code,
    ...(detail === undefined ? {} : { detail }),
  };
}
