/**
 * Asking a server from outside: any request, decent or not, and what came of it. Every answer of a run is looked at here
 * once for what all answers must keep to (SMIMP 0.1 §5.1, §5.2); the checks `every.…` report what was found.
 */
import { RemoteError } from '../remote/errors.ts';
import type { Https } from '../remote/https.ts';
import { API_PREFIX, CALLS, type CallDefinition, type CallName, SESSION_HEADER } from '../smimp/api.ts';
import type { BaseUrl } from '../smimp/discovery.ts';
import type { Hex32 } from '../smimp/encoding.ts';
import { ProfileError } from '../smimp/errors.ts';
import { parseStrictJson } from '../smimp/json.ts';
import type { Answer } from './answer.ts';
import { CheckError } from './errors.ts';
import { createObserver, type Observer } from './observer.ts';

/** A call of the table, with what is to stand in its path. */
export type CallAsk = {
  /** By the names of the table; encoded here. */
  params?: Readonly<Record<string, string>>;
  /** With its question mark. */
  query?: string;
  /** An object, or the bytes that are to be sent as they are. */
  request?: unknown;
  token?: Hex32 | undefined;
  headers?: Readonly<Record<string, string>>;
};

/** Anything else. `path` is below the origin, with its slash, sent as it stands. */
export type RawAsk = {
  method?: 'GET' | 'POST' | 'DELETE';
  path: string;
  body?: Buffer;
  headers?: Readonly<Record<string, string>>;
};

export interface Probe {
  readonly baseUrl: BaseUrl;
  readonly observer: Observer;
  requests(): number;
  call(name: CallName, ask?: CallAsk): Promise<Answer>;
  raw(ask: RawAsk): Promise<Answer>;
}

/** A stored envelope of the kit's own small letters, or a history of a thousand records. */
const MAX_ANSWER_BYTES = 40 * 1024 * 1024;
/** A long poll of a few seconds, and a login that asks another server. */
const TIMEOUT_MS = 45_000;

export function callPath(name: CallName, baseUrl: BaseUrl, ask: CallAsk = {}): string {
  const { path }: CallDefinition = CALLS[name];
  const filled = path.replace(/\{(\w+)\}/g, (_whole, param: string) => encodeURIComponent(ask.params?.[param] ?? ''));
  const base = new URL(baseUrl).pathname.replace(/\/$/, '');
  return `${base}${name === 'version' ? '/' : API_PREFIX}${filled}${ask.query ?? ''}`;
}

function bodyOf(request: unknown): Buffer | undefined {
  if (request === undefined || Buffer.isBuffer(request)) return request;
  return Buffer.from(JSON.stringify(request));
}

export function createProbe(options: {
  https: Https;
  baseUrl: BaseUrl;
  maxRequests: number;
  isOver: () => boolean;
  marker: string;
}): Probe {
  const { https, baseUrl, maxRequests } = options;
  const observer = createObserver(options.marker);
  const { origin } = new URL(baseUrl);
  let requests = 0;

  const send = async (ask: RawAsk, name: CallName | null): Promise<Answer> => {
    requests += 1;
    if (options.isOver()) throw new CheckError('out-of-budget', 'the time of the run was over');
    if (requests > maxRequests) throw new CheckError('out-of-budget', `more than ${maxRequests} requests`);
    const { method = 'GET', path, body, headers = {} } = ask;
    const request = { method, url: new URL(origin + path), headers, maxBytes: MAX_ANSWER_BYTES, timeoutMs: TIMEOUT_MS };
    const whole = body === undefined ? request : { ...request, body };
    // A server may end an idle connection just when it is used again: once more, over a new one.
    const got = await https.request(whole).catch((error) => {
      if (!(error instanceof RemoteError) || error.code !== 'connect') return noAnswer(error);
      return https.request(whole).catch(noAnswer);
    });
    const answer = readAnswer(got);
    observer.see(answer, name);
    return answer;
  };

  return {
    baseUrl,
    observer,
    requests: () => requests,
    raw: (ask) => send(ask, null),
    call(name, ask = {}) {
      const body = bodyOf(ask.request);
      const headers: Record<string, string> = {
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...(ask.token === undefined ? {} : { [SESSION_HEADER]: ask.token }),
        ...ask.headers,
      };
      const raw = { method: CALLS[name].method, path: callPath(name, baseUrl, ask), headers };
      return send(body === undefined ? raw : { ...raw, body }, name);
    },
  };
}

function noAnswer(error: unknown): never {
  if (!(error instanceof RemoteError)) throw error;
  throw new CheckError('unmet', `no usable answer came (${error.code})`, { cause: error });
}

function readAnswer(got: { status: number; headers: Readonly<Record<string, string>>; body: Buffer }): Answer {
  const { status, headers, body } = got;
  const json = strictJson(body);
  const code = typeof json === 'object' && json !== null && 'code' in json ? json.code : null;
  return { status, headers, text: body.toString('utf8'), json, code: typeof code === 'string' ? code : null };
}

function strictJson(body: Buffer): unknown {
  try {
    return parseStrictJson(body);
  } catch (error) {
    if (error instanceof ProfileError) return undefined;
    throw error;
  }
}
