/** Runs the vectors of a directory through this library: result, exact code, and every member of the outputs. */
import { readdir, readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { ProfileError } from '../../smimp/errors.ts';
import { parseStrictJson } from '../../smimp/json.ts';
import { OPERATIONS } from './operations.ts';
import type { Outcome } from './outcome.ts';

export type VectorCase = {
  id: string;
  comment: string;
  inputs: { op: string };
  result: 'valid' | 'invalid' | 'caution';
  error: string | null;
  outputs: Record<string, unknown>;
};
export type VectorArea = { area: string; cases: readonly VectorCase[] };

/** What a case asks for, and what this library makes of it. */
export type VectorResult = {
  expected: { result: string; error: string | null };
  actual: { result: string; error: string | null };
  /** Members of the outputs that are not as they should be. */
  differing: readonly string[];
};

/** Codes that do not refuse: shown beside the thing, or the thing is held. */
const CAUTIONS: ReadonlySet<string> = new Set([
  'unavailable',
  'key-changed',
  'retired-key',
  'recipient-head-unknown',
  'recipient-head-stale',
]);

/**
 * Cases that disagree with the text of the profile, with what the text asks for. SMIMP 0.1 §4.1 closes the list of `kind`
 * of a secret; these two carry `master` and `ephemeral`, which are not on it.
 */
export const TEXT_OVERRIDES: Readonly<Record<string, { result: string; error: string }>> = {
  'messages/open-secret-ed25519': { result: 'invalid', error: 'bad-field' },
  'messages/open-secret-curve25519': { result: 'invalid', error: 'bad-field' },
};

export async function readVectors(directory: string): Promise<VectorArea[]> {
  const files = (await readdir(directory)).filter((name) => name.endsWith('.json')).sort();
  return Promise.all(
    files.map(async (name) => {
      const { cases } = parseStrictJson(await readFile(join(directory, name))) as unknown as { cases: VectorCase[] };
      return { area: basename(name, '.json'), cases };
    }),
  );
}

export async function runVector(
  area: string,
  { id, inputs, result, error, outputs }: VectorCase,
): Promise<VectorResult> {
  const outcome = await operate(area, inputs);
  const code = outcome.error ?? null;
  const override = TEXT_OVERRIDES[`${area}/${id}`];
  const differs = ([name, value]: [string, unknown]): boolean => !isDeepStrictEqual(outcome.outputs?.[name], value);
  const differing = override ? [] : Object.entries(outputs).filter(differs);
  return {
    expected: override ?? { result, error },
    actual: { result: resultOf(code), error: code },
    differing: differing.map(([name]) => name),
  };
}

async function operate(area: string, inputs: { op: string }): Promise<Outcome> {
  const operation = OPERATIONS[area]?.[inputs.op];
  if (!operation) throw new TypeError(`nothing runs ${area} ${inputs.op}`);
  try {
    return await operation(inputs as never);
  } catch (error) {
    if (error instanceof ProfileError) return { error: error.code };
    throw error;
  }
}

function resultOf(error: string | null): string {
  if (error === null) return 'valid';
  return CAUTIONS.has(error) ? 'caution' : 'invalid';
}

export type VectorReport = {
  readonly areas: readonly { readonly area: string; readonly cases: number; readonly failed: readonly string[] }[];
};

export async function runVectors(directory: string): Promise<VectorReport> {
  const areas = [];
  for (const { area, cases } of await readVectors(directory)) {
    const failed: string[] = [];
    for (const each of cases) {
      const { expected, actual, differing } = await runVector(area, each);
      if (!isDeepStrictEqual(expected, actual) || differing.length > 0) failed.push(each.id);
    }
    areas.push({ area, cases: cases.length, failed });
  }
  return { areas };
}
