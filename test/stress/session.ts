/** One client of the stress run: its connection, what it has selected, and what it has said that has no answer yet. */
import { ImapClient } from '../support/imap-client.ts';
import { type Ledger, type Place, placeOf } from './ledger.ts';
import { Model, numbersIn, sortedFlags } from './model.ts';

export interface Server {
  port(): number;
  readonly ca: string;
  readonly user: string;
  readonly password: string;
}

/** The connection is gone; whatever was said last may have happened or not. */
export class ConnectionLost extends Error {
  override readonly name = 'ConnectionLost';
}

/** What a client turns on, so that each way of telling is heard by some. */
export const KINDS = ['plain', 'condstore', 'qresync', 'notify'] as const;
export type Kind = (typeof KINDS)[number];

const NUMBERED = /^(?:fetch|store|search|sort|thread) /;
const RECONNECT_MS = 100;
/** So that what was sent is with the server before the connection ends. */
const HALF_MS = 10;

export class StressSession {
  readonly name: string;
  readonly kind: Kind;
  readonly ledger: Ledger;
  model: Model | null = null;
  /** Of mailboxes selected before, for QRESYNC. */
  readonly remembered = new Map<string, Model>();
  readonly #server: Server;
  #client: ImapClient | null = null;

  constructor(options: { name: string; kind: Kind; ledger: Ledger; server: Server }) {
    this.name = options.name;
    this.kind = options.kind;
    this.ledger = options.ledger;
    this.#server = options.server;
  }

  mistake(text: string): void {
    this.ledger.mistake(`${this.name}: ${text}`);
  }

  /** Connects, as often as it takes. */
  async connect(): Promise<void> {
    for (;;) {
      try {
        const { ca, user, password } = this.#server;
        this.#client = await ImapClient.open({ port: this.#server.port(), ca });
        const { status, text } = await this.#said(`login ${user} "${password}"`);
        if (status !== 'OK') this.mistake(`login → ${status} ${text}`);
        if (this.kind === 'condstore') await this.#said('enable condstore');
        if (this.kind === 'qresync') await this.#said('enable qresync');
        if (this.kind === 'notify')
          await this.#said('notify set (selected-delayed (MessageNew (uid flags) MessageExpunge FlagChange))');
        return;
      } catch (error) {
        if (!isLost(error)) throw error;
        await new Promise((resolve) => setTimeout(resolve, RECONNECT_MS));
      }
    }
  }

  /** Throws ConnectionLost when the connection ends before the answer. */
  async #said(...parts: (string | Buffer)[]) {
    const client = this.#client;
    if (client === null) throw new ConnectionLost('not connected');
    try {
      return await client.command(...parts);
    } catch (cause) {
      if (!client.ended) this.mistake(`${String(cause)}`);
      this.drop();
      throw new ConnectionLost('the connection ended', { cause });
    }
  }

  /** Without a goodbye. */
  drop(): void {
    this.#client?.[Symbol.dispose]();
    this.#client = null;
    this.#forgetSelected();
  }

  #forgetSelected(): void {
    if (this.model !== null && this.model.unknownRange() === null) this.remembered.set(this.model.box, this.model);
    this.model = null;
  }

  /**
   * Says a command and learns from the answer. `adds`: letters that may be there when no answer comes, null for one that
   * nobody has read; `moves`: places that may be left then; `next`: what is selected once nothing else is. A BAD, or a NO for
   * no good reason, is a mistake.
   */
  async say(
    parts: readonly (string | Buffer)[],
    {
      adds = [],
      moves = [],
      next = null,
    }: { adds?: readonly (string | null)[]; moves?: readonly Place[]; next?: Model | null } = {},
  ): Promise<{ ok: boolean; text: string; lines: string[] }> {
    const safe = moves.filter((place) => this.ledger.wasSafe(place));
    for (const place of moves) this.ledger.mayGo(place);
    const leaving = safe.map((place) => ({ place, touches: this.ledger.touches(place) }));
    try {
      const { status, text, lines } = await this.#said(...parts);
      const first = String(parts[0]);
      for (const line of lines) {
        if (line.startsWith('OK [CLOSED]')) this.#forgetSelected();
        this.model ??= next;
        this.model?.take(line, { keepsNumbers: NUMBERED.test(first) });
      }
      this.model?.take(text, { keepsNumbers: false });
      if (status === 'BAD' || (status === 'NO' && !isAllowed(text))) this.mistake(`${first} → ${status} ${text}`);
      return { ok: status === 'OK', text, lines };
    } catch (error) {
      if (error instanceof ConnectionLost) this.#unanswered(adds, leaving);
      throw error;
    }
  }

  #unanswered(adds: readonly (string | null)[], leaving: readonly { place: Place; touches: number }[]): void {
    for (const token of adds) {
      if (token === null) this.ledger.unsureUnread(1);
      else this.ledger.unsure(token);
    }
    for (const { place, touches } of leaving) this.ledger.unsureMove(place, this.ledger.tokenAt(place) ?? '', touches);
  }

  /** Selects, and learns the UIDs and flags of everything; with QRESYNC from what it knew before. */
  async select(box: string, readOnly: boolean): Promise<void> {
    const model = new Model({ box, ledger: this.ledger, name: this.name });
    const same = this.model?.box === box ? this.model : null;
    const before = this.kind === 'qresync' ? (same ?? this.remembered.get(box) ?? null) : null;
    const known = before === null ? '' : ` (qresync (${before.uidValidity} ${before.highestModseq || 1}))`;
    const { ok, lines } = await this.say([`${readOnly ? 'examine' : 'select'} ${box}${known}`], { next: model });
    if (!ok) {
      this.model = null;
      return;
    }
    const upTo = model.highestModseq;
    await this.learn('1:*');
    if (before !== null && before.uidValidity === model.uidValidity) this.#compare(before, lines, upTo);
  }

  /** What was known, brought up to date by what SELECT told, must be what is there; what changed after `upTo` was told later. */
  #compare(before: Model, lines: readonly string[], upTo: number): void {
    const now = this.model;
    if (now === null) return;
    const known = new Map(before.messages.map(({ uid, flags }) => [uid, flags]));
    for (const line of lines) {
      const gone = /^VANISHED (?:\(EARLIER\) )?(.*)$/.exec(line)?.[1];
      for (const uid of gone === undefined ? [] : numbersIn(gone)) known.delete(uid);
      const changed = /FETCH \(UID (\d+) FLAGS \(([^)]*)\)/.exec(line);
      if (changed !== null) known.set(Number(changed[1]), changed[2]?.split(' ').sort() ?? []);
    }
    const there = new Set(now.uids());
    for (const uid of known.keys())
      if (uid !== null && !there.has(uid)) this.mistake(`QRESYNC did not say that ${uid} left`);
    for (const { uid, flags, modseq } of now.messages) {
      const said = known.get(uid);
      // What came after SELECT was told by the listing.
      if (said === undefined || modseq > upTo) continue;
      if (plain(said) !== plain(flags)) this.mistake(`QRESYNC: ${uid} has ${plain(flags)}, known was ${plain(said)}`);
    }
  }

  /** Asks for UIDs and flags until all are known. */
  async learn(range: string | null = this.model?.unknownRange() ?? null): Promise<void> {
    const items = this.kind === 'plain' ? '(uid flags)' : '(uid flags modseq)';
    for (let next = range; next !== null && this.model !== null; next = this.model.unknownRange()) {
      if (this.model.messages.length === 0) return;
      const { ok } = await this.say([`fetch ${next} ${items}`]);
      if (!ok) return;
    }
  }

  /** Half a message, and the client is gone. Nothing may be left of it. */
  async dieInAppend(box: string, message: Buffer): Promise<void> {
    this.#client?.send(`half append ${box} {${message.length}+}\r\n`);
    this.#client?.send(message.subarray(0, message.length / 2));
    await new Promise((resolve) => setTimeout(resolve, HALF_MS));
    this.drop();
  }

  /** Waits for news as a mail program does. */
  async idle(ms: number): Promise<void> {
    const client = this.#client;
    if (client === null) throw new ConnectionLost('not connected');
    client.send('idle idle\r\n');
    let sent = false;
    for (;;) {
      const line = await client.line();
      if (line === '<closed>') {
        this.drop();
        throw new ConnectionLost('the connection ended');
      }
      if (line.startsWith('* ')) this.model?.take(line.slice(2), { keepsNumbers: false });
      if (line.startsWith('+ ') && !sent) {
        sent = true;
        setTimeout(() => client.send('done\r\n'), ms);
      }
      if (line.startsWith('idle ')) return;
    }
  }

  place(uid: number): Place {
    return placeOf(this.model?.uidValidity ?? 0, uid);
  }
}

const plain = (flags: readonly string[] | null): string => sortedFlags(flags ?? []).join(' ');

/** Somebody else was faster. */
function isAllowed(text: string): boolean {
  return /^\[(?:TRYCREATE|NONEXISTENT|NOPERM|ALREADYEXISTS|EXPUNGEISSUED|INUSE|LIMIT)\]/.test(text);
}

function isLost(error: unknown): boolean {
  return error instanceof ConnectionLost || (error instanceof Error && 'code' in error);
}
