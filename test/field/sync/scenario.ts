/**
 * What happens on both sides, the same at every server and in every run: which message is meant is said by its place in the
 * corpus, never by a UID or the name of a file.
 */
import { FOLDERS, messages } from './folders.ts';
import type { Maildir } from './maildir.ts';
import type { Remote } from './remote.ts';
import { digestOf } from './tree.ts';

/** Messages that are in each folder to begin with, and those that each addition brings there. */
const FIRST = 26;
const MORE = 4;
const MANY = 6;

export interface Sides {
  readonly remote: Remote;
  readonly local: Maildir;
}

export const FOLDERS_TO_GO = { remote: 'Gone there', local: 'Gone here 深い', renamed: 'Before' } as const;
const FOLDERS_TO_COME = { remote: 'New there/Ü', local: 'New here/Ё' } as const;
/** Of the first messages of a folder each has a fate of its own; those behind them are left alone. */
const FLAGS = ['\\Seen', '\\Flagged', '\\Answered', '\\Draft'] as const;
const LETTERS = ['S', 'F', 'R', 'D'] as const;

/** Which flags a message has to begin with, drawn by its number. */
const drawn = <T>(of: readonly T[], number: number): T[] => of.filter((_, n) => (number >> n) % 2 === 1);

export class Scenario {
  readonly #messages: readonly Buffer[];
  /** Folders go and are renamed, too. */
  readonly #foldersGo: boolean;
  #next = 0;
  /** The first messages by folder, in their order. */
  readonly #first = new Map<string, Buffer[]>();

  constructor({ leftOut, foldersGo }: { leftOut: RegExp; foldersGo: boolean }) {
    this.#messages = messages(leftOut);
    this.#foldersGo = foldersGo;
  }

  #take(): Buffer {
    const raw = this.#messages[this.#next];
    if (raw === undefined) throw new Error('the corpus is too small for the scenario');
    this.#next += 1;
    return raw;
  }

  get used(): number {
    return this.#next;
  }

  /** Before anybody synchronised. */
  async begin(remote: Remote): Promise<void> {
    for (const name of [...FOLDERS, FOLDERS_TO_GO.remote, FOLDERS_TO_GO.local, FOLDERS_TO_GO.renamed])
      if (name !== 'INBOX') await remote.create(name);
    for (const folder of FOLDERS) {
      const first = Array.from({ length: FIRST }, () => this.#take());
      this.#first.set(folder, first);
      for (const [n, raw] of first.entries()) {
        const keywords = n % 3 === 0 ? ['$Label1'] : n % 5 === 0 ? ['todo'] : [];
        await remote.append(folder, raw, [...drawn(FLAGS, n), ...keywords]);
      }
    }
    for (let n = 0; n < MORE; n += 1) await remote.append(FOLDERS_TO_GO.renamed, this.#take(), []);
  }

  /** Both sides change what both know. Then each adds, makes folders, and removes some. */
  async diverge({ remote, local }: Sides): Promise<void> {
    for (const [n, folder] of FOLDERS.entries()) {
      const others = [1, 2, 3].map((step) => FOLDERS[(n + step) % FOLDERS.length] as string);
      await this.#divergeLocally(local, folder, others);
      await this.#divergeRemotely(remote, folder, others);
    }
    await this.add({ remote, local }, MORE);
    await remote.create(FOLDERS_TO_COME.remote);
    await remote.append(FOLDERS_TO_COME.remote, this.#take(), ['\\Seen', 'todo']);
    await local.create('New here');
    await local.create(FOLDERS_TO_COME.local);
    await local.add(FOLDERS_TO_COME.local, this.#take(), 'S');
    if (!this.#foldersGo) return;
    await remote.removeFolder(FOLDERS_TO_GO.remote);
    await local.removeFolder(FOLDERS_TO_GO.local);
    await remote.rename(FOLDERS_TO_GO.renamed, 'After Ω');
  }

  async #divergeLocally(local: Maildir, folder: string, [next, , third]: readonly string[]): Promise<void> {
    const files = await local.find(folder);
    const at = (n: number): string | null => files.get(digestOf(this.#first.get(folder)?.[n] as Buffer)) ?? null;
    const toggle = async (n: number, flags: string): Promise<void> => {
      const file = at(n);
      if (file !== null) await local.toggle(folder, file, flags);
    };
    const remove = async (n: number): Promise<void> => {
      const file = at(n);
      if (file !== null) await local.remove(folder, file);
    };
    const move = async (n: number, target = ''): Promise<void> => {
      const file = at(n);
      if (file !== null) await local.move(folder, file, target);
    };
    await toggle(0, 'F');
    await toggle(1, 'S');
    await toggle(2, 'FS');
    await remove(3);
    await toggle(4, 'F');
    await remove(5);
    await move(6, next);
    await move(8, third);
    await toggle(9, 'T');
    await toggle(14, 'F');
    await remove(15);
    await toggle(16, 'DR');
  }

  async #divergeRemotely(remote: Remote, folder: string, others: readonly string[]): Promise<void> {
    const [next = '', second = ''] = others;
    await remote.open(folder);
    const uids = await remote.find();
    const at = (n: number): number => uids.get(digestOf(this.#first.get(folder)?.[n] as Buffer)) ?? 0;
    await remote.flag(at(0), ['\\Answered']);
    await remote.flag(at(1), ['\\Seen']);
    await remote.flag(at(2), ['\\Draft'], ['\\Seen']);
    await remote.flag(at(3), ['\\Flagged', 'extra']);
    await remote.remove(at(4));
    await remote.remove(at(5));
    await remote.move(at(7), second);
    await remote.move(at(8), second);
    await remote.flag(at(10), ['\\Deleted']);
    await remote.flag(at(11), ['extra', '$Forwarded'], ['$Label1', 'todo']);
    await remote.copy(at(12), next);
    await remote.flag(at(13), ['\\Flagged']);
    await remote.move(at(13), second);
    await remote.move(at(14), second);
    await remote.move(at(15), next);
  }

  /** So many messages to each folder, on both sides. */
  async add({ remote, local }: { remote: Remote; local: Maildir | null }, each = MANY): Promise<void> {
    for (const folder of FOLDERS)
      for (let n = 0; n < each; n += 1) {
        await remote.append(folder, this.#take(), drawn(FLAGS, n));
        await local?.add(
          folder,
          this.#take(),
          drawn(LETTERS, n + 1)
            .sort()
            .join(''),
        );
      }
  }
}
