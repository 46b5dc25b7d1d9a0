/**
 * The SMIMP home server (SMIMP 0.1 §5): HTTPS only, routes made from the table of calls, strict JSON in, problem
 * documents out. Limits of size and time hold while a request streams in.
 */
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import type { Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import { z } from 'zod';
import { freeMemory } from '../memory/free-memory.ts';
import type { Address } from '../smimp/address.ts';
import {
  API_PREFIX,
  CALL_NAMES,
  CALLS,
  type CallDefinition,
  type CallName,
  MAX_AVATAR_REQUEST_BYTES,
  MAX_MESSAGE_REQUEST_BYTES,
  MAX_REQUEST_BYTES,
  SESSION_HEADER,
} from '../smimp/api.ts';
import { parseFields } from '../smimp/fields.ts';
import { parseStrictJsonInPlace } from '../smimp/json.ts';
import { findAccount } from '../store/accounts.ts';
import type { StoredSession } from '../store/sessions.ts';
import { addAvatarImages, avatarHandlers } from './avatars.ts';
import type { ApiServices, Call, Handlers, Owner } from './call.ts';
import { changesHandlers } from './changes.ts';
import { ApiError, sendProblem } from './errors.ts';
import { folderHandlers } from './folders.ts';
import { identityHandlers } from './identity.ts';
import { listHandlers } from './lists.ts';
import { mailboxHandlers } from './mailbox.ts';
import { messageKeyHandlers } from './message-keys.ts';
import { placingHandlers } from './placing.ts';
import { profileHandlers } from './profile.ts';
import { quotaHandlers } from './quota.ts';
import { createBodyBudget, readBody, type Upload } from './request-body.ts';
import {
  bodyLimitOf,
  CALLS_WITH_MESSAGES,
  checkHead,
  limitBodyTime,
  MAX_HEADER_BYTES,
  refuseBody,
  refuseClient,
} from './request-limits.ts';
import { sendHandlers } from './send.ts';
import { authenticate, sessionHandlers } from './sessions.ts';

export interface ApiLimits {
  connections: number;
  /** From the first byte of a request to its last: 56 MiB at 2 Mbit/s take 235 s. */
  requestTimeoutMs: number;
  headersTimeoutMs: number;
  /** For the body of a request without a message: at most 256 KiB. */
  bodyTimeoutMs: number;
  /** How often requests and headers are checked for being late. */
  checkEveryMs: number;
  keepAliveMs: number;
  /** Of all messages that are coming in at once. Each takes once its size until it is stored. */
  bodyBudgetBytes: number;
}

export const DEFAULT_API_LIMITS: ApiLimits = {
  connections: 2_000,
  requestTimeoutMs: 300_000,
  headersTimeoutMs: 15_000,
  bodyTimeoutMs: 30_000,
  checkEveryMs: 5_000,
  keepAliveMs: 15_000,
  bodyBudgetBytes: 2 * MAX_MESSAGE_REQUEST_BYTES,
};

/** An address is at most 509 characters, three times as long percent-encoded. */
const MAX_SEGMENT_CHARACTERS = 1_536;
const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'];
const NO_QUERY = z.strictObject({});

export interface Api extends AsyncDisposable {
  /** Opens the listener; port 0 takes a free one. */
  listen(door: { host: string; port: number }): Promise<{ port: number }>;
  /** For new connections. */
  setTls(tls: { cert: string; key: string }): void;
}

export function createApi(
  options: ApiServices & { tls: { cert: string; key: string }; limits?: Partial<ApiLimits> },
): Api {
  const limits = { ...DEFAULT_API_LIMITS, ...options.limits };
  const app = createApp(options, limits);
  const server = app.server as unknown as Server;
  server.maxConnections = limits.connections;
  // Node would drop those above its maximum and go on; `checkHead` refuses the request.
  server.maxHeadersCount = 0;
  server.headersTimeout = limits.headersTimeoutMs;
  server.on('tlsClientError', () => options.events.protocolError({ protocol: 'https', code: 'tls' }));
  return {
    async listen({ host, port }) {
      await app.ready();
      await once(server.listen(port, host), 'listening');
      return { port: (server.address() as AddressInfo).port };
    },
    setTls: (tls) => server.setSecureContext({ ...tls, minVersion: 'TLSv1.2' }),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await app.close();
    },
  };
}

function createApp(options: ApiServices & { tls: { cert: string; key: string } }, limits: ApiLimits): FastifyInstance {
  const app = Fastify({
    https: {
      ...options.tls,
      minVersion: 'TLSv1.2',
      maxHeaderSize: MAX_HEADER_BYTES,
      connectionsCheckingInterval: limits.checkEveryMs,
    },
    logger: false,
    bodyLimit: MAX_REQUEST_BYTES,
    requestTimeout: limits.requestTimeoutMs,
    keepAliveTimeout: limits.keepAliveMs,
    forceCloseConnections: true,
    exposeHeadRoutes: false,
    routerOptions: { maxParamLength: MAX_SEGMENT_CHARACTERS, caseSensitive: true },
    frameworkErrors: (error, _request, reply) => void sendProblem(reply as FastifyReply, error, unrouted(options)),
    clientErrorHandler: refuseClient,
  }) as unknown as FastifyInstance;
  app.addHook('onRequest', async (request) => checkHead(request));
  app.addHook('onResponse', async (request, reply) => {
    const call = request.routeOptions.config?.call ?? 'none';
    const durationMs = Math.round(reply.elapsedTime);
    options.events.requestServed({ call, status: reply.statusCode, durationMs });
  });
  takeBodies(app);
  app.setErrorHandler((error, request, reply) =>
    sendProblem(reply, error, { call: request.routeOptions.config.call ?? 'none', events: options.events }),
  );
  app.setNotFoundHandler((_request, reply) => sendProblem(reply, new ApiError('not_found'), unrouted(options)));
  app.get('/.well-known/smimp.txt', async (_request, reply) =>
    reply.type('text/plain; charset=us-ascii').send(`${options.baseUrl}\n`),
  );
  addRoutes(app, options, limits);
  return app as unknown as FastifyInstance;
}

/** Strict JSON, within the limit of its call, and nothing else. */
function takeBodies(app: FastifyInstance): void {
  app.decorateRequest('admitted', null);
  app.decorateRequest('upload', null);
  app.decorateRequest('received', null);
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', async (request: FastifyRequest, payload: IncomingMessage) => {
    const { bodyLimit = MAX_REQUEST_BYTES } = request.routeOptions;
    request.received = await readBody(request, payload, bodyLimit);
    // Only the body of a message is longer than any other request.
    return parseStrictJsonInPlace(request.received, { viewFromBytes: MAX_AVATAR_REQUEST_BYTES });
  });
}

declare module 'fastify' {
  interface FastifyContextConfig {
    call?: CallName;
  }
  interface FastifyRequest {
    admitted: Admitted | null;
    /** The message that comes in with it. */
    upload: Upload | null;
    /** The whole body; `body` may hold views into it. */
    received: Buffer | null;
  }
}

/** Who calls, and when. */
type Admitted = { session: StoredSession | null; owner: Owner | null; now: Date };

const unrouted = ({ events }: ApiServices) => ({ call: 'none', events });

function handlersOf(services: ApiServices) {
  return {
    ...identityHandlers(services),
    ...sessionHandlers(services),
    ...messageKeyHandlers(services),
    ...sendHandlers(services),
    ...folderHandlers(services),
    ...mailboxHandlers(services),
    ...placingHandlers(services),
    ...changesHandlers(services),
    ...profileHandlers(services),
    ...listHandlers(services),
    ...quotaHandlers(services),
    ...avatarHandlers(services),
  } satisfies Handlers;
}

function addRoutes(app: FastifyInstance, services: ApiServices, limits: ApiLimits): void {
  const handlers: Handlers = handlersOf(services);
  const basePath = new URL(services.baseUrl).pathname.replace(/\/$/, '');
  const budget = createBodyBudget({ totalBytes: limits.bodyBudgetBytes, clock: services.clock });
  const allowed = new Map([[addAvatarImages(app, services, basePath), new Set(['GET'])]]);
  for (const name of CALL_NAMES) {
    if (handlers[name] === undefined) throw new TypeError(`${name} has no handler`);
    const definition: CallDefinition = CALLS[name];
    const prefix = name === 'version' ? '/' : API_PREFIX;
    const url = `${basePath}${prefix}${definition.path.replace(/\{(\w+)\}/g, ':$1')}`;
    const bodyLimit = bodyLimitOf(name);
    // A place in a path may have another name for another method.
    const place = url.replace(/:\w+/g, ':segment');
    allowed.set(place, (allowed.get(place) ?? new Set()).add(definition.method));
    app.route({
      method: definition.method,
      url,
      config: { call: name },
      bodyLimit,
      // Before a byte of the body is taken in: who has no session cannot make this server receive megabytes.
      onRequest: async (request, reply) => {
        request.admitted = await admit(services, definition, request);
        if (definition.request === undefined) refuseBody(request);
        else if (CALLS_WITH_MESSAGES.has(name)) request.upload = budget.take(request, reply, bodyLimit);
        else limitBodyTime(request, reply, limits.bodyTimeoutMs);
      },
      handler: async (request, reply) => {
        try {
          await answer({ name, definition, handlers, request, reply });
        } finally {
          if (request.received !== null) freeMemory(request.received);
        }
      },
    });
  }
  for (const [url, methods] of allowed) refuseOtherMethods(app, services, url, methods);
}

function refuseOtherMethods(app: FastifyInstance, services: ApiServices, url: string, allowed: Set<string>): void {
  const method = METHODS.filter((name) => !allowed.has(name));
  const handler = async (_request: FastifyRequest, reply: FastifyReply): Promise<void> => {
    reply.header('allow', [...allowed].join(', '));
    await sendProblem(reply, new ApiError('method_not_allowed'), unrouted(services));
  };
  app.route({ method, url, handler, onRequest: async (request) => refuseBody(request) });
}

interface Routed {
  name: CallName;
  definition: CallDefinition;
  handlers: Handlers;
  request: FastifyRequest;
  reply: FastifyReply;
}

async function answer(routed: Routed): Promise<void> {
  const { name, definition, handlers, request, reply } = routed;
  const { admitted } = request;
  if (admitted === null) throw new TypeError('the request was not admitted');
  const gone = new AbortController();
  reply.raw.once('close', () => gone.abort());
  const call = {
    params: definition.params && parseFields(definition.params, request.params),
    query: parseFields(definition.query ?? NO_QUERY, request.query),
    request: definition.request && parseFields(definition.request, request.body),
    ...admitted,
    ifMatch: headerOf(request, 'if-match'),
    ifNoneMatch: headerOf(request, 'if-none-match'),
    signal: gone.signal,
  } as unknown as Call<CallName>;
  const handle = handlers[name] as (
    call: Call<CallName>,
  ) => Promise<{ body: unknown; etag?: string; notModified?: true }>;
  const { body, etag, notModified } = await handle(call);
  reply.header('cache-control', 'no-store');
  if (etag !== undefined) reply.header('etag', etag);
  if (notModified === true) await reply.code(304).send();
  else if (body === undefined) await reply.code(definition.status).send();
  else await reply.code(definition.status).type('application/json; charset=utf-8').send(JSON.stringify(body));
}

const headerOf = (request: FastifyRequest, name: 'if-match' | 'if-none-match'): string | null =>
  request.headers[name] ?? null;

/** Who calls, as the call demands it. Throws `unauthorized`, `forbidden`. */
async function admit(services: ApiServices, { auth }: CallDefinition, request: FastifyRequest): Promise<Admitted> {
  const now = services.clock();
  if (auth === 'none' || auth === 'code') return { session: null, owner: null, now };
  const token = request.headers[SESSION_HEADER];
  const session = await authenticate(services.db, typeof token === 'string' ? token : undefined, now);
  if (auth === 'session') return { session, owner: null, now };
  if (session.scope !== 'home') throw new ApiError('forbidden');
  const account = await findAccount(services.db, session.address);
  if (account === undefined) throw new ApiError('unauthorized');
  return { session, owner: { accountId: account.id, address: session.address as Address }, now };
}
