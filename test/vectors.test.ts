/** Every vector of the wire profile: result, exact error code, and every member of the outputs. */
import { readdirSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { describe, expect, test } from 'vitest';
import { PROFILE_ERROR_CODES, ProfileError } from '../src/smimp/errors.ts';
import { parseStrictJson } from '../src/smimp/json.ts';
import { OPERATIONS, type Outcome } from './support/vector-operations.ts';

const DIRECTORY = new URL('../fixtures/vectors/', import.meta.url);

type Case = {
  id: string;
  comment: string;
  inputs: { op: string };
  result: string;
  error: string | null;
  outputs: Record<string, unknown>;
};

/** Codes that do not refuse: shown beside the thing, or the thing is held. */
const CAUTIONS = new Set([
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
const TEXT_OVERRIDES: Readonly<Record<string, { result: string; error: string }>> = {
  'messages/open-secret-ed25519': { result: 'invalid', error: 'bad-field' },
  'messages/open-secret-curve25519': { result: 'invalid', error: 'bad-field' },
};

const files = readdirSync(DIRECTORY).filter((name) => name !== 'README.md');
const areas = files.map((name) => {
  const { cases } = parseStrictJson(readFileSync(new URL(name, DIRECTORY))) as unknown as { cases: Case[] };
  return { area: basename(name, '.json'), cases };
});

async function run(area: string, inputs: { op: string }): Promise<Outcome> {
  const operation = OPERATIONS[area]?.[inputs.op];
  if (!operation) throw new Error(`nothing runs ${area} ${inputs.op}`);
  try {
    return await operation(inputs as never);
  } catch (error) {
    if (error instanceof ProfileError) return { error: error.code };
    throw error;
  }
}

function resultOf(error: string | undefined): string {
  if (error === undefined) return 'valid';
  return CAUTIONS.has(error) ? 'caution' : 'invalid';
}

test('every area of the profile has its file, and every file is run', () => {
  expect(files.map((name) => basename(name, '.json')).sort()).toEqual(Object.keys(OPERATIONS).sort());
  expect(areas.every(({ cases }) => cases.length > 0)).toBe(true);
});

test('every override names a case that is there', () => {
  const ids = new Set(areas.flatMap(({ area, cases }) => cases.map(({ id }) => `${area}/${id}`)));
  expect(Object.keys(TEXT_OVERRIDES).filter((id) => !ids.has(id))).toEqual([]);
});

describe.each(areas)('$area', ({ area, cases }) => {
  test.each(cases)('$id: $comment', async ({ id, inputs, result, error, outputs }) => {
    const actual = await run(area, inputs);
    const override = TEXT_OVERRIDES[`${area}/${id}`];
    const expected = override ?? { result, error };
    expect({ result: resultOf(actual.error), error: actual.error ?? null }).toEqual(expected);
    if (expected.error !== null) expect(PROFILE_ERROR_CODES).toContain(expected.error);
    if (override) return;
    for (const [name, value] of Object.entries(outputs)) expect(actual.outputs?.[name], name).toEqual(value);
  });
});
