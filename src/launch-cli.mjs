#!/usr/bin/env node
/** The command `smimp-bridge`: main.ts under the Node the project depends on. */
process.argv.splice(2, 0, 'src/main.ts');
await import('./launch.mjs');
