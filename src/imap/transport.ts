/** The socket of a connection: chunks in, buffers out with back-pressure, and the changes to TLS and to compression. */
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { type SecureContext, TLSSocket } from 'node:tls';
import type { InflateRaw } from 'node:zlib';
import { channelBinding } from './channel-binding.ts';
import { createUnfolding, Folding } from './folding.ts';
import { type SessionLimits, WRITE_BYTES, WRITE_TIMEOUT_MS } from './limits.ts';

export class Transport {
  #socket: Socket | TLSSocket;
  #onChunk: (chunk: Buffer) => void = () => undefined;
  #onClose: () => void = () => undefined;
  #unfolding: InflateRaw | null = null;
  #folding: Folding | null = null;
  #closed = false;
  #writing: Promise<void> = Promise.resolve();

  constructor(socket: Socket | TLSSocket) {
    this.#socket = socket;
    socket.setNoDelay(true);
  }

  get secure(): boolean {
    return this.#socket instanceof TLSSocket;
  }

  channelBinding(name: string): Buffer | null {
    return this.#socket instanceof TLSSocket ? channelBinding(this.#socket, name) : null;
  }

  get closed(): boolean {
    return this.#closed;
  }

  get compressed(): boolean {
    return this.#unfolding !== null;
  }

  get remoteAddress(): string {
    return this.#socket.remoteAddress ?? 'unknown';
  }

  start(handlers: { onChunk: (chunk: Buffer) => void; onClose: () => void }): void {
    this.#onChunk = handlers.onChunk;
    this.#onClose = handlers.onClose;
    this.#attach();
  }

  #attach(): void {
    const socket = this.#socket;
    socket.on('data', (chunk: Buffer) => this.#onChunk(chunk));
    socket.on('error', () => this.close());
    socket.once('close', () => this.#ended());
    socket.once('end', () => this.close());
  }

  #ended(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#unfolding?.close();
    this.#folding?.close();
    this.#onClose();
  }

  /** Resolves when the client can take more; at once when the connection is gone. What is written is never mixed. */
  write(...buffers: Buffer[]): Promise<void> {
    const written = this.#writing.then(() => this.#writeAll(buffers));
    this.#writing = written.catch(() => undefined);
    return written;
  }

  /** Large buffers in slices: the socket keeps a copy, enciphered, of what it is given. */
  async #writeAll(buffers: readonly Buffer[]): Promise<void> {
    const small: Buffer[] = [];
    for (const buffer of buffers) {
      if (buffer.length <= WRITE_BYTES) {
        small.push(buffer);
        continue;
      }
      await this.#writeTogether(small.splice(0));
      for (let at = 0; at < buffer.length; at += WRITE_BYTES) {
        await this.#writeTogether([buffer.subarray(at, at + WRITE_BYTES)]);
      }
    }
    await this.#writeTogether(small);
  }

  async #writeTogether(buffers: readonly Buffer[]): Promise<void> {
    if (buffers.length === 0 || this.#closed) return;
    const wire = this.#folding === null ? buffers : await this.#folding.fold(buffers);
    if (this.#closed || this.#socket.destroyed) return;
    this.#socket.cork();
    let ready = true;
    for (const buffer of wire) ready = this.#socket.write(buffer);
    this.#socket.uncork();
    if (!ready) await this.#drained();
  }

  async #drained(): Promise<void> {
    const ending = new AbortController();
    const timer = setTimeout(() => this.close(), WRITE_TIMEOUT_MS);
    const signal = ending.signal;
    try {
      await Promise.race([once(this.#socket, 'drain', { signal }), once(this.#socket, 'close', { signal })]);
    } catch (error) {
      if (!this.#socket.destroyed) throw error;
    } finally {
      clearTimeout(timer);
      ending.abort();
    }
  }

  /** What is unfolded waits first, and the socket behind it. */
  pause(): void {
    (this.#unfolding ?? this.#socket).pause();
  }

  resume(): void {
    (this.#unfolding ?? this.#socket).resume();
  }

  /** From here on both sides compress; `last` is the last that goes out as it is. Everything received before is read. */
  startCompression(last: Buffer, limits: SessionLimits): Promise<void> {
    this.#socket.removeAllListeners('data');
    this.#unfolding = createUnfolding(limits, {
      onChunk: (chunk) => this.#onChunk(chunk),
      onBroken: () => this.close(),
    });
    this.#socket.pipe(this.#unfolding);
    const started = this.#writing.then(async () => {
      await this.#writeAll([last]);
      if (!this.#closed) this.#folding = new Folding();
    });
    this.#writing = started.catch(() => undefined);
    return started;
  }

  /** Everything received before is forgotten by the caller; what comes from here on is TLS. Closes when that takes too long. */
  async startTls(secureContext: SecureContext, timeoutMs: number): Promise<void> {
    const plain = this.#socket;
    plain.removeAllListeners('data');
    plain.removeAllListeners('end');
    const secured = new TLSSocket(plain, { isServer: true, secureContext });
    this.#socket = secured;
    this.#attach();
    const timer = setTimeout(() => this.close(), timeoutMs);
    await new Promise<void>((resolve) => {
      secured.once('secure', resolve);
      secured.once('close', resolve);
    });
    clearTimeout(timer);
  }

  /** Sends what is written and closes. */
  end(): void {
    this.#socket.end();
    setTimeout(() => this.close(), 2_000).unref();
  }

  close(): void {
    this.#socket.destroy();
    this.#ended();
  }
}
