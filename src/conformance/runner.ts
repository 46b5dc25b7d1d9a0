/**
 * Runs the checks one after the other, within a bound of requests and time, and says of each how it ended. An answer that lacks
 * what a check reads from it fails the check; any other error that no check foresaw ends the run.
 */

import { RemoteError } from '../remote/errors.ts';
import { ProfileError } from '../smimp/errors.ts';
import type { Check } from './check.ts';
import { CheckError } from './errors.ts';
import { lacking, type World } from './world.ts';

export type Outcome = 'passed' | 'failed' | 'skipped';

export type Result = Pick<Check, 'id' | 'title' | 'rules' | 'level'> & {
  readonly outcome: Outcome;
  /** What was expected and what came, or why the check did not run. */
  readonly said: string | null;
};

/** `json` runs all of `json.…`; `json.depth` one. */
export function selects(only: readonly string[], id: string): boolean {
  return only.length === 0 || only.some((name) => id === name || id.startsWith(`${name}.`));
}

export async function runChecks(input: {
  world: World;
  checks: readonly Check[];
  isOver: () => boolean;
  report?: (result: Result) => void;
}): Promise<Result[]> {
  const { world, checks, isOver, report } = input;
  const results: Result[] = [];
  for (const check of checks) {
    const { id, title, rules, level } = check;
    const result = { id, title, rules, level, ...(await outcomeOf(world, check, isOver)) };
    report?.(result);
    results.push(result);
  }
  return results;
}

type Ended = Pick<Result, 'outcome' | 'said'>;

async function outcomeOf(world: World, check: Check, isOver: () => boolean): Promise<Ended> {
  if (isOver()) return { outcome: 'skipped', said: 'the time of the run was over' };
  try {
    const absent = await lacking(world, check.needs ?? []);
    if (absent.length > 0) return { outcome: 'skipped', said: `the server does not offer ${absent.join(', ')}` };
    await check.run(world);
    return { outcome: 'passed', said: null };
  } catch (error) {
    if (error instanceof RemoteError) return { outcome: 'failed', said: `no usable answer came (${error.code})` };
    if (error instanceof ProfileError || error instanceof TypeError)
      return { outcome: 'failed', said: `an answer could not be read: ${error.message}` };
    if (!(error instanceof CheckError)) throw error;
    return { outcome: error.code === 'unmet' ? 'failed' : 'skipped', said: error.message };
  }
}
