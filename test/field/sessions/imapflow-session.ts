/** One long session of imapflow: random commands in one connection, and a model of what must be there. */
import { setTimeout as pause } from 'node:timers/promises';
import type { FetchMessageObject, ImapFlow } from 'imapflow';
import { imapClient, type Person } from '../../../src/admin/demo/mail-clients.ts';
import { Random } from '../../fuzz/random.ts';

const FOLDERS = ['Long F', 'Long F/über'] as const;
const FLAGS = ['\\Seen', '\\Flagged', '\\Answered', '\\Draft', 'todo', '$Label1'] as const;
const FULL = 120;
const IDLE_MS = 300;
const MOST_MISTAKES = 20;

interface Kept {
  token: string;
  flags: Set<string>;
}

export interface SessionResult {
  commands: Record<string, number>;
  mistakes: string[];
  /** By folder: UID, Subject and flags of each message that must be there. */
  left: Record<string, [uid: number, token: string, flags: string[]][]>;
}

export interface SessionOptions {
  readonly person: Person;
  readonly seconds: number;
  readonly seed: number;
  readonly pauseMs: number;
}

export async function imapflowSession(options: SessionOptions): Promise<SessionResult> {
  const session = new Session(options);
  await session.run();
  return session.result();
}

type Action = (session: Session) => Promise<void>;

class Session {
  readonly #client: ImapFlow;
  readonly #random: Random;
  readonly #options: SessionOptions;
  readonly #commands: Record<string, number> = {};
  readonly #mistakes: string[] = [];
  readonly #model = new Map<string, Map<number, Kept>>(FOLDERS.map((folder) => [folder, new Map()]));
  #selected: string = FOLDERS[0];
  #letters = 0;

  constructor(options: SessionOptions) {
    this.#options = options;
    this.#client = imapClient(options.person);
    this.#random = new Random('imapflow', options.seed);
    this.#client.on('error', (error) => this.#mistakes.push(String(error)));
  }

  result(): SessionResult {
    const left = [...this.#model].map(([folder, kept]): [string, [number, string, string[]][]] => [
      folder,
      [...kept]
        .sort(([a], [b]) => a - b)
        .map(([uid, { token, flags }]): [number, string, string[]] => [uid, token, [...flags].sort()]),
    ]);
    return { commands: this.#commands, mistakes: this.#mistakes, left: Object.fromEntries(left) };
  }

  async run(): Promise<void> {
    await this.#client.connect();
    for (const folder of FOLDERS) await this.#said('CREATE', this.#client.mailboxCreate(folder));
    await this.select(FOLDERS[0]);
    const until = performance.now() + this.#options.seconds * 1_000;
    while (performance.now() < until && this.#mistakes.length < MOST_MISTAKES) {
      if (this.#here().size > FULL) await this.expunge();
      else await this.#random.pick(ACTIONS)(this);
      await pause(this.#options.pauseMs);
    }
    for (const folder of FOLDERS) {
      await this.select(folder);
      await this.fetch([...this.#here().keys()]);
    }
    await this.#said('LOGOUT', this.#client.logout());
  }

  async #said<T>(name: string, answer: Promise<T>): Promise<T> {
    this.#commands[name] = (this.#commands[name] ?? 0) + 1;
    const data = await answer;
    if (data === false) this.#mistakes.push(`${name} failed`);
    return data;
  }

  #in(folder: string): Map<number, Kept> {
    return this.#model.get(folder) ?? new Map();
  }

  #here(): Map<number, Kept> {
    return this.#in(this.#selected);
  }

  #some(most = 6): number[] {
    const uids = [...this.#here().keys()];
    if (uids.length === 0) return [];
    const drawn = Array.from({ length: 1 + this.#random.below(most) }, () => this.#random.pick(uids));
    return [...new Set(drawn)].sort((a, b) => a - b);
  }

  #compare(what: string, found: unknown, expected: unknown): void {
    const [is, shouldBe] = [JSON.stringify(found), JSON.stringify(expected)];
    if (is !== shouldBe) this.#mistakes.push(`${what} in ${this.#selected}: found ${is}, expected ${shouldBe}`);
  }

  async select(folder: string = this.#random.pick(FOLDERS)): Promise<void> {
    this.#selected = folder;
    const { exists } = await this.#said('SELECT', this.#client.mailboxOpen(folder));
    this.#compare('EXISTS', exists, this.#here().size);
  }

  async append(): Promise<void> {
    this.#letters += 1;
    const token = `f${this.#letters}`;
    const folder = this.#random.pick(FOLDERS);
    const flags = [...new Set([this.#random.pick(FLAGS), this.#random.pick(FLAGS)])].slice(this.#random.below(3));
    const text = 'text '.repeat(this.#random.below(400));
    const raw = `From: a@acme.test\r\nSubject: ${token}\r\nMessage-ID: <${token}@f>\r\n\r\n${text}\r\n`;
    const told = await this.#said('APPEND', this.#client.append(folder, raw, flags));
    if (told === false || told.uid === undefined) this.#mistakes.push('APPEND without APPENDUID');
    else this.#in(folder).set(told.uid, { token, flags: new Set(flags) });
  }

  /** Of all when `chosen` are all. */
  async fetch(chosen: readonly number[] = this.#some()): Promise<void> {
    if (chosen.length === 0) return;
    const range = chosen.length === this.#here().size ? '1:*' : chosen.join(',');
    const all = await this.#said(
      'FETCH',
      this.#client.fetchAll(range, { uid: true, flags: true, envelope: true }, { uid: true }),
    );
    const line = (uid: number, { token, flags }: Kept): string => `${uid} ${token} ${[...flags].sort().join(' ')}`;
    const read = ({ uid, envelope, flags = new Set() }: FetchMessageObject): string =>
      line(uid, { token: envelope?.subject ?? '', flags: new Set([...flags].filter((one) => one !== '\\Recent')) });
    const expected = chosen.map((uid) => line(uid, this.#here().get(uid) as Kept));
    this.#compare('FETCH', all.map(read).sort(), expected.sort());
  }

  async all(): Promise<void> {
    await this.fetch([...this.#here().keys()]);
  }

  async store(): Promise<void> {
    const chosen = this.#some();
    if (chosen.length === 0) return;
    const flags = [...new Set([this.#random.pick(FLAGS), this.#random.pick(FLAGS)])];
    const [mode, say] = this.#random.pick([
      ['+', this.#client.messageFlagsAdd],
      ['-', this.#client.messageFlagsRemove],
      ['=', this.#client.messageFlagsSet],
    ] as const);
    await this.#said('STORE', say.call(this.#client, chosen.join(','), flags, { uid: true }));
    for (const uid of chosen) {
      const kept = this.#here().get(uid) as Kept;
      const added = new Set([...(mode === '=' ? [] : kept.flags), ...flags]);
      kept.flags = mode === '-' ? new Set([...kept.flags].filter((flag) => !flags.some((one) => one === flag))) : added;
    }
  }

  async transfer(name: 'COPY' | 'MOVE'): Promise<void> {
    const chosen = this.#some();
    if (chosen.length === 0) return;
    const target = FOLDERS.find((folder) => folder !== this.#selected) ?? FOLDERS[0];
    const say = name === 'COPY' ? this.#client.messageCopy : this.#client.messageMove;
    const told = await this.#said(name, say.call(this.#client, chosen.join(','), target, { uid: true }));
    const uids = told === false ? new Map<number, number>() : (told.uidMap ?? new Map<number, number>());
    this.#compare(`COPYUID of ${name}`, [...uids.keys()].sort(), [...chosen].sort());
    for (const [source, uid] of uids) {
      const { token, flags } = this.#here().get(source) as Kept;
      this.#in(target).set(uid, { token, flags: new Set(flags) });
      if (name === 'MOVE') this.#here().delete(source);
    }
  }

  async search(): Promise<void> {
    const [flag, query] = this.#random.pick([
      ['\\Seen', { seen: true }],
      ['\\Flagged', { flagged: true }],
      ['todo', { keyword: 'todo' }],
    ] as const);
    const found = await this.#said('SEARCH', this.#client.search(query, { uid: true }));
    const expected = [...this.#here()].filter(([, { flags }]) => flags.has(flag)).map(([uid]) => uid);
    this.#compare(
      `SEARCH ${flag}`,
      found,
      expected.sort((a, b) => a - b),
    );
  }

  async expunge(): Promise<void> {
    const chosen = this.#some(this.#here().size > FULL ? FULL : 20);
    if (chosen.length === 0) return;
    await this.#said('EXPUNGE', this.#client.messageDelete(chosen.join(','), { uid: true }));
    for (const uid of chosen) this.#here().delete(uid);
  }

  async noop(): Promise<void> {
    await this.#said('NOOP', this.#client.noop());
  }

  async status(): Promise<void> {
    const folder = this.#random.pick(FOLDERS);
    const told = await this.#said('STATUS', this.#client.status(folder, { messages: true, unseen: true }));
    const kept = [...this.#in(folder).values()];
    const unseen = kept.filter(({ flags }) => !flags.has('\\Seen')).length;
    if (told !== false) this.#compare(`STATUS of ${folder}`, [told.messages, told.unseen], [kept.length, unseen]);
  }

  /** Until the next command ends it. */
  async idle(): Promise<void> {
    const idling = this.#said('IDLE', this.#client.idle());
    await pause(IDLE_MS);
    await this.noop();
    await idling;
  }
}

const times = (count: number, action: Action): Action[] => Array.from({ length: count }, () => action);
const ACTIONS: readonly Action[] = [
  ...times(12, (session) => session.append()),
  ...times(15, (session) => session.fetch()),
  ...times(18, (session) => session.store()),
  ...times(6, (session) => session.transfer('COPY')),
  ...times(8, (session) => session.transfer('MOVE')),
  ...times(8, (session) => session.search()),
  ...times(5, (session) => session.noop()),
  ...times(5, (session) => session.status()),
  ...times(5, (session) => session.select()),
  ...times(3, (session) => session.expunge()),
  ...times(3, (session) => session.all()),
  ...times(1, (session) => session.idle()),
];
