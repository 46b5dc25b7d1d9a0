/** The built package: what `npm run build` makes can be imported by plain Node, has its types, and works on its threads. */
import { execFile } from 'node:child_process';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from 'vitest';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
/** Within the project, so that packages are found; ignored by Git. */
const OUT = join(ROOT, 'node_modules', `.built-${process.pid}`);
const TSC = join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc');
const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
  exports: Record<string, { types: string; default: string }>;
  files: string[];
};
const run = promisify(execFile);
const built = (path: string): string => join(OUT, relative('dist', path));

beforeAll(() => run(process.execPath, [TSC, '-p', join(ROOT, 'tsconfig.build.json'), '--outDir', OUT]), 120_000);
afterAll(() => rmSync(OUT, { recursive: true, force: true }));

it('has what package.json promises', () => {
  expect(manifest.files).toContain('dist');
  for (const { types, default: code } of Object.values(manifest.exports)) {
    expect([types, existsSync(built(types))]).toEqual([types, true]);
    expect([code, existsSync(built(code))]).toEqual([code, true]);
  }
});

it('runs in plain Node, and mints on threads of its own', async () => {
  const [client, smimp, minter] = ['client/index.js', 'smimp/index.js', 'pipeline/minter.js'].map(
    (path) => pathToFileURL(join(OUT, path)).href,
  );
  const script = `
    import { createClient, newState } from ${JSON.stringify(client)};
    import { leadingZeroBits, hash, parseAddress } from ${JSON.stringify(smimp)};
    import { createMinter } from ${JSON.stringify(minter)};
    const state = newState({ address: parseAddress('alice#example.com'), now: new Date() });
    const client = createClient({ state, save: async () => {}, threads: 1 });
    const minter = createMinter({ threads: 1 });
    const preimage = new Uint8Array(100);
    preimage.set(await minter.mint({ preimage, zeroBits: 10 }), 68);
    console.log(client.ownFingerprint().fingerprint.length, leadingZeroBits(hash(preimage)) >= 10);
    await client[Symbol.asyncDispose]();
    await minter[Symbol.asyncDispose]();`;
  const { stdout } = await run(process.execPath, ['--input-type=module', '--eval', script], { cwd: OUT });
  expect(stdout).toBe('47 true\n');
});
