/** The protocol by which programs made of Gecko are driven (Marionette, version 3): JSON in packets that begin with their length. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

/** What the program answers: a request's number, what went wrong, what it gives. */
type Answer = [
  type: 1,
  id: number,
  error: { error: string; message: string; stacktrace: string } | null,
  value: unknown,
];

const STEP_TIMEOUT_MS = 120_000;

export class Marionette implements AsyncDisposable {
  readonly #socket: Socket;
  readonly #waiting = new Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }>();
  #received = Buffer.alloc(0);
  #lastId = 0;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (chunk: Buffer) => this.#receive(chunk));
    // The close that follows says it to who waits.
    socket.on('error', () => undefined);
    socket.on('close', () => {
      for (const { reject } of this.#waiting.values()) reject(new Error('the program closed the connection'));
    });
  }

  /** Scripts then run in the program itself, not in a page that it shows. */
  static async open(port: number): Promise<Marionette> {
    const socket = connect(port, '127.0.0.1');
    await once(socket, 'connect');
    const marionette = new Marionette(socket);
    await marionette.command('WebDriver:NewSession', { capabilities: {} });
    await marionette.command('Marionette:SetContext', { value: 'chrome' });
    await marionette.command('WebDriver:SetTimeouts', { script: STEP_TIMEOUT_MS });
    return marionette;
  }

  /** The value that the body of a function returns, or that its promise resolves to. Its arguments are `arguments`. */
  async run(body: string, args: readonly unknown[] = []): Promise<unknown> {
    const answer = await this.command('WebDriver:ExecuteScript', { script: body, args, sandbox: 'system' });
    return (answer as { value: unknown }).value;
  }

  command(name: string, parameters: object): Promise<unknown> {
    this.#lastId += 1;
    const id = this.#lastId;
    const packet = Buffer.from(JSON.stringify([0, id, name, parameters]));
    this.#socket.write(Buffer.concat([Buffer.from(`${packet.length}:`), packet]));
    return new Promise((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
  }

  #receive(chunk: Buffer): void {
    this.#received = Buffer.concat([this.#received, chunk]);
    for (;;) {
      const colon = this.#received.indexOf(':');
      if (colon === -1) return;
      const end = colon + 1 + Number(this.#received.toString('latin1', 0, colon));
      if (this.#received.length < end) return;
      const packet = JSON.parse(this.#received.toString('utf8', colon + 1, end)) as Answer | object;
      this.#received = this.#received.subarray(end);
      // The first packet is a greeting, and no answer.
      if (Array.isArray(packet)) this.#settle(packet as Answer);
    }
  }

  #settle([, id, error, value]: Answer): void {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (error === null) waiting?.resolve(value);
    else waiting?.reject(new Error(`${error.error}: ${error.message}\n${error.stacktrace}`));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#socket.destroyed) await this.command('WebDriver:DeleteSession', {}).catch(() => undefined);
    this.#socket.destroy();
  }
}
