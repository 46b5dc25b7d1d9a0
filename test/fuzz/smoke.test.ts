/** A short round of `npm run fuzz` over every decoder, and whether the fuzzer sees what it is there to see. */
import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { ProfileError } from '../../src/smimp/errors.ts';
import { parseStrictJson } from '../../src/smimp/json.ts';
import { fuzz } from './engine.ts';
import { DEFAULTS, must, refusalOf, type Target } from './target.ts';
import { TARGETS } from './targets/all.ts';

/** The clock plays no part here: a busy machine must not fail a test. */
const SMOKE = { seed: 20_260_101, seconds: Number.POSITIVE_INFINITY };
const RUNS = 300;
/** Shorter inputs than by hand, so that the round is short. */
const SMOKE_BYTES = 6 * 1024;

describe('every decoder', () => {
  it.each(TARGETS.map((target) => [target.name, target] as const))('%s holds', async (_name, target) => {
    const patient = { ...target, maxMs: Number.POSITIVE_INFINITY, maxBytes: SMOKE_BYTES };
    const outcome = await fuzz(patient, { ...SMOKE, runs: RUNS });
    expect(outcome.finding).toBeNull();
    expect(outcome.runs).toBe(RUNS);
  });
});

describe('the fuzzer', () => {
  const target = (run: Target['run']): Target => ({
    name: 'test',
    ...DEFAULTS,
    corpus: [Buffer.from('{"a":[1,2,3]}')],
    words: ['"b":', '!'],
    refusal: refusalOf(ProfileError),
    run,
  });

  it('finds an error of another class, says where again, and makes the input small', async () => {
    const faulty = target((input) => {
      must(!input.includes('!'), 'no exclamation');
      return 'fine';
    });
    const { finding } = await fuzz(faulty, { ...SMOKE, runs: 500 });
    expect(finding).toMatchObject({ kind: 'error', what: expect.stringContaining('no exclamation') });
    expect(finding?.minimised.toString()).toBe('!');
    const again = await fuzz(faulty, { ...SMOKE, runs: (finding?.input ?? 0) + 1 });
    expect(again.finding?.input).toBe(finding?.input);
  });

  it('finds what takes too long', async () => {
    const slow: Target = {
      ...target((input) => {
        const before = process.cpuUsage();
        while (process.cpuUsage(before).user < 3_000 * input.length);
        return '';
      }),
      corpus: [Buffer.from('0123456789')],
      maxMs: 20,
    };
    expect((await fuzz(slow, { ...SMOKE, runs: 1 })).finding?.kind).toBe('slow');
  });

  it('goes the same way with the same seed, and another with another', async () => {
    const ends = async (seed: number): Promise<string[]> => {
      // An input may be run again to be timed.
      const seen = new Set<string>();
      const watching = target((input) => {
        seen.add(createHash('sha256').update(input).digest('hex'));
        return typeof parseStrictJson(input);
      });
      await fuzz(watching, { ...SMOKE, seed, runs: 100 });
      return [...seen];
    };
    expect(await ends(1)).toEqual(await ends(1));
    expect(await ends(2)).not.toEqual(await ends(1));
  });
});
