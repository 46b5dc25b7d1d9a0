/**
 * A TLS proxy in front of our own server that breaks one rule of the protocol: what stands behind it is right, what comes
 * out of it is not. It sees what both sides say, and may change either or answer by itself.
 */
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { Agent, request as httpsRequest } from 'node:https';
import type { Address } from '../../src/smimp/address.ts';
import { API_ERRORS, type ApiErrorCode, loginRequest, PROBLEM_MEDIA_TYPE, problem } from '../../src/smimp/api.ts';
import { ProfileError } from '../../src/smimp/errors.ts';
import { loginDigest, verifySignedHash } from '../../src/smimp/transcript.ts';
import { type ApiSite, BASE_URL } from './api-site.ts';
import { readRequest, startTlsServer, type TlsServer } from './tls-server.ts';

export type Asked = { method: string; path: string; headers: Record<string, string>; body: Buffer };
export type Answered = { status: number; headers: Record<string, string>; body: Buffer };

export interface Spoiler {
  /** Changes the request, or answers it. */
  request?: (asked: Asked, server: Behind) => Answered | undefined | Promise<Answered | undefined>;
  /** Changes the answer, or gives another. */
  answer?: (asked: Asked, answered: Answered, server: Behind) => Answered | undefined | Promise<Answered | undefined>;
}

/** The server behind, as it really is. */
export type Behind = { ask(asked: Partial<Asked> & { path: string }): Promise<Answered> };

const HOP_HEADERS = new Set(['connection', 'transfer-encoding', 'content-length', 'keep-alive', 'host']);

export async function startSpoilingProxy(site: ApiSite, spoiler: Spoiler): Promise<TlsServer> {
  const agent = new Agent({ keepAlive: true, maxSockets: 32 });
  const behind: Behind = {
    ask: (asked) => forward(site, agent, { method: 'GET', headers: {}, body: Buffer.alloc(0), ...asked }),
  };
  const server = await startTlsServer({
    names: ['smimp.corp.test', 'corp.test'],
    handler: async (request, response) => {
      const asked = await readAsked(request);
      const early = await spoiler.request?.(asked, behind);
      const real = early ?? (await behind.ask(asked));
      const { status, headers, body } = (await spoiler.answer?.(asked, real, behind)) ?? real;
      response.writeHead(status, headers).end(status === 304 || status === 204 ? undefined : body);
    },
  });
  return {
    ...server,
    async [Symbol.asyncDispose]() {
      agent.destroy();
      await server[Symbol.asyncDispose]();
    },
  };
}

async function readAsked(request: IncomingMessage): Promise<Asked> {
  const { method = 'GET', url = '/' } = request;
  return { method, path: url, headers: flat(request.headers), body: await readRequest(request) };
}

function flat(headers: NodeJS.Dict<string | string[]>): Record<string, string> {
  const entries = Object.entries(headers).filter(([name]) => !HOP_HEADERS.has(name));
  return Object.fromEntries(entries.map(([name, value]) => [name, String(value)]));
}

async function forward(site: ApiSite, agent: Agent, asked: Asked): Promise<Answered> {
  const response = await exchange(site, agent, asked).catch((error: NodeJS.ErrnoException) => {
    // The server may end an idle connection just when it is used again.
    if (error.code !== 'ECONNRESET') throw error;
    return exchange(site, agent, asked);
  });
  return { status: response.statusCode ?? 0, headers: flat(response.headers), body: await readRequest(response) };
}

async function exchange(site: ApiSite, agent: Agent, asked: Asked): Promise<IncomingMessage> {
  const { method, path, body } = asked;
  const length = body.length === 0 && method === 'GET' ? {} : { 'content-length': String(body.length) };
  const headers = { ...asked.headers, ...length };
  const to = { host: '127.0.0.1', port: site.port, ca: site.ca, servername: 'smimp.corp.test', agent };
  const request = httpsRequest({ ...to, method, path, headers });
  request.end(body);
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  return response;
}

/** Whether a request is `METHOD` of a path below `/0.1/` that begins so. */
export function isCall(asked: Asked, method: string, start: string): boolean {
  return asked.method === method && asked.path.startsWith(`/0.1/${start}`);
}

export type Json = Record<string, unknown>;

/** A body as an object; an empty one when it is none. */
export function jsonOf({ body }: { body: Buffer }): Json {
  try {
    const value: unknown = JSON.parse(body.toString('utf8'));
    return typeof value === 'object' && value !== null ? (value as Json) : {};
  } catch (error) {
    if (error instanceof SyntaxError) return {};
    throw error;
  }
}

/** The same answer with members changed; `undefined` leaves one out. */
export function edited(answered: Answered, change: (json: Json) => Json): Answered {
  return { ...answered, body: Buffer.from(JSON.stringify({ ...jsonOf(answered), ...change(jsonOf(answered)) })) };
}

export function yes(body: unknown, status = 200): Answered {
  const headers = { 'content-type': 'application/json; charset=utf-8', 'cache-control': 'no-store' };
  return { status, headers, body: body === undefined ? Buffer.alloc(0) : Buffer.from(JSON.stringify(body)) };
}

export function no(code: ApiErrorCode): Answered {
  const body = Buffer.from(JSON.stringify(problem(code)));
  return { status: API_ERRORS[code], headers: { 'content-type': PROBLEM_MEDIA_TYPE }, body };
}

/** The code of an answer that is an error. */
export const codeIn = (answered: Answered): unknown => (answered.status < 400 ? undefined : jsonOf(answered).code);

/** Whether a login signs its token for this base URL. */
export function isSignedFor(asked: Asked, baseUrl: string = BASE_URL): boolean {
  const address = decodeURIComponent(asked.path.split('/').at(-1) ?? '') as Address;
  const login = loginRequest.safeParse(jsonOf(asked));
  if (!login.success) return false;
  const { token, signed_token, public_key } = login.data;
  try {
    verifySignedHash(signed_token, loginDigest({ baseUrl, address, masterKey: public_key, token }), public_key);
    return true;
  } catch (error) {
    if (error instanceof ProfileError) return false;
    throw error;
  }
}
