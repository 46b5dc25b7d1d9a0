/**
 * Parameters that were sent in pieces (RFC 2231 §3, §4.1), whole: `name*0`, `name*1` become `name`; with a piece in a character
 * set of its own they become `name*`, spelled as one piece would be.
 */
import type { ByteString, Parameter } from './types.ts';

interface Piece {
  number: number;
  encoded: boolean;
  value: string;
}

const PIECE = /^([^*]+)\*(\d{1,9})(\*?)$/;
const PLAIN = /[^A-Za-z0-9!#$&+.^_`{|}~-]/g;

/** In their order; pieces that do not start at 0 or have gaps stay as they are. */
export function joinParameters(params: readonly Parameter[]): Parameter[] {
  const groups = groupPieces(params);
  if (groups.size === 0) return [...params];
  const told = new Set<string>();
  return params.flatMap((param): Parameter[] => {
    const name = baseOf(param);
    const pieces = name === null ? undefined : groups.get(name.toLowerCase());
    if (name === null || pieces === undefined) return [param];
    if (told.has(name.toLowerCase())) return [];
    told.add(name.toLowerCase());
    return [joined(name, pieces)];
  });
}

function baseOf([name]: Parameter): string | null {
  return PIECE.exec(name)?.[1] ?? null;
}

function groupPieces(params: readonly Parameter[]): Map<string, Piece[]> {
  const groups = new Map<string, Piece[]>();
  for (const [name, value] of params) {
    const [, base, number, star] = PIECE.exec(name) ?? [];
    if (base === undefined) continue;
    const pieces = groups.get(base.toLowerCase()) ?? [];
    pieces.push({ number: Number(number), encoded: star === '*', value });
    groups.set(base.toLowerCase(), pieces);
  }
  for (const [base, pieces] of groups) {
    pieces.sort((a, b) => a.number - b.number);
    if (pieces.some(({ number }, n) => number !== n)) groups.delete(base);
  }
  return groups;
}

function joined(name: string, pieces: readonly Piece[]): Parameter {
  const isEncoded = pieces[0]?.encoded === true;
  const text = pieces.map(({ encoded, value }) => (isEncoded && !encoded ? percent(value) : value)).join('');
  return [(isEncoded ? `${name}*` : name) as ByteString, text as ByteString];
}

/** A piece without a character set, among others that have one. */
function percent(value: string): string {
  return value.replace(PLAIN, (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`);
}
