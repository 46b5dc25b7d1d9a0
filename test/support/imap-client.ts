/**
 * A mail program that says exactly what a test tells it and reads answers one by one. An answer is a line with its
 * literals in place, as Latin-1 text, without the line end.
 */
import { once } from 'node:events';
import { connect as connectPlain, type Socket } from 'node:net';
import { connect as connectTls, TLSSocket } from 'node:tls';
import { constants, createDeflateRaw, createInflateRaw } from 'node:zlib';
import { expect } from 'vitest';

const CLOSED = '<closed>';

export interface ImapAnswer {
  status: 'OK' | 'NO' | 'BAD';
  /** What follows the status, with its response code. */
  text: string;
  /** The untagged answers before it, without `* `. */
  lines: string[];
}

export class ImapClient implements Disposable {
  readonly #ca: string;
  #socket: Socket;
  #received = Buffer.alloc(0);
  #ended = false;
  #wake: () => void = () => undefined;
  #tags = 0;
  #write: (data: Buffer) => void = (data) => this.#socket.write(data);
  greeting = '';
  /** `\Recent` is left out of flags: only tests that are about it care which session was the first to look. */
  showsRecent = false;

  private constructor(socket: Socket, ca: string) {
    this.#ca = ca;
    this.#socket = socket;
    this.#listen(socket);
  }

  static async open(options: {
    port: number;
    ca: string;
    implicitTls?: boolean;
    maxVersion?: 'TLSv1.2';
  }): Promise<ImapClient> {
    const { port, ca, implicitTls = true, maxVersion = 'TLSv1.3' } = options;
    const place = { host: '127.0.0.1', port };
    const socket = implicitTls
      ? connectTls({ ...place, ca, maxVersion, servername: 'localhost' })
      : connectPlain(place);
    const client = new ImapClient(socket, ca);
    await once(socket, implicitTls ? 'secureConnect' : 'connect');
    client.greeting = await client.line();
    return client;
  }

  #listen(socket: Socket): void {
    socket.on('data', (chunk: Buffer) => this.#receive(chunk));
    const end = (): void => {
      this.#ended = true;
      this.#wake();
    };
    socket.on('end', end);
    socket.on('close', end);
    // A server that cuts the connection is what some tests ask for; the next read says so.
    socket.on('error', end);
  }

  #receive(chunk: Buffer): void {
    this.#received = Buffer.concat([this.#received, chunk]);
    this.#wake();
  }

  /** Sends as it is; a string in Latin-1. */
  send(data: string | Buffer): void {
    this.#write(typeof data === 'string' ? Buffer.from(data, 'latin1') : data);
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  /** The next whole answer; `<closed>` at the end of the connection. */
  async line(): Promise<string> {
    for (;;) {
      const length = this.#answerLength();
      if (length !== null) {
        const text = this.#received.toString('latin1', 0, length - 2);
        this.#received = this.#received.subarray(length);
        return this.showsRecent ? text : text.replace(/(FLAGS \([^)]*?) ?\\Recent\)/, '$1)');
      }
      if (this.#ended) return CLOSED;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** Bytes of the answer at the start, literals and line end included; null when it is not all there. */
  #answerLength(): number | null {
    for (let from = 0; ; ) {
      const end = this.#received.indexOf('\r\n', from);
      if (end < 0) return null;
      const literal = /\{(\d+)\}$/.exec(this.#received.toString('latin1', from, end));
      if (literal === null) return end + 2;
      from = end + 2 + Number(literal[1]);
      if (from > this.#received.length) return null;
    }
  }

  /** Says a command and gives the whole answer. A Buffer among the parts goes as a literal, when the server asks for it. */
  async command(...parts: (string | Buffer)[]): Promise<ImapAnswer> {
    this.#tags += 1;
    const tag = `t${this.#tags}`;
    const lines: string[] = [];
    let said: Buffer[] = [Buffer.from(`${tag} `)];
    for (const part of parts) {
      if (typeof part === 'string') {
        said.push(Buffer.from(part, 'latin1'));
        continue;
      }
      this.send(Buffer.concat([...said, Buffer.from(`{${part.length}}\r\n`)]));
      const early = await this.#until(tag, lines);
      if (early !== null) return early;
      said = [part];
    }
    // A literal and what follows it in one piece: two would wait for each other.
    this.send(Buffer.concat([...said, Buffer.from('\r\n')]));
    return this.finish(tag, lines);
  }

  /** Reads to the end of a command; a `+` on the way is an error. */
  async finish(tag: string, lines: string[] = []): Promise<ImapAnswer> {
    const answer = await this.#until(tag, lines);
    if (answer === null) throw new Error('the server asks for more');
    return answer;
  }

  /** Null when the server asks for more. */
  async #until(tag: string, lines: string[]): Promise<ImapAnswer | null> {
    for (;;) {
      const line = await this.line();
      if (line.startsWith('+ ')) return null;
      if (line === CLOSED) throw new Error(`the connection ended after: ${lines.join(' | ')}`);
      if (line.startsWith('* ')) lines.push(line.slice(2));
      else {
        const [, answered, status, text] = /^(\S+) (OK|NO|BAD) ([\s\S]*)$/.exec(line) ?? [];
        if (answered !== tag || text === undefined) throw new Error(`not the answer to ${tag}: ${line}`);
        return { status: status as ImapAnswer['status'], text, lines };
      }
    }
  }

  async ok(...parts: (string | Buffer)[]): Promise<string[]> {
    const { lines } = await this.#expect('OK', parts);
    return lines;
  }

  /** The text of the tagged OK. */
  async okText(...parts: (string | Buffer)[]): Promise<string> {
    return (await this.#expect('OK', parts)).text;
  }

  async no(...parts: (string | Buffer)[]): Promise<string> {
    return (await this.#expect('NO', parts)).text;
  }

  async bad(...parts: (string | Buffer)[]): Promise<string> {
    return (await this.#expect('BAD', parts)).text;
  }

  async #expect(status: ImapAnswer['status'], parts: (string | Buffer)[]): Promise<ImapAnswer> {
    const answer = await this.command(...parts);
    expect(`${parts[0]} → ${answer.status} ${answer.text}`).toMatch(`${parts[0]} → ${status} `);
    return answer;
  }

  /** Numbers that a SEARCH finds. */
  async search(keys: string, ...more: (string | Buffer)[]): Promise<number[]> {
    const lines = await this.ok(`search ${keys}`, ...more);
    const found = lines.find((line) => line.startsWith('SEARCH'));
    return (found ?? '').split(' ').slice(1).map(Number);
  }

  /** After the OK of STARTTLS. */
  async upgrade(): Promise<void> {
    const plain = this.#socket;
    plain.removeAllListeners('data');
    const socket = connectTls({ socket: plain, ca: this.#ca, servername: 'localhost' });
    this.#socket = socket;
    this.#listen(socket);
    await once(socket, 'secureConnect');
  }

  /** After the OK of COMPRESS. */
  compress(): void {
    const socket = this.#socket;
    for (const event of ['data', 'end', 'close']) socket.removeAllListeners(event);
    const inflate = createInflateRaw();
    const deflate = createDeflateRaw();
    const end = (): void => {
      this.#ended = true;
      this.#wake();
    };
    inflate.on('data', (chunk: Buffer) => this.#receive(chunk));
    // The server never ends its stream: for zlib that is an error, for us the end.
    inflate.on('error', end).on('close', end);
    socket.pipe(inflate);
    socket.once('close', () => inflate.end());
    deflate.pipe(socket);
    this.#write = (data) => {
      deflate.write(data);
      deflate.flush(constants.Z_SYNC_FLUSH);
    };
  }

  /** Past all compression. */
  sendRaw(data: Buffer): void {
    this.#socket.write(data);
  }

  /** The TLS connection itself, for what binds a login to it. */
  get tls(): TLSSocket {
    if (!(this.#socket instanceof TLSSocket)) throw new Error('no TLS');
    return this.#socket;
  }

  /** True once the connection is gone. */
  get ended(): boolean {
    return this.#ended;
  }

  /** Bytes that came over the wire, compressed or not. */
  get wireBytes(): number {
    return this.#socket.bytesRead;
  }

  [Symbol.dispose](): void {
    this.#socket.destroy();
  }
}
