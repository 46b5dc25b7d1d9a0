/**
 * What every request must keep to before its call is looked at (SMIMP 0.1 §5), and how one is refused that never becomes a
 * request: sizes, counts and times hold while the bytes come in.
 */
import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyReply, FastifyRequest } from 'fastify';
import {
  API_ERRORS,
  type ApiErrorCode,
  type CallName,
  MAX_AVATAR_REQUEST_BYTES,
  MAX_MESSAGE_REQUEST_BYTES,
  MAX_REQUEST_BYTES,
  PROBLEM_MEDIA_TYPE,
  problem,
} from '../smimp/api.ts';
import { ApiError } from './errors.ts';

/** The longest address is 509 characters, three times as long percent-encoded; the rest of a path is short. */
export const MAX_URL_CHARACTERS = 4_096;
/** Most bytes of a request's body. */
export function bodyLimitOf(name: CallName): number {
  if (CALLS_WITH_MESSAGES.has(name)) return MAX_MESSAGE_REQUEST_BYTES;
  return name === 'post_user_avatar' ? MAX_AVATAR_REQUEST_BYTES : MAX_REQUEST_BYTES;
}

export const CALLS_WITH_MESSAGES: ReadonlySet<CallName> = new Set(['send_message', 'import_message']);

/** Browsers and proxies send about twenty. */
export const MAX_HEADERS = 64;
/** All headers together; Node's own default, fixed here because it is a promise. */
export const MAX_HEADER_BYTES = 16_384;

/** Refuses what is wrong with the head of a request. Throws ApiError. */
export function checkHead(request: FastifyRequest): void {
  const { url = '', rawHeaders } = request.raw;
  if (url.length > MAX_URL_CHARACTERS) throw new ApiError('too_large');
  if (rawHeaders.length / 2 > MAX_HEADERS) throw new ApiError('bad_request');
  // A few bytes could unfold to gigabytes.
  const encoding = request.headers['content-encoding'];
  if (encoding !== undefined && encoding !== 'identity') throw new ApiError('unsupported_media_type');
}

/** Refuses a body where the call has none. Throws `bad_request`. */
export function refuseBody({ headers }: FastifyRequest): void {
  const isEmpty = headers['transfer-encoding'] === undefined && (headers['content-length'] ?? '0') === '0';
  if (!isEmpty) throw new ApiError('bad_request');
}

/** Ends a request whose body takes too long; one that was answered before is not answered twice. */
export function cutOff({ raw }: FastifyRequest, reply: FastifyReply): void {
  if (reply.raw.headersSent) raw.socket.destroy();
  else refuseOnSocket(raw.socket, 'request_timeout');
}

/** Cuts a request off whose body is not there in time. */
export function limitBodyTime(request: FastifyRequest, reply: FastifyReply, timeoutMs: number): void {
  const { raw } = request;
  const timer = setTimeout(() => cutOff(request, reply), timeoutMs);
  const stop = (): void => clearTimeout(timer);
  raw.once('end', stop).once('close', stop);
}

/** What is wrong with bytes that are no request, by the code Node gives. */
const CLIENT_ERRORS: Readonly<Record<string, ApiErrorCode>> = {
  ERR_HTTP_REQUEST_TIMEOUT: 'request_timeout',
  HPE_HEADER_OVERFLOW: 'too_large',
  HPE_CHUNK_EXTENSIONS_OVERFLOW: 'too_large',
};

/** The problem document for an error on a connection that has no request to answer. */
export function refuseClient(error: Error & { code?: string }, socket: Socket): void {
  refuseOnSocket(socket, CLIENT_ERRORS[error.code ?? ''] ?? 'bad_request');
}

function refuseOnSocket(socket: Socket, code: ApiErrorCode): void {
  const status = API_ERRORS[code];
  const body = JSON.stringify(problem(code));
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    'Connection: close',
    `Content-Type: ${PROBLEM_MEDIA_TYPE}`,
    `Content-Length: ${Buffer.byteLength(body)}`,
  ];
  if (socket.writable) socket.end(`${head.join('\r\n')}\r\n\r\n${body}`);
  socket.destroySoon();
}
