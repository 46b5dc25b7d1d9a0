/** Writes docs/openapi.json: `npm run openapi`. */
import { mkdir, writeFile } from 'node:fs/promises';
import { openApiText } from './openapi.ts';

const FILE = new URL('../../docs/openapi.json', import.meta.url);

await mkdir(new URL('.', FILE), { recursive: true });
await writeFile(FILE, openApiText());
