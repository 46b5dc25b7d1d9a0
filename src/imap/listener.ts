/** The IMAP server: listeners with TLS from the start or by STARTTLS, and the limits on connections. */
import { once } from 'node:events';
import { type AddressInfo, createServer as createTcpServer, type Server, type Socket } from 'node:net';
import { createSecureContext, createServer as createTlsServer, type TLSSocket } from 'node:tls';
import { Connection } from './connection.ts';
import type { ImapServices, Session } from './context.ts';
import { DEFAULT_SESSION_LIMITS, type SessionLimits } from './limits.ts';
import { Transport } from './transport.ts';
import { untaggedLine } from './wire/responses.ts';

/** A client that does not finish its handshake gives its place back. */
const HANDSHAKE_TIMEOUT_MS = 15_000;
/** Connections that are in the middle of something when the program ends. */
const CLOSE_TIMEOUT_MS = 3_000;

export interface ImapServer extends AsyncDisposable {
  /** Opens a listener; port 0 takes a free one. `implicitTls`: TLS from the first byte, else STARTTLS. */
  listen(door: { host: string; port: number; implicitTls: boolean }): Promise<{ port: number }>;
  /** For new connections. */
  setTls(tls: { cert: string; key: string }): void;
}

export interface ImapOptions extends Omit<ImapServices, 'sessionLimits'> {
  sessionLimits?: Partial<SessionLimits>;
  tls: { cert: string; key: string };
  timeouts?: Partial<{ unauthenticatedMs: number; idleMs: number }>;
}

export function createImapServer(options: ImapOptions): ImapServer {
  const { limits, events } = options;
  const services: ImapServices = {
    ...options,
    sessionLimits: { ...DEFAULT_SESSION_LIMITS, ...options.sessionLimits },
  };
  const servers: Server[] = [];
  const connections = new Map<Connection, Promise<void>>();
  const addresses = new Places(limits.connectionsPerAddress);
  const accounts = new Places(limits.connectionsPerAccount);
  let tls = { ...options.tls, minVersion: 'TLSv1.2' as const };

  const enter: Session['enter'] = (accountId) => accounts.take(String(accountId));
  const welcome = (socket: Socket | TLSSocket): void => {
    const transport = new Transport(socket);
    const leave = addresses.take(transport.remoteAddress);
    if (leave === null || connections.size >= limits.connections) {
      leave?.();
      events.connectionLimited({ protocol: 'imap', reason: leave === null ? 'address' : 'total' });
      transport.start({ onChunk: () => undefined, onClose: () => undefined });
      void transport.write(untaggedLine('BYE', 'Too many connections')).then(() => transport.end());
      return;
    }
    const secureContext = () => createSecureContext(tls);
    const { timeouts } = options;
    const connection = new Connection({
      services,
      transport,
      enter,
      secureContext,
      ...(timeouts ? { timeouts } : {}),
    });
    const served = connection.serve().finally(() => {
      connections.delete(connection);
      leave();
      events.connectionClosed({ protocol: 'imap' });
    });
    events.connectionOpened({ protocol: 'imap' });
    connections.set(connection, served);
  };

  return {
    async listen({ host, port, implicitTls }) {
      const server = implicitTls
        ? createTlsServer({ ...tls, handshakeTimeout: HANDSHAKE_TIMEOUT_MS }, welcome)
        : createTcpServer(welcome);
      server.on('error', () => events.protocolError({ protocol: 'imap', code: 'listener' }));
      server.on('tlsClientError', () => events.protocolError({ protocol: 'imap', code: 'tls' }));
      await once(server.listen(port, host), 'listening');
      servers.push(server);
      return { port: (server.address() as AddressInfo).port };
    },
    setTls(next) {
      tls = { ...next, minVersion: 'TLSv1.2' };
      for (const server of servers)
        if ('setSecureContext' in server) (server as ReturnType<typeof createTlsServer>).setSecureContext(tls);
    },
    async [Symbol.asyncDispose]() {
      const closed = servers.map((server) => new Promise<void>((resolve) => server.close(() => resolve())));
      await Promise.all([...connections.keys()].map((connection) => connection.shutDown()));
      const grace = new Promise<void>((resolve) => setTimeout(resolve, CLOSE_TIMEOUT_MS).unref());
      await Promise.race([Promise.all([...connections.values(), ...closed]), grace]);
    },
  };
}

/** Counts places by name and gives them out up to a limit. */
class Places {
  readonly #most: number;
  readonly #taken = new Map<string, number>();

  constructor(most: number) {
    this.#most = most;
  }

  /** A function that gives the place back, once; null when there is none. */
  take(name: string): (() => void) | null {
    const taken = this.#taken.get(name) ?? 0;
    if (taken >= this.#most) return null;
    this.#taken.set(name, taken + 1);
    let given = false;
    return () => {
      if (given) return;
      given = true;
      const left = (this.#taken.get(name) ?? 1) - 1;
      if (left === 0) this.#taken.delete(name);
      else this.#taken.set(name, left);
    };
  }
}
