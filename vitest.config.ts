import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

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
    testTimeout: 30_000,
    hookTimeout: 60_000,
    // A poll ends as soon as it holds; on a busy machine a second is not enough.
    expect: { poll: { timeout: 20_000, interval: 20 } },
  },
});
