/** What the program asks of Node for the sake of memory. */
import { Buffer } from 'node:buffer';
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { SLAB_BYTES, useSmallSlabs } from '../src/memory/buffer-slabs.ts';
import runtime from '../src/runtime.json' with { type: 'json' };

it('is small slabs: what has half of one or more has memory of its own', () => {
  const before = Buffer.poolSize;
  useSmallSlabs();
  const slabOf = (sizeBytes: number): number => Buffer.allocUnsafe(sizeBytes).buffer.byteLength;
  // What is left of the slab that is there.
  while (slabOf(1_000) !== SLAB_BYTES);
  expect([1, SLAB_BYTES / 2 - 1].map(slabOf)).toEqual([SLAB_BYTES, SLAB_BYTES]);
  expect(slabOf(SLAB_BYTES / 2)).toBe(SLAB_BYTES / 2);
  Buffer.poolSize = before;
});

it('is asked in the image as everywhere else', () => {
  const dockerfile = readFileSync(new URL('../docker/Dockerfile', import.meta.url), 'utf8');
  const entry = JSON.parse(/^ENTRYPOINT (.*)$/m.exec(dockerfile)?.[1] ?? 'null') as string[];
  expect(entry).toEqual(['node', ...runtime.nodeFlags, 'src/main.ts']);
  const environment = Object.entries(runtime.environment).map(([name, value]) => `${name}=${value}`);
  for (const setting of environment) expect(dockerfile).toContain(setting);
});
