/** What commands say and how they end: text for people, `--json` for programs, exit codes of sysexits.h. */

/** Exit codes, as `--help` lists them. */
export const EXIT = {
  ok: 0,
  failed: 1,
  usage: 64,
  badInput: 65,
  notFound: 67,
  unavailable: 69,
  unexpected: 70,
  config: 78,
} as const;

/** An error that a person can act on: one sentence, and the exit code it ends with. */
export class CommandError extends Error {
  override readonly name = 'CommandError';
  readonly exitCode: number;

  constructor(message: string, exitCode: number, options?: ErrorOptions) {
    super(message, options);
    this.exitCode = exitCode;
  }
}

export interface Output {
  /** Prints `value` as JSON when that was asked for, else `text`. */
  result(value: unknown, text: string): void;
  /** A line for people, to standard error; silent with `--json`. */
  say(line: string): void;
}

export function createOutput(json: boolean): Output {
  return {
    result: (value, text) => void process.stdout.write(json ? `${JSON.stringify(value)}\n` : `${text}\n`),
    say: (line) => {
      if (!json) process.stderr.write(`${line}\n`);
    },
  };
}

/** Columns padded to their widest cell. */
export function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [header, ...rows];
  const widths = header.map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0)));
  return all
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** How an operator is told of an error, by its code. */
export type Explanations<Code extends string> = Readonly<Record<Code, { text: string; exitCode: number }>>;

/** Turns errors of one class into what an operator is told; lets every other one through. */
export async function explained<Result, Code extends string>(
  work: Promise<Result>,
  kind: new (code: Code) => Error & { readonly code: Code },
  explanations: Explanations<Code>,
): Promise<Result> {
  try {
    return await work;
  } catch (error) {
    if (!(error instanceof kind)) throw error;
    const { text, exitCode } = explanations[error.code];
    throw new CommandError(text, exitCode, { cause: error });
  }
}
