/**
 * One call of the API at another server (SMIMP 0.1 §5), made from the table of calls: path, headers, strict JSON both ways,
 * and every failure as a RemoteError that says what to do about it.
 */
import { STATUS_CODES } from 'node:http';
import type { z } from 'zod';
import {
  API_ERRORS,
  API_PREFIX,
  type ApiErrorCode,
  CALLS,
  type CallDefinition,
  type CallName,
  nothing,
  problemSchema,
  SESSION_HEADER,
} from '../smimp/api.ts';
import type { BaseUrl } from '../smimp/discovery.ts';
import type { Hex32 } from '../smimp/encoding.ts';
import { ProfileError } from '../smimp/errors.ts';
import { parseFields } from '../smimp/fields.ts';
import { parseStrictJson } from '../smimp/json.ts';
import { writeStrictJson } from '../smimp/json-value.ts';
import { apiDisposition, RemoteError } from './errors.ts';
import type { Https, HttpsRequest, HttpsResponse, StreamedBody } from './https.ts';

export type RemoteCall = {
  baseUrl: BaseUrl;
  /** What stands in the path, by the names of the table; not yet encoded. */
  params?: Readonly<Record<string, string>>;
  query?: Readonly<Record<string, string | number | undefined>>;
  /** JSON text. */
  body?: Buffer | StreamedBody;
  /** The session token. */
  token?: Hex32;
  ifMatch?: string;
  ifNoneMatch?: string | null;
  maxBytes?: number;
  timeoutMs?: number;
  signal?: AbortSignal | undefined;
};

/** Most answers are a few hundred bytes; calls with larger ones say so. */
export const MAX_ANSWER_BYTES = 16 * 1024;
export const CALL_TIMEOUT_MS = 20_000;
/** A server that asks for more patience than a day does not mean it. */
const MAX_RETRY_AFTER_SECONDS = 86_400;
const NOT_MODIFIED = 304;
const MAX_ETAG_LENGTH = 256;

function callUrl(name: CallName, { baseUrl, params = {}, query = {} }: RemoteCall): URL {
  const { path }: CallDefinition = CALLS[name];
  const filled = path.replace(/\{(\w+)\}/g, (_whole, param: string) => encodeURIComponent(params[param] ?? ''));
  const url = new URL(`${baseUrl}${name === 'version' ? '/' : API_PREFIX}${filled}`);
  for (const [key, value] of Object.entries(query)) {
    if (value !== undefined) url.searchParams.set(key, String(value));
  }
  return url;
}

function callHeaders(call: RemoteCall): Record<string, string> {
  return {
    accept: 'application/json, application/problem+json',
    ...(call.body === undefined ? {} : { 'content-type': 'application/json' }),
    ...(call.token === undefined ? {} : { [SESSION_HEADER]: call.token }),
    ...(call.ifMatch === undefined ? {} : { 'if-match': call.ifMatch }),
    ...(call.ifNoneMatch ? { 'if-none-match': call.ifNoneMatch } : {}),
  };
}

/** The raw answer of a call that went well (or 304, where it was asked for). Throws RemoteError for everything else. */
export async function callRemote(https: Https, name: CallName, call: RemoteCall): Promise<HttpsResponse> {
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

type Requested<Name extends CallName> = (typeof CALLS)[Name] extends { request: infer Request extends z.ZodType }
  ? { request: z.input<Request> | Buffer | StreamedBody }
  : { request?: undefined };

/**
 * A call by the table: the request is checked before it leaves, the answer before anybody sees it. `request`: the object,
 * or its JSON as bytes, or piece by piece, where it is large. Throws RemoteError, and ProfileError for a request that would be refused.
 */
export async function call<Name extends CallName>(
  https: Https,
  name: Name,
  { request, ...rest }: Omit<RemoteCall, 'body'> & Requested<Name>,
): Promise<{ answer: z.output<(typeof CALLS)[Name]['response']>; etag: string | null }> {
  const body = request === undefined ? {} : { body: requestBytes(CALLS[name], request as object) };
  const response = await callRemote(https, name, { ...rest, ...body });
  const definition: CallDefinition = CALLS[name];
  const answer = definition.response === nothing ? undefined : parseAnswer(definition.response, response);
  return { answer: answer as z.output<(typeof CALLS)[Name]['response']>, etag: etagOf(response) };
}

function requestBytes({ request: schema }: CallDefinition, request: object): Buffer | StreamedBody {
  if (Buffer.isBuffer(request)) return request;
  if (isStreamed(request)) return request;
  if (schema !== undefined) parseFields(schema, request);
  return Buffer.from(writeStrictJson(request));
}

function isStreamed(request: object): request is StreamedBody {
  return 'pieces' in request && typeof request.pieces === 'function';
}

/** The name a server gave to this state of things, if it gave a reasonable one. */
export function etagOf({ headers: { etag } }: HttpsResponse): string | null {
  return etag !== undefined && etag.length <= MAX_ETAG_LENGTH ? etag : null;
}

/** Strict JSON that fits the schema. Throws RemoteError `bad-response`, its cause the ProfileError. */
export function parseAnswer<T>(schema: z.ZodType<T>, answer: HttpsResponse): T {
  return readAnswer(answer, (value) => parseFields(schema, value));
}

/** As parseAnswer, with a reader that throws ProfileError. */
export function readAnswer<T>(answer: HttpsResponse, read: (value: unknown) => T): T {
  try {
    return read(parseStrictJson(answer.body));
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
