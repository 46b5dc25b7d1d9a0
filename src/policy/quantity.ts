/** Sizes and times as people write them: `25MiB`, `4h`. */

export type Units = Readonly<Record<string, number>>;

/** In bytes. */
export const SIZE_UNITS: Units = { B: 1, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 };
/** In milliseconds. */
export const TIME_UNITS: Units = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** The amount that `text` says in `units`; `bare` is what a number without a unit counts, null when it needs one. */
export function parseQuantity(text: string, units: Units, bare: number | null): number | null {
  const [, digits, unit] = /^(\d{1,12})\s*([A-Za-z]*)$/.exec(text) ?? [];
  const factor = unit === '' ? bare : units[unit ?? ''];
  return digits === undefined || factor == null ? null : Number(digits) * factor;
}
