/** Folders of a mailbox (SMIMP 0.1 §5): what one may be called, and how they may lie in one another. */
import { ProfileError } from './errors.ts';

/** Every listing walks all of them. */
export const MAX_FOLDERS = 2_000;
/** Programs show some forty characters. */
export const MAX_DISPLAY_NAME_CHARS = 255;
/** Mail programs divide the levels of a path by it. */
export const PATH_SEPARATOR = '/';
/** The inbox of mail programs, whatever its letters are. */
export const INBOX_NAME = 'INBOX';

const FORBIDDEN = /[\x00-\x1f\x7f-\x9f\u2028\u2029]/;

/** Whether a folder may be called so: one level of a path, on one line. */
export function isDisplayName(name: string): boolean {
  const fits = name !== '' && name.length <= MAX_DISPLAY_NAME_CHARS && name.isWellFormed();
  return fits && !name.includes(PATH_SEPARATOR) && !FORBIDDEN.test(name);
}

type Placed = { readonly id: number; readonly parent_id: number | null };

/** The folder and all above it, from the top; the parents stand in `byId`. Throws on a cycle: none may be stored. */
export function lineage<F extends Placed>(byId: ReadonlyMap<number, F>, folder: F): F[] {
  const line = [folder];
  for (let above = parentOf(byId, folder); above !== undefined; above = parentOf(byId, above)) {
    if (line.length > byId.size) throw new ProfileError('bad-field', { path: 'parent_folder_name' });
    line.unshift(above);
  }
  return line;
}

function parentOf<F extends Placed>(byId: ReadonlyMap<number, F>, { parent_id }: F): F | undefined {
  return parent_id === null ? undefined : byId.get(parent_id);
}

/** How many levels lie below a folder, itself not counted. */
export function levelsBelow<F extends Placed>(folders: readonly F[], id: number): number {
  const children = folders.filter(({ parent_id }) => parent_id === id);
  return children.length === 0 ? 0 : 1 + Math.max(...children.map((child) => levelsBelow(folders, child.id)));
}
