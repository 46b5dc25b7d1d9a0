/**
 * QR codes (ISO/IEC 18004) of short texts, for terminals: byte mode, error correction level L, the smallest of versions 1 to
 * 20. What a screen shows is clean, so the lowest level is enough, and a small code fits a terminal.
 */
import { encodeText, moduleCount } from './qr-codewords.ts';

/** Level L, as the format information spells it. */
const LEVEL_BITS = 1;
const QUIET = 4;

/** Dark modules as true, row by row, without the quiet zone. Throws RangeError for a text that does not fit. */
export function qrCode(text: string): boolean[][] {
  const { version, codewords } = encodeText(text);
  const grid = new Grid(version);
  grid.place(codewords);
  return bestMasked(grid);
}

/** Two rows in each line of text: a terminal's cell is twice as high as wide. Dark on light, whatever the terminal's colours. */
export function qrText(text: string): string {
  const code = qrCode(text);
  const isDark = (x: number, y: number): boolean => code[y - QUIET]?.[x - QUIET] ?? false;
  const size = code.length + 2 * QUIET;
  const lines: string[] = [];
  for (let y = 0; y < size; y += 2) {
    let line = '';
    for (let x = 0; x < size; x++) line += HALVES[(isDark(x, y) ? 2 : 0) + (isDark(x, y + 1) ? 1 : 0)];
    lines.push(`\x1b[30;107m${line}\x1b[0m`);
  }
  return lines.join('\n');
}

const HALVES = [' ', '▄', '▀', '█'];

/** The modules: patterns that are always the same, and codewords between them. */
class Grid {
  readonly version: number;
  readonly size: number;
  readonly dark: boolean[][];
  readonly #fixed: boolean[][];

  constructor(version: number) {
    this.version = version;
    this.size = moduleCount(version);
    const empty = (): boolean[][] => Array.from({ length: this.size }, () => new Array<boolean>(this.size).fill(false));
    this.dark = empty();
    this.#fixed = empty();
    this.#timing();
    for (const [x, y] of [
      [3, 3],
      [this.size - 4, 3],
      [3, this.size - 4],
    ] as const)
      this.#finder(x, y);
    this.#alignments();
    this.format(0);
    this.#versionNumber();
  }

  isFixed(x: number, y: number): boolean {
    return this.#fixed[y]?.[x] ?? true;
  }

  /** Writes the format information for a mask. */
  format(mask: number): void {
    const data = (LEVEL_BITS << 3) | mask;
    const bits = ((data << 10) | bch(data, 10, 0x537)) ^ 0x5412;
    const bit = (i: number): boolean => ((bits >>> i) & 1) === 1;
    const last = this.size - 1;
    for (let i = 0; i <= 5; i++) this.#set(8, i, bit(i));
    this.#set(8, 7, bit(6));
    this.#set(8, 8, bit(7));
    this.#set(7, 8, bit(8));
    for (let i = 9; i < 15; i++) this.#set(14 - i, 8, bit(i));
    for (let i = 0; i < 8; i++) this.#set(last - i, 8, bit(i));
    for (let i = 8; i < 15; i++) this.#set(8, this.size - 15 + i, bit(i));
    this.#set(8, this.size - 8, true);
  }

  /** In columns two wide, from the right, up and down in turns. */
  place(codewords: readonly number[]): void {
    let i = 0;
    for (let right = this.size - 1; right >= 1; right -= 2) {
      if (right === 6) right = 5;
      const upward = ((right + 1) & 2) === 0;
      for (let step = 0; step < this.size; step++) {
        const y = upward ? this.size - 1 - step : step;
        for (const x of [right, right - 1]) {
          if (this.isFixed(x, y)) continue;
          this.#put(x, y, (((codewords[i >> 3] ?? 0) >>> (7 - (i & 7))) & 1) === 1);
          i += 1;
        }
      }
    }
  }

  #put(x: number, y: number, dark: boolean): void {
    const row = this.dark[y];
    if (row !== undefined && x >= 0 && x < this.size) row[x] = dark;
  }

  #set(x: number, y: number, dark: boolean): void {
    this.#put(x, y, dark);
    const row = this.#fixed[y];
    if (row !== undefined && x >= 0 && x < this.size) row[x] = true;
  }

  #timing(): void {
    for (let i = 0; i < this.size; i++) {
      this.#set(6, i, i % 2 === 0);
      this.#set(i, 6, i % 2 === 0);
    }
  }

  #finder(centreX: number, centreY: number): void {
    for (let dy = -4; dy <= 4; dy++) {
      for (let dx = -4; dx <= 4; dx++) {
        const ring = Math.max(Math.abs(dx), Math.abs(dy));
        this.#set(centreX + dx, centreY + dy, ring !== 2 && ring !== 4);
      }
    }
  }

  #alignments(): void {
    const positions = alignmentPositions(this.version);
    const last = positions.length - 1;
    positions.forEach((y, i) => {
      positions.forEach((x, j) => {
        const atFinder = (i === 0 && j === 0) || (i === 0 && j === last) || (i === last && j === 0);
        if (!atFinder) this.#alignment(x, y);
      });
    });
  }

  #alignment(centreX: number, centreY: number): void {
    for (let dy = -2; dy <= 2; dy++) {
      for (let dx = -2; dx <= 2; dx++)
        this.#set(centreX + dx, centreY + dy, Math.max(Math.abs(dx), Math.abs(dy)) !== 1);
    }
  }

  #versionNumber(): void {
    if (this.version < 7) return;
    const bits = (this.version << 12) | bch(this.version, 12, 0x1f25);
    for (let i = 0; i < 18; i++) {
      const dark = ((bits >>> i) & 1) === 1;
      const [a, b] = [this.size - 11 + (i % 3), Math.floor(i / 3)];
      this.#set(a, b, dark);
      this.#set(b, a, dark);
    }
  }
}

/** The remainder that makes a value of the BCH code. */
function bch(data: number, bits: number, polynomial: number): number {
  let rest = data;
  for (let i = 0; i < bits; i++) rest = (rest << 1) ^ ((rest >>> (bits - 1)) * polynomial);
  return rest;
}

function alignmentPositions(version: number): number[] {
  if (version === 1) return [];
  const count = Math.floor(version / 7) + 2;
  const step = Math.floor((version * 8 + count * 3 + 5) / (count * 4 - 4)) * 2;
  const positions = [6];
  for (let position = moduleCount(version) - 7; positions.length < count; position -= step)
    positions.splice(1, 0, position);
  return positions;
}

const MASKS: readonly ((x: number, y: number) => boolean)[] = [
  (x, y) => (x + y) % 2 === 0,
  (_x, y) => y % 2 === 0,
  (x) => x % 3 === 0,
  (x, y) => (x + y) % 3 === 0,
  (x, y) => (Math.floor(x / 3) + Math.floor(y / 2)) % 2 === 0,
  (x, y) => ((x * y) % 2) + ((x * y) % 3) === 0,
  (x, y) => (((x * y) % 2) + ((x * y) % 3)) % 2 === 0,
  (x, y) => (((x + y) % 2) + ((x * y) % 3)) % 2 === 0,
];

/** The mask that leaves the fewest patterns that confuse a reader. */
function bestMasked(grid: Grid): boolean[][] {
  const candidates = MASKS.map((mask, number) => {
    grid.format(number);
    const dark = grid.dark.map((row, y) => row.map((module, x) => module !== (!grid.isFixed(x, y) && mask(x, y))));
    return { dark, penalty: penalty(dark) };
  });
  return candidates.reduce((best, next) => (next.penalty < best.penalty ? next : best)).dark;
}

function penalty(dark: readonly boolean[][]): number {
  const size = dark.length;
  const columns = Array.from({ length: size }, (_, x) => dark.map((row) => row[x] ?? false));
  const lines = [...dark, ...columns].map((line) => line.map((module) => (module ? '1' : '0')).join(''));
  let sum = 0;
  for (const line of lines) {
    for (const run of line.match(/0{5,}|1{5,}/g) ?? []) sum += run.length - 2;
    sum += 40 * (line.match(/(?=00001011101|10111010000)/g)?.length ?? 0);
  }
  for (let y = 0; y + 1 < size; y++) {
    for (let x = 0; x + 1 < size; x++) {
      const module = dark[y]?.[x];
      if (module === dark[y]?.[x + 1] && module === dark[y + 1]?.[x] && module === dark[y + 1]?.[x + 1]) sum += 3;
    }
  }
  const darkCount = dark.flat().filter(Boolean).length;
  return sum + 10 * Math.floor(Math.abs((darkCount * 100) / (size * size) - 50) / 5);
}
