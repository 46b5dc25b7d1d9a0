/** The local side: folders of Maildirs inside each other, and what a mail program does in them. */
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { decodeMailboxName, encodeMailboxName } from '../../../src/imap/wire/mailbox-name.ts';
import { digestOf, type Tree, treeOf } from './tree.ts';

const nameOf = (path: string): string => decodeMailboxName(Buffer.from(path, 'latin1'));

export class Maildir {
  readonly #root: string;
  #made = 0;

  constructor(root: string) {
    this.#root = root;
  }

  #path(folder: string, ...more: string[]): string {
    return join(this.#root, encodeMailboxName(folder), ...more);
  }

  async folders(): Promise<string[]> {
    const entries = await readdir(this.#root, { recursive: true });
    return entries.filter((path) => path.endsWith('/cur')).map((path) => nameOf(dirname(path)));
  }

  async #files(folder: string): Promise<string[]> {
    const inside = await Promise.all(
      ['cur', 'new'].map(async (one) => (await readdir(this.#path(folder, one))).map((name) => join(one, name))),
    );
    return inside.flat();
  }

  /** All files, with the flags in their names: it says the same as long as nobody changed anything. */
  async state(): Promise<string[]> {
    const folders = await this.folders();
    const lists = await Promise.all(
      folders.map(async (folder) => (await this.#files(folder)).map((one) => `${folder}/${one}`)),
    );
    return lists.flat().sort();
  }

  /** While a program makes folders, too. */
  async count(): Promise<number> {
    const entries = await readdir(this.#root, { recursive: true });
    return entries.filter((path) => /\/(?:cur|new)\/[^/]+$/.test(path)).length;
  }

  async tree(): Promise<Tree> {
    const folders = await this.folders();
    return treeOf(
      await Promise.all(
        folders.map(async (folder): Promise<[string, string[]]> => {
          const files = await this.#files(folder);
          const messages = files.map(
            async (file) => `${digestOf(await readFile(this.#path(folder, file)))} ${flagsOf(file)}`,
          );
          return [folder, await Promise.all(messages)];
        }),
      ),
    );
  }

  async create(folder: string): Promise<void> {
    for (const one of ['cur', 'new', 'tmp']) await mkdir(this.#path(folder, one), { recursive: true });
  }

  async removeFolder(folder: string): Promise<void> {
    await rm(this.#path(folder), { recursive: true });
  }

  /** `flags`: letters of Maildir, such as `FS`. */
  async add(folder: string, raw: Buffer, flags: string): Promise<void> {
    const text = raw.toString('latin1').replace(/\r\n/g, '\n');
    await writeFile(this.#path(folder, 'cur', this.#newName(flags)), text, 'latin1');
  }

  #newName(flags: string): string {
    this.#made += 1;
    return `1768478400.M${String(this.#made).padStart(6, '0')}.field:2,${flags}`;
  }

  /** Where messages are, by what they are. */
  async find(folder: string): Promise<Map<string, string>> {
    const files = await this.#files(folder);
    return new Map(
      await Promise.all(
        files.map(
          async (file): Promise<[string, string]> => [digestOf(await readFile(this.#path(folder, file))), file],
        ),
      ),
    );
  }

  /** Gives a message other flags; those that are there already are taken away. */
  async toggle(folder: string, file: string, flags: string): Promise<void> {
    const [base = '', before = ''] = file.replace(/^\w+\//, '').split(':2,');
    const now = [...'DFPRST'].filter((flag) => before.includes(flag) !== flags.includes(flag)).join('');
    await rename(this.#path(folder, file), this.#path(folder, 'cur', `${base}:2,${now}`));
  }

  async remove(folder: string, file: string): Promise<void> {
    await rm(this.#path(folder, file));
  }

  /** As mail programs do: under a new name, which says nothing of where it was. */
  async move(folder: string, file: string, target: string): Promise<void> {
    await rename(this.#path(folder, file), this.#path(target, 'cur', this.#newName(flagsOf(file))));
  }
}

/** The standard ones, sorted; keywords have other letters. */
function flagsOf(file: string): string {
  const letters = /:2,([A-Z]*)/.exec(file)?.[1] ?? '';
  return [...letters]
    .filter((letter) => 'DFRST'.includes(letter))
    .sort()
    .join('');
}
