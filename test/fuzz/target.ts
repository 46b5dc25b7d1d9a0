/** What is fuzzed: a decoder, inputs to begin with, and what it may do with any input at all. */

export interface Target {
  readonly name: string;
  /** Inputs to begin with: whole and good ones among them. */
  readonly corpus: readonly Buffer[];
  /** Words of the language that it reads. */
  readonly words: readonly string[];
  readonly maxBytes: number;
  /** Processor time that one input may take. */
  readonly maxMs: number;
  /**
   * Reads an input. Throws Broken where something does not hold that must. What it returns names what became of the input,
   * roughly: inputs that lead to a new name are worth spoiling further.
   */
  readonly run: (input: Buffer) => string | Promise<string>;
  /** The code of an error with which it may refuse an input; null for any other error. */
  readonly refusal: (error: unknown) => string | null;
}

/** A promise of the decoder that an input broke: a round trip, or a bound. */
export class Broken extends Error {
  override readonly name = 'Broken';
}

export function must(holds: boolean, what: string): void {
  if (!holds) throw new Broken(what);
}

/** The code of an error of one class, whose codes are a closed list. */
export function refusalOf(
  ...kinds: readonly (abstract new (
    ...args: never[]
  ) => Error & { readonly code: string })[]
): Target['refusal'] {
  return (error) => {
    const known = kinds.some((kind) => error instanceof kind);
    return known ? (error as Error & { code: string }).code : null;
  };
}

/** Inputs over a few kilobytes find little more and cost much more. */
export const DEFAULTS = { maxBytes: 64 * 1024, maxMs: 250 } as const;
