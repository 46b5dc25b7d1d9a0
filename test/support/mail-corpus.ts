/** The corpus in fixtures/mail: each message beside what is expected of it. The directory is listed, never named file by file. */
import type { Buffer } from 'node:buffer';
import { readdirSync, readFileSync } from 'node:fs';
import { z } from 'zod';

const DIRECTORY = new URL('../../fixtures/mail/', import.meta.url);

const attachmentSchema = z.strictObject({
  name: z.string(),
  type: z.string(),
  bytes: z.int(),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
});
const expectationSchema = z.strictObject({
  /** What the message is, in a sentence. */
  what: z.string(),
  subject: z.string(),
  /** The Markdown of the body, exactly. */
  body: z.string().optional(),
  /** What the body says, as plain text. */
  shown: z.string().optional(),
  /** Pieces of the Markdown, where the whole would be long. */
  includes: z.array(z.string()).optional(),
  excludes: z.array(z.string()).optional(),
  signature: z.string().nullable().optional(),
  attachments: z.array(attachmentSchema),
  to: z.array(z.string()).optional(),
  cc: z.array(z.string()).optional(),
  /** Addresses that are none of SMIMP's. */
  legacy: z.array(z.string()).optional(),
  names: z.record(z.string(), z.string()).optional(),
  date: z.string().optional(),
  /** What cannot stand in a message that we write is named otherwise there: types of parts, addresses beyond ASCII. */
  downgraded: z.boolean().optional(),
  /** Of the parts that a mail program is given again: their types, in order. */
  parts: z.array(z.string()).optional(),
});
export type Expectation = z.infer<typeof expectationSchema>;
export type CorpusMail = { name: string; raw: Buffer; expected: Expectation };

const named = (ending: string): string[] =>
  readdirSync(DIRECTORY)
    .filter((file) => file.endsWith(ending))
    .map((file) => file.slice(0, -ending.length))
    .sort();

export const CORPUS_NAMES: readonly string[] = named('.eml');
/** Must be the same names. */
export const EXPECTED_NAMES: readonly string[] = named('.json');

export function corpusMail(name: string): CorpusMail {
  const read = (ending: string): Buffer => readFileSync(new URL(`${name}${ending}`, DIRECTORY));
  return { name, raw: read('.eml'), expected: expectationSchema.parse(JSON.parse(read('.json').toString('utf8'))) };
}

export const corpus = (): CorpusMail[] => CORPUS_NAMES.map(corpusMail);
