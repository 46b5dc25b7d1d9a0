/** Mail programs that do nothing but wait: each must hear of every message that comes, one after the other. */
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { connect, type TLSSocket } from 'node:tls';
import type { Person } from '../../../src/admin/demo/mail-clients.ts';

export class Idler implements Disposable {
  readonly name: string;
  readonly mistakes: string[] = [];
  /** Messages in the inbox, as it was told. */
  exists = 0;
  readonly #socket: TLSSocket;
  readonly #lines: AsyncIterableIterator<string>;
  #ended = false;
  #listening: Promise<void> | null = null;
  #changed: () => void = () => undefined;

  private constructor(name: string, socket: TLSSocket) {
    this.name = name;
    this.#socket = socket;
    const reader = createInterface({ input: socket });
    this.#lines = reader[Symbol.asyncIterator]();
  }

  static async open(name: string, { site, mailbox, password }: Person): Promise<Idler> {
    const socket = connect({ host: '127.0.0.1', port: site.ports.imaps, ca: site.ca, servername: 'localhost' });
    await once(socket, 'secureConnect');
    const idler = new Idler(name, socket);
    // Whoever waits for a line sees the end of the connection.
    socket.on('error', () => undefined);
    await idler.#say('a', `LOGIN ${mailbox} "${password}"`);
    await idler.#say('b', 'SELECT INBOX');
    return idler;
  }

  async #say(tag: string, command: string): Promise<void> {
    this.#socket.write(`${tag} ${command}\r\n`);
    for (let line = await this.#line(); !line.startsWith(`${tag} OK`); line = await this.#line())
      if (line.startsWith(`${tag} `)) throw new Error(`${this.name}: ${command} → ${line}`);
  }

  async #line(): Promise<string> {
    const { value, done } = await this.#lines.next();
    if (done === true) throw new Error(`${this.name}: the connection ended`);
    const count = /^\* (\d+) EXISTS/.exec(value)?.[1];
    if (count === undefined) return value;
    if (this.#listening !== null && Number(count) !== this.exists + 1)
      this.mistakes.push(`${this.name}: ${count} EXISTS after ${this.exists}`);
    this.exists = Number(count);
    return value;
  }

  /** Resolves when the server agreed. */
  async idle(): Promise<void> {
    this.#socket.write('idle IDLE\r\n');
    while (!(await this.#line()).startsWith('+'));
    this.#listening = this.#listen();
  }

  async #listen(): Promise<void> {
    try {
      while (!(await this.#line()).startsWith('idle ')) this.#changed();
    } catch (error) {
      this.mistakes.push(String(error));
      this.#ended = true;
      this.#changed();
    }
  }

  /** Resolves when it was told of so many, or never will be. */
  async hears(count: number): Promise<void> {
    while (this.exists < count && !this.#ended)
      await new Promise<void>((resolve) => {
        this.#changed = resolve;
      });
  }

  /** DONE, then LOGOUT and its goodbye. */
  async leave(): Promise<void> {
    if (this.#ended) return;
    this.#socket.write('DONE\r\n');
    await this.#listening;
    this.#socket.write('z LOGOUT\r\n');
    const [goodbye, answer] = [await this.#line(), await this.#line()];
    if (!goodbye.startsWith('* BYE') || !answer.startsWith('z OK'))
      this.mistakes.push(`${this.name}: LOGOUT → ${goodbye}, ${answer}`);
    const { done } = await this.#lines.next();
    if (done !== true) this.mistakes.push(`${this.name}: something was said after LOGOUT`);
  }

  [Symbol.dispose](): void {
    this.#socket.destroy();
  }
}
