import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';
import LongestFirst from './test/support/longest-first.ts';

const source = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

export default defineConfig({
  // The examples import the package as its users do.
  resolve: {
    alias: {
      'smimp-bridge/client': source('./src/client/index.ts'),
      'smimp-bridge/smimp': source('./src/smimp/index.ts'),
    },
  },
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/support/global-setup.ts'],
    reporters: ['default', './test/support/closing-line.ts'],
    environment: 'node',
    pool: 'forks',
    maxWorkers: 2,
    // A worker loads each module once: what modules keep is caches, which every file may find warm or cold.
    isolate: false,
    sequence: { sequencer: LongestFirst },
    // Times are for tests that hang: on a busy machine some take twenty seconds. A poll ends as soon as it holds.
    testTimeout: 60_000,
    hookTimeout: 120_000,
    expect: { poll: { timeout: 20_000, interval: 20 } },
  },
});
