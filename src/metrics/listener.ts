/** `/metrics` over plain HTTP, for a collector on this machine or in a network of its own, and nothing else. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Events } from '../events.ts';

export interface MetricsSource {
  /** The text of the metrics, and its type. */
  read(): Promise<{ text: string; contentType: string }>;
}

export interface MetricsServer extends AsyncDisposable {
  /** Port 0 takes a free one. */
  listen(door: { host: string; port: number }): Promise<{ port: number }>;
}

const PATH = '/metrics';
/** Collectors come one at a time, seconds apart. */
export const MAX_CONNECTIONS = 10;
export const MAX_HEADER_BYTES = 8 * 1024;
const REQUEST_TIMEOUT_MS = 5_000;
const IDLE_MS = 5_000;

export function createMetricsServer(options: { source: MetricsSource; events: Events }): MetricsServer {
  const { source, events } = options;
  const limits = { headersTimeout: REQUEST_TIMEOUT_MS, requestTimeout: REQUEST_TIMEOUT_MS, keepAliveTimeout: IDLE_MS };
  const server: Server = createServer({ ...limits, maxHeaderSize: MAX_HEADER_BYTES }, (request, response) => {
    answer(source, request, response).catch((error: unknown) => {
      events.unexpected('metrics', error);
      if (response.headersSent) response.destroy();
      else refuse(response, 500);
    });
  });
  server.maxConnections = MAX_CONNECTIONS;
  server.on('error', () => events.protocolError({ protocol: 'metrics', code: 'listener' }));
  return {
    async listen({ host, port }) {
      await once(server.listen(port, host), 'listening');
      return { port: (server.address() as AddressInfo).port };
    },
    async [Symbol.asyncDispose]() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeAllConnections();
      await closed;
    },
  };
}

async function answer(source: MetricsSource, request: IncomingMessage, response: ServerResponse): Promise<void> {
  // Nobody has anything to say here; what somebody says all the same is not read.
  const { 'content-length': length, 'transfer-encoding': encoding } = request.headers;
  if (encoding !== undefined || (length !== undefined && length !== '0')) return refuse(response, 413);
  if (request.url?.split('?', 1)[0] !== PATH) return refuse(response, 404);
  if (request.method !== 'GET' && request.method !== 'HEAD') return refuse(response, 405, { allow: 'GET, HEAD' });
  const { text, contentType } = await source.read();
  response.writeHead(200, { 'content-type': contentType, 'cache-control': 'no-store' });
  response.end(request.method === 'HEAD' ? undefined : text);
}

function refuse(response: ServerResponse, status: number, headers: Record<string, string> = {}): void {
  response.writeHead(status, { ...headers, connection: 'close' }).end();
}
