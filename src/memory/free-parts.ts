/** What a message was taken apart into, when its body has been made of it. */
import type { MailPart } from '../mime/parse.ts';
import { freeMemory } from './free-memory.ts';

/** A message that could not be taken apart is its own part, and still needed. */
export function freeParts({ content, children }: MailPart, raw: Buffer): void {
  if (content.buffer !== raw.buffer) freeMemory(content);
  for (const child of children) freeParts(child, raw);
}
