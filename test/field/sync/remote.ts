/** The side of the server: what another mail program does there, which is imapflow. */
import { type FetchMessageObject, ImapFlow } from 'imapflow';
import type { Place } from '../../bench/imap/raw-client.ts';
import { digestOf, type Tree, treeOf } from './tree.ts';

/** As Maildir writes them. */
const LETTERS: Readonly<Record<string, string>> = {
  '\\Draft': 'D',
  '\\Flagged': 'F',
  '\\Answered': 'R',
  '\\Seen': 'S',
  '\\Deleted': 'T',
};

export class Remote implements AsyncDisposable {
  readonly #client: ImapFlow;

  private constructor(client: ImapFlow) {
    this.#client = client;
  }

  static async connect({ port, ca, user, password }: Place): Promise<Remote> {
    const client = new ImapFlow({
      ...{ host: '127.0.0.1', port, secure: true, auth: { user, pass: password } },
      ...{ tls: { ca, servername: 'localhost' }, logger: false, disableAutoIdle: true },
    });
    // The command that it meets says so as well.
    client.on('error', () => undefined);
    await client.connect();
    return new Remote(client);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client.logout();
  }

  async folders(): Promise<string[]> {
    // Names that only have others below them are no folders.
    const all = (await this.#client.list()).filter(({ flags }) => !flags.has('\\Noselect'));
    return all.map(({ path }) => path);
  }

  async create(folder: string): Promise<void> {
    await this.#client.mailboxCreate(folder);
  }

  async removeFolder(folder: string): Promise<void> {
    await this.#client.mailboxDelete(folder);
  }

  async rename(folder: string, name: string): Promise<void> {
    await this.#client.mailboxRename(folder, name);
  }

  async append(folder: string, raw: Buffer, flags: readonly string[]): Promise<void> {
    const done = await this.#client.append(folder, raw, [...flags]);
    if (done === false) throw new Error(`APPEND to ${folder} failed`);
  }

  async open(folder: string): Promise<void> {
    await this.#client.mailboxOpen(folder);
  }

  /** Of the folder that is open: UIDs by what messages are. */
  async find(): Promise<Map<string, number>> {
    const all = await this.#all();
    return new Map(all.map(({ uid, source }) => [digestOf(source as Buffer), uid]));
  }

  async #all(): Promise<FetchMessageObject[]> {
    if (this.#client.mailbox === false || this.#client.mailbox.exists === 0) return [];
    return this.#client.fetchAll('1:*', { uid: true, flags: true, source: true });
  }

  async flag(uid: number, add: readonly string[], remove: readonly string[] = []): Promise<void> {
    const range = String(uid);
    if (add.length > 0) await this.#client.messageFlagsAdd(range, [...add], { uid: true });
    if (remove.length > 0) await this.#client.messageFlagsRemove(range, [...remove], { uid: true });
  }

  async remove(uid: number): Promise<void> {
    await this.#client.messageDelete(String(uid), { uid: true });
  }

  async move(uid: number, target: string): Promise<void> {
    await this.#client.messageMove(String(uid), target, { uid: true });
  }

  async copy(uid: number, target: string): Promise<void> {
    await this.#client.messageCopy(String(uid), target, { uid: true });
  }

  /** `keywords`: those beside the standard flags too. */
  async tree({ keywords }: { keywords: boolean }): Promise<Tree> {
    const folders: [string, string[]][] = [];
    for (const folder of await this.folders()) {
      await this.open(folder);
      const all = await this.#all();
      folders.push([folder, all.map((one) => `${digestOf(one.source as Buffer)} ${flagsOf(one, keywords)}`)]);
    }
    return treeOf(folders);
  }

  /** UIDs and flags of everything, and how each folder numbers: it says the same as long as nobody changed anything. */
  async state(): Promise<string[]> {
    const lines: string[] = [];
    for (const folder of await this.folders()) {
      await this.open(folder);
      const all = this.#client.mailbox === false || this.#client.mailbox.exists === 0 ? [] : await this.#flags();
      lines.push(`${folder} ${this.#client.mailbox === false ? '' : this.#client.mailbox.uidValidity}`);
      lines.push(...all.map((one) => `${folder}/${one.uid} ${flagsOf(one, true)}`));
    }
    return lines.sort();
  }

  #flags(): Promise<FetchMessageObject[]> {
    return this.#client.fetchAll('1:*', { uid: true, flags: true });
  }

  async uidValidities(): Promise<string[]> {
    const found: string[] = [];
    for (const folder of await this.folders()) {
      const status = await this.#client.status(folder, { uidValidity: true });
      found.push(`${folder} ${status === false ? 'none' : status.uidValidity}`);
    }
    return found.sort();
  }
}

function flagsOf({ flags = new Set() }: FetchMessageObject, keywords: boolean): string {
  const all = [...flags].filter((flag) => flag !== '\\Recent');
  const letters = all.flatMap((flag) => LETTERS[flag] ?? []).sort();
  const others = keywords ? all.filter((flag) => LETTERS[flag] === undefined).sort() : [];
  return [letters.join(''), ...others].join(' ').trimEnd();
}
