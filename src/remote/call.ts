/**
 * One call of the API at another server (SMIMP 0.1 §5), made from the table of calls: path, headers, strict JSON both ways,
 * and every failure as a RemoteError that says what to do about it.
 */
import { STATUS_CODES } from 'node:http';
import type { z } from 'zod';
import type { Address } from '../smimp/address.ts';
import { encodePathSegment } from '../smimp/address.ts';
import { API_ERRORS, API_PREFIX, type ApiErrorCode, CALLS, problemSchema, SESSION_HEADER } from '../smimp/api.ts';
import type { BaseUrl } from '../smimp/discovery.ts';
import type { Hex32 } from '../smimp/encoding.ts';
import { ProfileError } from '../smimp/errors.ts';
import { parseFields } from '../smimp/fields.ts';
import { parseStrictJson } from '../smimp/json.ts';
import { apiDisposition, RemoteError } from './errors.ts';
import type { Https, HttpsRequest, HttpsResponse } from './https.ts';

/** Calls whose paths have no parameters but an address and a message type. */
export type RemoteCallName =
  | 'get_public_key'
  | 'get_history'
  | 'get_create_session'
  | 'post_create_session'
  | 'destroy_session'
  | 'get_message_key'
  | 'get_pow_params'
  | 'send_message';

export type RemoteCall = {
  baseUrl: BaseUrl;
  address?: Address;
  messageType?: string;
  query?: string;
  /** JSON text. */
  body?: Buffer;
  /** The session token. */
  token?: Hex32;
  ifNoneMatch?: string | null;
  maxBytes?: number;
  timeoutMs?: number;
  signal?: AbortSignal | undefined;
};

/** All answers but a history are a few hundred bytes. */
export const MAX_ANSWER_BYTES = 16 * 1024;
export const CALL_TIMEOUT_MS = 20_000;
/** A server that asks for more patience than a day does not mean it. */
const MAX_RETRY_AFTER_SECONDS = 86_400;
const NOT_MODIFIED = 304;

function callUrl(name: RemoteCallName, call: RemoteCall): URL {
  const path = CALLS[name].path
    .replace('{a}', call.address === undefined ? '' : encodePathSegment(call.address))
    .replace('{type}', call.messageType ?? '');
  return new URL(`${call.baseUrl}${API_PREFIX}${path}${call.query ?? ''}`);
}

function callHeaders(call: RemoteCall): Record<string, string> {
  return {
    accept: 'application/json, application/problem+json',
    ...(call.body === undefined ? {} : { 'content-type': 'application/json' }),
    ...(call.token === undefined ? {} : { [SESSION_HEADER]: call.token }),
    ...(call.ifNoneMatch ? { 'if-none-match': call.ifNoneMatch } : {}),
  };
}

/** The raw answer of a call that went well (or 304, where it was asked for). Throws RemoteError for everything else. */
export async function callRemote(https: Https, name: RemoteCallName, call: RemoteCall): Promise<HttpsResponse> {
  const request: HttpsRequest = {
    method: CALLS[name].method,
    url: callUrl(name, call),
    headers: callHeaders(call),
    maxBytes: call.maxBytes ?? MAX_ANSWER_BYTES,
    timeoutMs: call.timeoutMs ?? CALL_TIMEOUT_MS,
    signal: call.signal,
  };
  const answer = await https.request(call.body === undefined ? request : { ...request, body: call.body });
  const unchanged = answer.status === NOT_MODIFIED && Boolean(call.ifNoneMatch);
  if (answer.status !== CALLS[name].status && !unchanged) throw errorOf(answer);
  return answer;
}

/** Strict JSON that fits the schema. Throws RemoteError `bad-response`, its cause the ProfileError. */
export function parseAnswer<T>(schema: z.ZodType<T>, answer: HttpsResponse): T {
  try {
    return parseFields(schema, parseStrictJson(answer.body));
  } catch (cause) {
    if (cause instanceof ProfileError) throw new RemoteError('bad-response', { status: answer.status, cause });
    throw cause;
  }
}

function errorOf(answer: HttpsResponse): RemoteError {
  const { status } = answer;
  if (status >= 300 && status < 400) return new RemoteError('redirect', { status });
  if (status < 400 || STATUS_CODES[status] === undefined) return new RemoteError('bad-response', { status });
  const apiCode = problemCode(answer);
  const retryAfterMs = retryAfter(answer.headers['retry-after']);
  return new RemoteError('api', { status, apiCode, disposition: apiDisposition(status, apiCode), retryAfterMs });
}

/** The code of a problem document, if it is on the list and belongs to the status it came with. */
function problemCode({ status, body }: HttpsResponse): ApiErrorCode | null {
  try {
    const { code } = parseFields(problemSchema, parseStrictJson(body));
    return API_ERRORS[code] === status ? code : null;
  } catch (error) {
    if (error instanceof ProfileError) return null;
    throw error;
  }
}

function retryAfter(header: string | undefined): number | null {
  if (header === undefined || !/^\d{1,9}$/.test(header)) return null;
  return Math.min(Number(header), MAX_RETRY_AFTER_SECONDS) * 1000;
}
