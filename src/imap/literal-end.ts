/**
 * Programs that end an APPEND by a write of its own (Python's imaplib does) have it held back by their system until ours
 * acknowledges the literal, and ours waits 40 ms for an answer to put that on. So there is one: an untagged OK, which may come
 * at any time (RFC 9051 §7), when a literal is whole and nothing follows it at once.
 */
import type { CommandDecoder } from './wire/decoder.ts';
import { untaggedLine } from './wire/responses.ts';

/** What a program sends in one piece is there by then. */
const PATIENCE_MS = 1;

/** What has arrived meanwhile is looked at before it is decided that nothing has. */
export function askForEnd(decoder: CommandDecoder, send: (line: Buffer) => Promise<void>): void {
  if (!decoder.afterLiteral) return;
  const ask = (): void => {
    if (decoder.afterLiteral && decoder.bufferedBytes === 0) void send(untaggedLine('OK', 'Literal taken'));
  };
  setTimeout(() => setImmediate(ask), PATIENCE_MS);
}
