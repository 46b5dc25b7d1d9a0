/** How commands are defined: what each file beside this one adds to the program. */
import type { Command } from 'commander';
import type { Output } from './output.ts';

export interface GlobalOptions {
  config?: string;
  json?: boolean;
}

/** What the outer world gives: the end is asked for through `stop`. */
export interface Surroundings {
  stop: AbortSignal;
}

export type Run<Args extends unknown[]> = (
  output: Output,
  options: Record<string, unknown>,
  ...args: Args
) => Promise<void>;

/** Adds one command with the options that all have. */
export type Add = <Args extends unknown[]>(parent: Command, usage: string, summary: string, run: Run<Args>) => Command;

export const where = (options: Record<string, unknown>): { configPath: string | undefined } => ({
  configPath: options.config as string | undefined,
});
