/**
 * smtp-server's connection with what a submission service needs beyond it: enhanced codes of our own, no mention of AUTH
 * before TLS (RFC 4954 §4), an end to connections that only make mistakes, and no pause before the greeting (the pause is
 * against senders of spam, which have no account).
 */

import type { Socket } from 'node:net';
import { createServer as createTlsServer, type TLSSocket, type TlsOptions, Server as TlsServer } from 'node:tls';
import { SMTPServer, type SMTPServerOptions } from 'smtp-server';
import { SMTPConnection } from 'smtp-server/lib/smtp-connection.js';
import { HANDSHAKE_TIMEOUT_MS, MAX_HANDSHAKES } from './limits.ts';
import { hasEnhancedCode } from './replies.ts';

export interface Patience {
  /** Refused commands in the life of a connection. */
  errors: number;
  /** Commands between two accepted messages. */
  commands: number;
}

const ACCEPTED_DATA = 'DATA_OK';

export class PatientConnection extends SMTPConnection {
  #errors = 0;
  #commands = 0;
  readonly #patience: Patience;

  constructor(server: PatientServer, socket: Socket | TLSSocket, options: object | null | undefined) {
    super(server, socket, options ?? null);
    this.#patience = server.patience;
  }

  override init(): void {
    this._setListeners(() => {
      const { maxClients } = this._server.options;
      const full = maxClients !== undefined && this._server.connections.size > maxClients;
      if (full) this.send(421, 'Too many connections, try again later', false);
      else this.connectionReady();
    });
  }

  override send(code: number, data?: string | string[] | null, context?: string | false): void {
    const text = Array.isArray(data) && !this.secure ? data.filter((line) => !line.startsWith('AUTH ')) : data;
    const bringsCode = context === undefined && typeof text === 'string' && hasEnhancedCode(text);
    super.send(code, text, bringsCode ? false : context);
    this.#count(code, context);
  }

  /** Whether it waits for an answer of ours, or is in the middle of a message. */
  get isBusy(): boolean {
    return this._handlerPending || Boolean(this._dataStream);
  }

  #count(code: number, context: string | false | undefined): void {
    this.#commands = context === ACCEPTED_DATA && code === 250 ? 0 : this.#commands + 1;
    if (code >= 400) this.#errors += 1;
    if (code === 421 || this._closing) return;
    if (this.#errors > this.#patience.errors) super.send(421, '4.7.0 Too many errors', false);
    else if (this.#commands > this.#patience.commands) super.send(421, '4.7.0 Too many commands', false);
  }
}

export class PatientServer extends SMTPServer {
  readonly patience: Patience;

  /**
   * `secure`: TLS from the first byte, by Node's own TLS server. (smtp-server wraps the sockets itself, and a wrapped socket
   * that is destroyed in the middle of its handshake, as at the end of the program, takes the whole process with it.)
   */
  constructor(options: SMTPServerOptions, patience: Patience) {
    super({ ...options, secured: options.secure === true });
    this.patience = patience;
    if (options.secure !== true) return;
    const { key, cert, minVersion } = options;
    const tls = { key, cert, minVersion, handshakeTimeout: HANDSHAKE_TIMEOUT_MS };
    this.server = createTlsServer(tls, (socket) => this.connect(socket));
    this.server.on('tlsClientError', (error: Error) => this.emit('error', error));
    if (options.maxClients !== undefined) this.server.maxConnections = options.maxClients + MAX_HANDSHAKES;
    this._setListeners();
  }

  override connect(socket: Socket | TLSSocket, options?: object | null): void {
    const connection = new PatientConnection(this, socket, options);
    this.connections.add(connection);
    connection.on('error', (error: Error) => this.emit('error', error));
    connection.init();
  }

  override updateSecureContext(options?: TlsOptions | SMTPServerOptions | null): void {
    super.updateSecureContext(options);
    if (this.server instanceof TlsServer && options != null) this.server.setSecureContext(options);
  }

  /** Ends one connection with a last reply. */
  dismiss(sessionId: string, code: number, text: string): void {
    for (const connection of this.connections) {
      if (connection.id !== sessionId) continue;
      connection.send(code, text);
      connection.close();
    }
  }

  /** Takes no more connections, ends those that wait for nothing, and gives the others a moment. */
  end(): Promise<void> {
    const ended = new Promise<void>((resolve) => this.close(resolve));
    for (const connection of this.connections) {
      if (!(connection as PatientConnection).isBusy) connection.send(421, '4.3.2 Shutting down, try again later');
    }
    return ended;
  }
}
