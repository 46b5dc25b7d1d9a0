/** `smimp-bridge pow simulate`, as a person and as a program reads it. */
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { temporaryDirectory } from '../src/admin/demo/temporary-directory.ts';
import { CommandError, EXIT } from '../src/admin/output.ts';
import { simulate } from '../src/admin/pow.ts';
import { ConfigError } from '../src/config.ts';
import type { ScenarioResult } from '../src/policy/pow-simulation.ts';

let directory: string;
beforeAll(async () => {
  directory = await temporaryDirectory('pow');
});
afterAll(() => rm(directory, { recursive: true, force: true }));

interface Printed {
  value: { hashesPerSecond: number; serverSecondsPerMessage: number; measured: boolean; scenarios: ScenarioResult[] };
  text: string;
}

async function simulated(settings: string, hashesPerSecond?: string): Promise<Printed> {
  const configPath = join(directory, 'smimp-bridge.yaml');
  await writeFile(configPath, settings);
  const printed: Printed[] = [];
  const result = (value: unknown, text: string): void => void printed.push({ value, text } as Printed);
  await simulate({ output: { result, say: () => undefined }, configPath, hashesPerSecond });
  return printed[0] ?? expect.fail('nothing was printed');
}

it('plays the table of the configuration at the speed that is given', async () => {
  const { value, text } = await simulated('proof_of_work: { policy: { base: 20, ceiling: 20 } }', '1048576');
  expect(value).toMatchObject({ hashesPerSecond: 1_048_576, measured: false });
  const stranger = value.scenarios.find(({ name }) => name === 'new person');
  expect(stranger).toMatchObject({ messages: 1, firstBits: 20, senderCpuSeconds: 1 });
  expect(text).toMatch(/^1\.05 million hashes a second on one core: 20 bits take 1\.000 s on average\.$/m);
  expect(text).toMatch(/^new person +1 +20 +20 +20 +20 +1\.0000 +1\.0 /m);
});

it('measures the speed of this machine when none is given', async () => {
  const { value } = await simulated('proof_of_work: { zero_bits: 9 }');
  expect(value.measured).toBe(true);
  expect(value.hashesPerSecond).toBeGreaterThan(1_000);
  expect(value.serverSecondsPerMessage).toBeGreaterThan(0);
  for (const { leastBits, mostBits } of value.scenarios) expect([leastBits, mostBits]).toEqual([9, 9]);
});

it.each(['0', '-1', '1.5', 'fast', ''])('refuses %j hashes a second', async (rate) => {
  const refused = await simulated('{}', rate).catch((error: unknown) => error);
  expect(refused).toBeInstanceOf(CommandError);
  expect((refused as CommandError).exitCode).toBe(EXIT.badInput);
});

it('names the mistakes of the table first', async () => {
  await expect(simulated('proof_of_work: { policy: { floor: 30 } }', '1000')).rejects.toThrow(ConfigError);
});
