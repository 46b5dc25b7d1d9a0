/** Every vector of the wire profile: result, exact error code, and every member of the outputs. */
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { OPERATIONS } from '../src/conformance/vectors/operations.ts';
import { readVectors, runVector, runVectors, TEXT_OVERRIDES } from '../src/conformance/vectors/run.ts';
import { PROFILE_ERROR_CODES } from '../src/smimp/errors.ts';

const DIRECTORY = fileURLToPath(new URL('../fixtures/vectors/', import.meta.url));
const areas = await readVectors(DIRECTORY);

test('every area of the profile has its file, and every file is run', () => {
  expect(areas.map(({ area }) => area).sort()).toEqual(Object.keys(OPERATIONS).sort());
  expect(areas.every(({ cases }) => cases.length > 0)).toBe(true);
});

test('every override names a case that is there', () => {
  const ids = new Set(areas.flatMap(({ area, cases }) => cases.map(({ id }) => `${area}/${id}`)));
  expect(Object.keys(TEXT_OVERRIDES).filter((id) => !ids.has(id))).toEqual([]);
});

test('a library that computes something else is found out, case by case', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'smimp-vectors-'));
  try {
    await cp(DIRECTORY, directory, { recursive: true });
    const file = join(directory, 'pae.json');
    const text = await readFile(file, 'utf8');
    await writeFile(file, text.replace(/"hash": "[0-9a-f]{8}/, '"hash": "00000000'));
    const { areas: run } = await runVectors(directory);
    expect(run.flatMap(({ area, failed }) => failed.map((id) => `${area}/${id}`))).toEqual(['pae/none']);
  } finally {
    await rm(directory, { recursive: true });
  }
});

describe.each(areas)('$area', ({ area, cases }) => {
  test.each(cases)('$id: $comment', async (each) => {
    const { expected, actual, differing } = await runVector(area, each);
    expect(actual).toEqual(expected);
    if (expected.error !== null) expect(PROFILE_ERROR_CODES).toContain(expected.error);
    expect(differing).toEqual([]);
  });
});
