/**
 * Every connection that this process makes while a test looks on: where to, and what goes over it before anything is encrypted.
 * Unix sockets (the database) are left out.
 */
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { Socket } from 'node:net';

export class WatchedSockets implements Disposable {
  readonly #sockets: Socket[] = [];
  readonly #heard = (message: unknown): void => {
    this.#sockets.push((message as { socket: Socket }).socket);
  };

  constructor() {
    subscribe('net.client.socket', this.#heard);
  }

  /** Ports that were connected to, each once. A socket that never got so far has none. */
  ports(): number[] {
    const ports = this.#sockets.map((socket) => socket.remotePort).filter((port) => port !== undefined);
    return [...new Set(ports)].sort((a, b) => a - b);
  }

  [Symbol.dispose](): void {
    unsubscribe('net.client.socket', this.#heard);
  }
}
