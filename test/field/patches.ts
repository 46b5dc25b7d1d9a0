/** A series of patches as `git format-patch` makes them, and `git am` of what arrived: the same tree. */
import { randomBytes } from 'node:crypto';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { asLines } from './letters.ts';
import type { People } from './openpgp.ts';
import { type HowToRun, runProgram, succeed } from './programs.ts';

export interface Series {
  /** In their order, the cover letter first. */
  readonly raws: readonly Buffer[];
  /** What is wrong when they are applied to where they begin. */
  apply(arrived: readonly Buffer[]): Promise<readonly string[]>;
}

const COMMITS = 5;

export async function patchSeries({ from, to }: People, directory: string): Promise<Series> {
  const [work, out] = [join(directory, 'work'), join(directory, 'out')];
  await mkdir(work, { recursive: true });
  const how: HowToRun = {
    home: directory,
    cwd: work,
    variables: { GIT_CONFIG_GLOBAL: '/dev/null', GIT_CONFIG_SYSTEM: '/dev/null' },
  };
  const git = async (...args: string[]): Promise<string> => (await succeed('git', args, how)).stdout.toString().trim();
  const file = (name: string, content: string | Buffer) => writeFile(join(work, name), content);
  await git('init', '--quiet', '--initial-branch=main');
  for (const [name, value] of [
    ['user.name', 'Alice'],
    ['user.email', 'alice@acme.test'],
    ['core.autocrlf', 'false'],
  ] as const)
    await git('config', name, value);
  const commit = async (subject: string, author = 'Alice <alice@acme.test>'): Promise<void> => {
    await git('add', '--all');
    await git('commit', '--quiet', '--author', author, '--message', subject);
  };

  await file('notes.txt', 'one  \ntwo\t\n\n.\nFrom here\n');
  await file('windows.ini', '[a]\r\nb=1\r\n');
  await commit('Begin');
  const begin = await git('rev-parse', 'HEAD');
  await file('notes.txt', 'one\ntwo\t\n\n.\n..\nFrom there  \n>From quoted\n-- \n');
  await commit('Change lines that begin and end oddly');
  await file('picture.png', randomBytes(40_000));
  await commit('Add a picture');
  await file('windows.ini', '[a]\r\nb=2\r\n; größer\r\n');
  await commit('Größe ändern: a file with CRLF lines, and an author beyond ASCII', 'Jörg Müller <jörg@acme.test>');
  await file('länge/日本.txt'.replace('/', '-'), `${'long line '.repeat(90)}\nno newline at the end`);
  await file('picture.png', randomBytes(41_000));
  await commit('Change the picture, add a file whose name is beyond ASCII', '山田 太郎 <taro@corp.test>');
  await git('mv', 'notes.txt', 'renamed.txt');
  await commit('Rename\n\nWith a longer text:\n\n---8<---\n  indented\n-- \nnot the end');
  const tree = await git('rev-parse', 'HEAD^{tree}');
  const log = await git('log', '--format=%an <%ae> %ad %B', `${begin}..HEAD`);
  const options = ['--cover-letter', '--binary', '--full-index', `--from=${from}`, '--to', to];
  await git('format-patch', '--quiet', ...options, '--thread', '-o', out, begin);
  const names = (await readdir(out)).sort();
  if (names.length !== COMMITS + 1) throw new Error(`there are ${names.length} patches`);
  const raws = await Promise.all(names.map(async (name) => asMail(await readFile(join(out, name)))));

  return {
    raws,
    async apply(arrived) {
      const path = join(directory, 'arrived');
      await mkdir(path);
      const paths = arrived.slice(1).map((_, n) => join(path, `${n}.eml`));
      await Promise.all(paths.map((one, n) => writeFile(one, arrived[n + 1] as Buffer)));
      await git('checkout', '--quiet', '-b', 'again', begin);
      const { code, said } = await runProgram('git', ['am', '--quoted-cr=nowarn', ...paths], how);
      if (code !== 0) return [said];
      const problems: string[] = [];
      if ((await git('rev-parse', 'HEAD^{tree}')) !== tree) problems.push('the tree is another one');
      if ((await git('log', '--format=%an <%ae> %ad %B', `${begin}..HEAD`)) !== log)
        problems.push('authors, dates or texts are others');
      return problems;
    },
  };
}

/** As `git send-email` does: without the mbox line, and encoded where a file has CRLF lines, which mail cannot carry otherwise. */
function asMail(patch: Buffer): Buffer {
  const text = patch.toString('latin1').replace(/^From .*\n/, '');
  if (!text.includes('\r')) return asLines(Buffer.from(text, 'latin1'));
  const end = text.indexOf('\n\n');
  const fields = text.slice(0, end).replace('Transfer-Encoding: 8bit', 'Transfer-Encoding: base64');
  const body = Buffer.from(text.slice(end + 2), 'latin1').toString('base64');
  return asLines(`${fields}\n\n${body.replace(/.{76}/g, '$&\n')}\n`);
}
