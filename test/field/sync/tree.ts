/** A mailbox as both sides of a synchronisation can see it: folders, and in each the messages with their flags. */
import { createHash } from 'node:crypto';

/** By folder, in Unicode with slashes: `DIGEST FLAGS` of each message, sorted. A message that is there twice stands twice. */
export type Tree = Readonly<Record<string, readonly string[]>>;

/** What the programs put into headers for themselves. */
const OWN_FIELDS = /^X-(?:TUID|OfflineIMAP): .*\n/gm;

/** The same for the same message, however its lines end and whatever the programs wrote into its header. */
export function digestOf(raw: Buffer): string {
  const text = raw.toString('latin1').replace(/\r\n/g, '\n').replace(OWN_FIELDS, '');
  return createHash('sha256').update(text, 'latin1').digest('hex').slice(0, 16);
}

export function treeOf(folders: Iterable<readonly [name: string, messages: readonly string[]]>): Tree {
  const sorted = [...folders].sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(sorted.map(([name, messages]) => [name, messages.toSorted()]));
}

/** What one has and the other has not. */
export function differences(names: readonly [string, string], trees: readonly [Tree, Tree]): string[] {
  const [one, other] = trees;
  const problems: string[] = [];
  for (const folder of new Set([...Object.keys(one), ...Object.keys(other)])) {
    const [mine, theirs] = [one[folder], other[folder]];
    if (mine === undefined || theirs === undefined) {
      problems.push(`${folder}: only ${mine === undefined ? names[1] : names[0]} has this folder`);
      continue;
    }
    const [left, right] = [without(mine, theirs), without(theirs, mine)];
    if (left.length + right.length > 0)
      problems.push(`${folder}: only ${names[0]}: ${left.join(', ')}; only ${names[1]}: ${right.join(', ')}`);
  }
  return problems;
}

/** Each as often as it is more often in the first. */
function without(some: readonly string[], others: readonly string[]): string[] {
  const left = [...others];
  return some.filter((one) => {
    const at = left.indexOf(one);
    if (at >= 0) left.splice(at, 1);
    return at < 0;
  });
}

export function sizeOf(tree: Tree): number {
  return Object.values(tree).reduce((sum, messages) => sum + messages.length, 0);
}
