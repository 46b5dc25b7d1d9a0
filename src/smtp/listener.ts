/** Listeners of SMTP, for submission and for mail from outside: what both have in common. */
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import type { SMTPServerOptions } from 'smtp-server';
import type { Events } from '../events.ts';
import { type Patience, PatientServer } from './connection.ts';
import { CLOSE_TIMEOUT_MS, IDLE_TIMEOUT_MS, MAX_COMMAND_BYTES } from './limits.ts';
import { REPLIES, SmtpReply } from './replies.ts';

export interface SmtpDoor extends AsyncDisposable {
  /** Opens a listener; port 0 takes a free one. `implicitTls`: TLS from the first byte, else STARTTLS. */
  listen(door: { host: string; port: number; implicitTls: boolean }): Promise<{ port: number }>;
  /** For new connections. */
  setTls(tls: { cert: string; key: string }): void;
}

/** Ends one connection with a last reply. */
export type Dismiss = (sessionId: string, code: number, text: string) => void;

export interface CommonOptions {
  /** How the server calls itself. */
  name: string;
  tls: { cert: string; key: string };
  limits: { messageBytes: number; recipients: number; connections: number };
  events: Events;
  /** How long a client may be silent. */
  idleTimeoutMs?: number;
  /** How long what is under way may take when the program ends. */
  closeTimeoutMs?: number;
}

/** `settingsOf`: what is special, made with a way to end connections. */
export function createDoor(
  options: CommonOptions & { patience: Patience; settingsOf: (dismiss: Dismiss) => SMTPServerOptions },
): SmtpDoor {
  const servers: PatientServer[] = [];
  let { tls } = options;
  const special = options.settingsOf((id, code, text) => {
    for (const server of servers) server.dismiss(id, code, text);
  });
  return {
    async listen({ host, port, implicitTls }) {
      const settings = { ...commonSettings(options), ...special, ...tls, secure: implicitTls };
      const server = new PatientServer(settings, options.patience);
      server.on('error', (error: Error) => options.events.protocolError({ protocol: 'smtp', code: codeOf(error) }));
      await once(server.listen(port, host), 'listening');
      servers.push(server);
      const bound = (server.server.address() as AddressInfo).port;
      return { port: bound };
    },
    setTls(renewed) {
      tls = renewed;
      for (const server of servers) server.updateSecureContext(renewed);
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(servers.map((server) => server.end()));
    },
  };
}

function commonSettings({ name, limits, idleTimeoutMs, closeTimeoutMs }: CommonOptions): SMTPServerOptions {
  return {
    name,
    banner: 'smimp-bridge',
    minVersion: 'TLSv1.2',
    logger: false,
    size: limits.messageBytes,
    rejectOversized: true,
    maxRecipients: limits.recipients,
    maxClients: limits.connections,
    disableReverseLookup: true,
    hideENHANCEDSTATUSCODES: false,
    hideDSN: true,
    hideREQUIRETLS: true,
    maxCommandLength: MAX_COMMAND_BYTES,
    socketTimeout: idleTimeoutMs ?? IDLE_TIMEOUT_MS,
    closeTimeout: closeTimeoutMs ?? CLOSE_TIMEOUT_MS,
  };
}

/** What no door of ours has a use for. */
export const UNUSED_COMMANDS = ['WIZ', 'SHELL', 'KILL', 'XCLIENT', 'XFORWARD', 'HELP'] as const;

/** Runs one step and calls back with its result, or with the reply to its error. */
export function answerer(events: Events) {
  return function answer<T>(step: () => Promise<T>, callback: (error: Error | null, result?: T) => void): void {
    step().then(
      (result) => callback(null, result),
      (error: unknown) => {
        if (!(error instanceof SmtpReply)) events.unexpected('smtp', error);
        callback(error instanceof SmtpReply ? error : REPLIES.unexpected());
      },
    );
  };
}

function codeOf(error: Error): string {
  return 'code' in error && typeof error.code === 'string' ? error.code : 'unknown';
}

/** Adds to a counter and returns it; a counter at nothing is forgotten. */
export function count<K>(counters: Map<K, number>, key: K, change: number): number {
  const value = (counters.get(key) ?? 0) + change;
  if (value === 0) counters.delete(key);
  else counters.set(key, value);
  return value;
}
