/** What commands are given on standard input or in a file: bounded, and never from the command line. */
import { open } from 'node:fs/promises';
import { CommandError, EXIT } from './output.ts';

export type Input = AsyncIterable<Buffer | string>;

/** Everything that comes, up to `maxBytes`. */
export async function readAll(input: Input, maxBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  for await (const chunk of input) {
    const bytes = Buffer.from(chunk);
    sizeBytes += bytes.length;
    if (sizeBytes > maxBytes) throw new CommandError(`the input has more than ${maxBytes} bytes`, EXIT.badInput);
    chunks.push(bytes);
  }
  return Buffer.concat(chunks);
}

/** A file, up to `maxBytes`. */
export async function readFileBounded(path: string, maxBytes: number): Promise<Buffer> {
  try {
    await using handle = await open(path, 'r');
    return await readAll(handle.createReadStream({ autoClose: false }), maxBytes);
  } catch (cause) {
    if (cause instanceof CommandError) throw cause;
    throw new CommandError(`${path} cannot be read`, EXIT.badInput, { cause });
  }
}

/** A secret typed or piped in is one line. */
const MAX_LINE_BYTES = 4096;

/** The first line, without its end. */
export async function readLine(input: Input): Promise<string> {
  const [line = ''] = (await readAll(input, MAX_LINE_BYTES)).toString('utf8').split('\n');
  return line.replace(/\r$/, '');
}
