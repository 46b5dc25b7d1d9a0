/**
 * HTTPS to other people's servers (SMIMP 0.1 §2): vetted connections, TLS always verified for the name, no redirects, no
 * compression, a deadline for the whole exchange and a size bound while the answer streams in.
 */
import { Readable } from 'node:stream';
import { type ConnectionOptions, checkServerIdentity, connect, createSecureContext, getCACertificates } from 'node:tls';
import type { Agent, buildConnector, Dispatcher } from 'undici';
import { RemoteError } from './errors.ts';
import { createResolver, type Lookup, type Target } from './network.ts';

export type HttpsRequest = {
  method: 'GET' | 'POST' | 'DELETE';
  url: URL;
  headers?: Readonly<Record<string, string>>;
  body?: Buffer | StreamedBody;
  /** The largest answer body that is taken in. */
  maxBytes: number;
  /** For everything, from the look-up to the last byte. */
  timeoutMs: number;
  signal?: AbortSignal | undefined;
};
/** A body that is made while it is sent, as fast as the other side takes it. */
export type StreamedBody = {
  readonly sizeBytes: number;
  pieces(): Iterable<Buffer>;
};
export type HttpsResponse = {
  readonly status: number;
  /** Lower-case names; a repeated header has its first value. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
};

export interface Https extends AsyncDisposable {
  /** Throws RemoteError. */
  request(request: HttpsRequest): Promise<HttpsResponse>;
}

/** One address is given this long to shake hands; then the next one is tried. */
const CONNECT_TIMEOUT_MS = 10_000;
const KEEP_ALIVE_MS = 10_000;
/** Connections to one server at once; more requests wait. */
const CONNECTIONS_PER_SERVER = 16;
const DEFAULT_PORT = 443;
/** Sent in one go. */
const SMALL_BODY_BYTES = 256 * 1024;
/** Failures of the network during a handshake; every other one is TLS's own. */
const NETWORK_FAILURES: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ECONNABORTED',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENETDOWN',
  'EHOSTDOWN',
  'EADDRNOTAVAIL',
  'EACCES',
  'EPERM',
  'EPIPE',
  'ETIMEDOUT',
  'EMFILE',
  'ENFILE',
  'EAFNOSUPPORT',
  'EINVAL',
]);

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
}

function handshakeError(error: Error): RemoteError {
  return new RemoteError(NETWORK_FAILURES.has(codeOf(error)) ? 'connect' : 'tls', { cause: error });
}

type Handshake = { target: Target; name: string; tls: ConnectionOptions; timeoutMs: number };

/** A socket whose certificate was verified for `name`. */
function shakeHands({ target, name, tls, timeoutMs }: Handshake): Promise<ReturnType<typeof connect>> {
  return new Promise((resolve, reject) => {
    const socket = connect({
      ...tls,
      host: target.address,
      port: target.port,
      servername: name,
      rejectUnauthorized: true,
      checkServerIdentity: (_host, certificate) => checkServerIdentity(name, certificate),
      ALPNProtocols: ['http/1.1'],
    });
    const timer = setTimeout(() => socket.destroy(new RemoteError('timeout')), timeoutMs);
    const fail = (error: Error): void => {
      clearTimeout(timer);
      reject(error instanceof RemoteError ? error : handshakeError(error));
    };
    socket.once('error', fail);
    socket.once('close', () => fail(new RemoteError('connect')));
    socket.once('secureConnect', () => {
      clearTimeout(timer);
      socket.removeAllListeners('error').removeAllListeners('close');
      socket.setNoDelay(true);
      resolve(socket);
    });
  });
}

type Resolver = ReturnType<typeof createResolver>;

/** Tries the vetted addresses of a name in turn. The first certificate that does not verify ends it: nothing is sent. */
async function connectVetted(
  resolver: Resolver,
  to: { name: string; port: number; tls: ConnectionOptions; timeoutMs: number },
): Promise<ReturnType<typeof connect>> {
  let last: unknown = new RemoteError('unresolvable');
  for (const target of await resolver(to.name, to.port)) {
    try {
      return await shakeHands({ target, name: to.name, tls: to.tls, timeoutMs: to.timeoutMs });
    } catch (error) {
      last = error;
      if (error instanceof RemoteError && error.code === 'tls') break;
    }
  }
  throw last;
}

export function createHttps(options: {
  hosts: Readonly<Record<string, string>>;
  allow: readonly string[];
  /** PEM certificates of authorities trusted besides the usual ones. */
  ca: readonly string[];
  connectTimeoutMs?: number;
  lookup?: Lookup;
}): Https {
  // What cannot be read is found at the start.
  createSecureContext({ ca: [...options.ca] });
  let opening: Promise<Opened> | null = null;
  let isEnded = false;
  const opened = (): Promise<Opened> => {
    if (isEnded) throw new RemoteError('connect');
    opening ??= openAgent(options);
    return opening;
  };
  return {
    request: async (request) => exchange(await opened(), request),
    async [Symbol.asyncDispose]() {
      isEnded = true;
      await (await opening)?.agent.destroy();
    },
  };
}

interface Opened {
  agent: Agent;
  errors: typeof import('undici').errors;
}

/** With the first request: the library and all the authorities take memory that a process which asks nobody need not have. */
async function openAgent(options: Parameters<typeof createHttps>[0]): Promise<Opened> {
  const { Agent, errors } = await import('undici');
  const resolver = createResolver(options);
  const timeoutMs = options.connectTimeoutMs ?? CONNECT_TIMEOUT_MS;
  const secureContext = createSecureContext({
    ca: [...getCACertificates('default'), ...options.ca],
    minVersion: 'TLSv1.2',
  });
  const connector: buildConnector.connector = ({ hostname, port }, callback) => {
    const to = { name: hostname, port: port === '' ? DEFAULT_PORT : Number(port), tls: { secureContext }, timeoutMs };
    connectVetted(resolver, to).then(
      (socket) => callback(null, socket),
      (error: Error) => callback(error, null),
    );
  };
  const agent = new Agent({
    connect: connector,
    allowH2: false,
    connections: CONNECTIONS_PER_SERVER,
    keepAliveTimeout: KEEP_ALIVE_MS,
    headersTimeout: 0,
    bodyTimeout: 0,
  });
  return { agent, errors };
}

/** No way around the vetting: https only, no credentials in the URL, no fragment. */
function checkUrl(url: URL): void {
  const plain = url.protocol === 'https:' && url.username === '' && url.password === '' && url.hash === '';
  if (!plain) throw new RemoteError('refused-address');
}

async function exchange({ agent, errors }: Opened, request: HttpsRequest): Promise<HttpsResponse> {
  checkUrl(request.url);
  const deadline = AbortSignal.timeout(request.timeoutMs);
  const signal = request.signal === undefined ? deadline : AbortSignal.any([deadline, request.signal]);
  try {
    const answer = await agent.request({
      origin: request.url.origin,
      path: request.url.pathname + request.url.search,
      method: request.method,
      headers: { 'accept-encoding': 'identity', ...request.headers, ...lengthOf(request.body) },
      body: bodyOf(request.body),
      signal,
    });
    const headers = firstValues(answer.headers);
    return { status: answer.statusCode, headers, body: await readBody(answer.body, headers, request.maxBytes) };
  } catch (error) {
    const isMalformed = error instanceof errors.HTTPParserError || error instanceof errors.HeadersOverflowError;
    throw asRemoteError(error, { deadline, cancel: request.signal, isMalformed });
  }
}

function lengthOf(body: HttpsRequest['body']): Record<string, string> {
  return body === undefined || Buffer.isBuffer(body) ? {} : { 'content-length': String(body.sizeBytes) };
}

function bodyOf(body: HttpsRequest['body']): Buffer | Readable | null {
  if (body === undefined) return null;
  if (Buffer.isBuffer(body)) return body;
  if (body.sizeBytes <= SMALL_BODY_BYTES) return Buffer.concat([...body.pieces()]);
  return Readable.from(body.pieces(), { objectMode: false, highWaterMark: SMALL_BODY_BYTES });
}

function firstValues(headers: Dispatcher.ResponseData['headers']): Record<string, string> {
  const values: Record<string, string> = Object.create(null) as Record<string, string>;
  for (const [name, value] of Object.entries(headers)) {
    const first = Array.isArray(value) ? value[0] : value;
    if (first !== undefined) values[name.toLowerCase()] = first;
  }
  return values;
}

async function readBody(
  body: Dispatcher.ResponseData['body'],
  headers: Record<string, string>,
  maxBytes: number,
): Promise<Buffer> {
  const coding = headers['content-encoding'] ?? 'identity';
  const tooLarge = Number(headers['content-length'] ?? 0) > maxBytes;
  if (coding !== 'identity' || tooLarge) {
    // Undici reports the end of what is thrown away here; the reason is the error below.
    body.on('error', () => undefined).destroy();
    throw new RemoteError(tooLarge ? 'too-large' : 'bad-response');
  }
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of body) {
    const bytes = chunk as Buffer;
    size += bytes.length;
    if (size > maxBytes) throw new RemoteError('too-large');
    chunks.push(bytes);
  }
  return Buffer.concat(chunks);
}

function asRemoteError(
  error: unknown,
  { deadline, cancel, isMalformed }: { deadline: AbortSignal; cancel: AbortSignal | undefined; isMalformed: boolean },
): RemoteError {
  if (error instanceof RemoteError) return error;
  if (cancel?.aborted) return new RemoteError('cancelled', { cause: error });
  if (deadline.aborted) return new RemoteError('timeout', { cause: error });
  return new RemoteError(isMalformed ? 'bad-response' : 'connect', { cause: error });
}
