/** A mail program that says exactly what a test tells it, byte for byte, and reads replies one at a time. */
import { once } from 'node:events';
import { connect as connectPlain, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';

export class SmtpDialogue implements Disposable {
  #socket: Socket;
  #text = '';
  #ended = false;
  #wake: () => void = () => undefined;
  readonly #ca: string;

  private constructor(socket: Socket, ca: string) {
    this.#ca = ca;
    this.#socket = socket;
    this.#listen(socket);
  }

  static async open(options: { port: number; ca: string; implicitTls: boolean }): Promise<SmtpDialogue> {
    const { port, ca, implicitTls } = options;
    const place = { host: '127.0.0.1', port };
    const socket = implicitTls ? connectTls({ ...place, ca, servername: 'localhost' }) : connectPlain(place);
    const dialogue = new SmtpDialogue(socket, ca);
    await once(socket, implicitTls ? 'secureConnect' : 'connect');
    return dialogue;
  }

  #listen(socket: Socket): void {
    socket.on('data', (chunk: Buffer) => {
      this.#text += chunk.toString('utf8');
      this.#wake();
    });
    const end = (): void => {
      this.#ended = true;
      this.#wake();
    };
    socket.on('end', end);
    socket.on('close', end);
    // A server that cuts the connection is what some tests ask for; the next read says so.
    socket.on('error', end);
  }

  /** Sends as it is; a string in Latin-1. */
  send(data: string | Buffer): void {
    this.#socket.write(typeof data === 'string' ? Buffer.from(data, 'latin1') : data);
  }

  /** Sends and waits until it is on its way, so that what follows is another TCP segment. */
  async sendAlone(data: string): Promise<void> {
    await new Promise<void>((resolve) => this.#socket.write(Buffer.from(data, 'latin1'), () => resolve()));
    await new Promise<void>((resolve) => setImmediate(resolve));
  }

  /** The next whole reply, lines joined by LF; `<closed>` at the end of the connection. */
  async reply(): Promise<string> {
    for (;;) {
      const match = /^(?:\d{3}-[^\r]*\r\n)*\d{3}(?: [^\r]*)?\r\n/.exec(this.#text);
      if (match !== null) {
        this.#text = this.#text.slice(match[0].length);
        return match[0].trimEnd().replaceAll('\r\n', '\n');
      }
      if (this.#ended) return '<closed>';
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** One line, one reply. */
  async say(line: string): Promise<string> {
    this.send(`${line}\r\n`);
    return this.reply();
  }

  /** After the 220 of STARTTLS. */
  async upgrade(): Promise<void> {
    const plain = this.#socket;
    plain.removeAllListeners('data');
    const socket = connectTls({ socket: plain, ca: this.#ca, servername: 'localhost' });
    this.#socket = socket;
    this.#listen(socket);
    await once(socket, 'secureConnect');
  }

  [Symbol.dispose](): void {
    this.#socket.destroy();
  }
}

/** The token of AUTH PLAIN. */
export function plainToken(user: string, password: string, authzid = ''): string {
  return Buffer.from(`${authzid}\0${user}\0${password}`).toString('base64');
}
