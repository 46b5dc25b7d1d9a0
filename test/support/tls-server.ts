/** A real HTTPS server on a free port of loopback that does what a test tells it, decently or not. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { type Authority, createAuthority, issueCertificate, type Validity } from '../../src/admin/certificates.ts';

export type Handler = (request: IncomingMessage, response: ServerResponse) => void | Promise<void>;

export interface TlsServer extends AsyncDisposable {
  readonly port: number;
  /** For the `hosts` of a client: `127.0.0.1:port`, or the `host` it was given. */
  readonly target: string;
  /** `METHOD path` of every request, in order. */
  readonly requests: string[];
  /** How many TLS connections were made. */
  connections(): number;
}

let shared: Promise<Authority> | undefined;

/** One authority for all servers of a worker. */
export function testAuthority(): Promise<Authority> {
  shared ??= createAuthority();
  return shared;
}

const issued = new Map<string, ReturnType<typeof issueCertificate>>();

/** By the shared authority; the same names have the same certificate. */
export async function testCertificate(...names: string[]): Promise<{ certificate: string; key: string }> {
  const known = issued.get(names.join());
  if (known !== undefined) return known;
  const made = issueCertificate({ authority: await testAuthority(), names });
  issued.set(names.join(), made);
  return made;
}

/** Serves `names` with a certificate of `authority` (default: the shared one), by `handler`. */
export async function startTlsServer(
  options: { names: string[]; handler: Handler; authority?: Authority; host?: string; port?: number } & Validity,
): Promise<TlsServer> {
  const { names, handler, authority, host = '127.0.0.1', port: wanted = 0, ...validity } = options;
  const isOrdinary = authority === undefined && Object.keys(validity).length === 0;
  const { certificate: cert, key } = isOrdinary
    ? await testCertificate(...names)
    : await issueCertificate({ authority: authority ?? (await testAuthority()), names, ...validity });
  const requests: string[] = [];
  let connections = 0;
  const server = createServer({ cert, key }, (request, response) => {
    requests.push(`${request.method} ${request.url}`);
    Promise.resolve(handler(request, response)).catch((error: unknown) => response.destroy(error as Error));
  });
  server.on('secureConnection', () => {
    connections += 1;
  });
  await new Promise<void>((resolve) => server.listen(wanted, host, resolve));
  const { port } = server.address() as AddressInfo;
  return {
    port,
    target: `${host}:${port}`,
    requests,
    connections: () => connections,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

export function answerText(response: ServerResponse, body: string | Buffer, status = 200): void {
  response.writeHead(status, { 'content-type': 'text/plain' }).end(body);
}

export function answerJson(
  response: ServerResponse,
  value: unknown,
  status = 200,
  headers: Record<string, string> = {},
): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(value));
}

export async function readRequest(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}
