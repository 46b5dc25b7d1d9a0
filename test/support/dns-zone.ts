/** A DNS server on loopback that knows what a test tells it: TXT, A, AAAA and MX records, names that fail, names that are silent. */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';

export type RecordType = 'TXT' | 'A' | 'AAAA' | 'MX';
/** `servfail`: the server cannot say now. `silent`: no answer at all. */
export type Trouble = 'servfail' | 'silent';

const CODES: Readonly<Record<RecordType, number>> = { A: 1, MX: 15, TXT: 16, AAAA: 28 };
const NAMES = new Map(Object.entries(CODES).map(([name, code]) => [code, name as RecordType]));
const NO_ERROR = 0;
const SERVER_FAILURE = 2;
const NO_SUCH_NAME = 3;
const QUESTION_TAIL_BYTES = 4;
const HEADER_BYTES = 12;

export class DnsZone implements AsyncDisposable {
  readonly #socket: Socket;
  readonly #records = new Map<string, string[]>();
  readonly #troubles = new Map<string, Trouble>();
  /** Questions asked, as `name TYPE`. */
  readonly asked: string[] = [];

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('message', (query, from) => {
      const answer = this.#answer(query);
      if (answer !== null) socket.send(answer, from.port, from.address);
    });
  }

  static async open(): Promise<DnsZone> {
    const socket = createSocket('udp4');
    socket.bind(0, '127.0.0.1');
    await once(socket, 'listening');
    return new DnsZone(socket);
  }

  /** `address:port`, as a resolver takes it. */
  get server(): string {
    return `127.0.0.1:${this.#socket.address().port}`;
  }

  /** Sets all records of a name and type. MX as `10 host`. */
  set(name: string, type: RecordType, ...values: string[]): void {
    this.#records.set(`${name.toLowerCase()} ${type}`, values);
  }

  /** Every question about a name meets it. */
  trouble(name: string, what: Trouble | null): void {
    if (what === null) this.#troubles.delete(name.toLowerCase());
    else this.#troubles.set(name.toLowerCase(), what);
  }

  clear(): void {
    this.#records.clear();
    this.#troubles.clear();
    this.asked.length = 0;
  }

  #answer(query: Buffer): Buffer | null {
    const { name, end } = readName(query, HEADER_BYTES);
    const type = NAMES.get(query.readUInt16BE(end)) ?? 'A';
    this.asked.push(`${name} ${type}`);
    const trouble = this.#troubles.get(name);
    if (trouble === 'silent') return null;
    const question = query.subarray(HEADER_BYTES, end + QUESTION_TAIL_BYTES);
    if (trouble === 'servfail') return reply(query, question, SERVER_FAILURE, []);
    const values = this.#records.get(`${name} ${type}`) ?? [];
    const isKnown = [...this.#records.keys()].some((key) => key.startsWith(`${name} `));
    return reply(query, question, isKnown ? NO_ERROR : NO_SUCH_NAME, values.map(recordOf(type)));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#socket, 'close');
    this.#socket.close();
    await closed;
  }
}

function readName(message: Buffer, start: number): { name: string; end: number } {
  const labels: string[] = [];
  let at = start;
  for (let length = message[at] ?? 0; length > 0; length = message[at] ?? 0) {
    labels.push(message.toString('latin1', at + 1, at + 1 + length));
    at += length + 1;
  }
  return { name: labels.join('.').toLowerCase(), end: at + 1 };
}

function writeName(name: string): Buffer {
  const labels = name.split('.').map((label) => Buffer.concat([Buffer.from([label.length]), Buffer.from(label)]));
  return Buffer.concat([...labels, Buffer.from([0])]);
}

function recordOf(type: RecordType): (value: string) => Buffer {
  return (value) => {
    const data = dataOf(type, value);
    const head = Buffer.alloc(12);
    // A pointer to the name in the question.
    head.writeUInt16BE(0xc00c, 0);
    head.writeUInt16BE(CODES[type], 2);
    head.writeUInt16BE(1, 4);
    head.writeUInt32BE(0, 6);
    head.writeUInt16BE(data.length, 10);
    return Buffer.concat([head, data]);
  };
}

function dataOf(type: RecordType, value: string): Buffer {
  if (type === 'A') return Buffer.from(value.split('.').map(Number));
  if (type === 'AAAA')
    return Buffer.from(value.split(':').flatMap((group) => [...Buffer.from(group.padStart(4, '0'), 'hex')]));
  if (type === 'TXT') {
    const pieces = value.match(/[\s\S]{1,255}/g) ?? [''];
    return Buffer.concat(pieces.flatMap((piece) => [Buffer.from([piece.length]), Buffer.from(piece)]));
  }
  const [preference = '0', host = ''] = value.split(' ');
  return Buffer.concat([Buffer.from([0, Number(preference)]), writeName(host)]);
}

function reply(query: Buffer, question: Buffer, code: number, answers: readonly Buffer[]): Buffer {
  const head = Buffer.alloc(HEADER_BYTES);
  query.copy(head, 0, 0, 2);
  head.writeUInt16BE(0x8180 | code, 2);
  head.writeUInt16BE(1, 4);
  head.writeUInt16BE(answers.length, 6);
  return Buffer.concat([head, question, ...answers]);
}
