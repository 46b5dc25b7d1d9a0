/** A mail program that reads as little of the answers as it can, so that what is measured is the server. */
import { once } from 'node:events';
import { performance } from 'node:perf_hooks';
import { connect, type TLSSocket } from 'node:tls';

export interface Place {
  port: number;
  ca: string;
  user: string;
  password: string;
}

/** No tagged line is longer. */
const TAIL_BYTES = 512;

export class RawClient implements Disposable {
  readonly #socket: TLSSocket;
  #chunks: Buffer[] = [];
  #tags = 0;
  #wake: () => void = () => undefined;
  #closed = false;

  private constructor(socket: TLSSocket) {
    this.#socket = socket;
    socket.on('data', (chunk: Buffer) => {
      this.#chunks.push(chunk);
      this.#wake();
    });
    const close = (): void => {
      this.#closed = true;
      this.#wake();
    };
    socket.on('close', close).on('error', close);
  }

  /** Connected and greeted. */
  static async connect({ port, ca }: Place): Promise<RawClient> {
    const socket = connect({ host: '127.0.0.1', port, ca, servername: 'localhost' });
    const client = new RawClient(socket);
    await once(socket, 'secureConnect');
    socket.setNoDelay(true);
    await client.#until((tail) => tail.endsWith('\r\n'));
    client.#chunks = [];
    return client;
  }

  static async logIn(place: Place): Promise<RawClient> {
    const client = await RawClient.connect(place);
    await client.run(`LOGIN ${place.user} ${place.password}`);
    return client;
  }

  /** Says a command; its whole answer and how long it took until the tagged line was here. Throws unless it is OK. */
  async run(command: string | Buffer): Promise<{ ms: number; answer: Buffer }> {
    this.#tags += 1;
    const tag = `x${this.#tags}`;
    const line = Buffer.concat([Buffer.from(`${tag} `), Buffer.from(command as string), Buffer.from('\r\n')]);
    const startMs = performance.now();
    this.#socket.write(line);
    await this.#until((tail) => isEnd(tail, tag));
    const ms = performance.now() - startMs;
    const answer = Buffer.concat(this.#chunks.splice(0));
    const end = answer.toString('latin1', Math.max(0, answer.length - TAIL_BYTES));
    if (!end.slice(end.lastIndexOf(`${tag} `)).startsWith(`${tag} OK`)) throw new Error(`not OK: ${end}`);
    return { ms, answer };
  }

  /** A message as a literal that is not waited for (RFC 7888). */
  append(mailbox: string, message: Buffer, flags = ''): Promise<{ ms: number; answer: Buffer }> {
    const start = Buffer.from(`APPEND ${mailbox} ${flags}{${message.length}+}\r\n`);
    return this.run(Buffer.concat([start, message]));
  }

  /** Begins IDLE; resolves when the server agrees. */
  async idle(): Promise<void> {
    this.#socket.write('idle IDLE\r\n');
    await this.#until((tail) => tail.includes('+ '));
    this.#chunks = [];
  }

  /** When a line with this text was here. */
  async hears(text: string): Promise<number> {
    await this.#until((tail) => tail.includes(text));
    this.#chunks = [];
    return performance.now();
  }

  async endIdle(): Promise<void> {
    this.#socket.write('DONE\r\n');
    await this.#until((tail) => isEnd(tail, 'idle'));
    this.#chunks = [];
  }

  async #until(isThere: (tail: string) => boolean): Promise<void> {
    while (!isThere(this.#tail())) {
      if (this.#closed) throw new Error(`the connection ended: ${this.#tail()}`);
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  #tail(): string {
    const pieces: Buffer[] = [];
    let size = 0;
    for (let at = this.#chunks.length - 1; at >= 0 && size < TAIL_BYTES; at -= 1) {
      const chunk = this.#chunks[at] as Buffer;
      pieces.unshift(chunk.subarray(Math.max(0, chunk.length - TAIL_BYTES)));
      size += chunk.length;
    }
    return Buffer.concat(pieces).toString('latin1');
  }

  [Symbol.dispose](): void {
    this.#socket.destroy();
  }
}

/** The last line is the tagged one. */
function isEnd(tail: string, tag: string): boolean {
  if (!tail.endsWith('\r\n')) return false;
  const start = tail.lastIndexOf('\r\n', tail.length - 3);
  return tail.startsWith(`${tag} `, start < 0 ? 0 : start + 2);
}
