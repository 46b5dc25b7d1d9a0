/** Threads: legacy Message-IDs on one side, `uid`, `thread_id` and `reply_to_message_id` on the other (SMIMP 0.1 §4.1). */
import { hash } from '../smimp/crypto.ts';
import { type Hex32, toHex } from '../smimp/encoding.ts';
import { pae, text } from '../smimp/transcript.ts';

/** A message without a Message-ID gets one that names its uid, the same wherever it is rendered. */
const RENDERED_ID = /^<([0-9a-f]{64})@smimp\.invalid>$/;

export function renderedMessageId(uid: Hex32): string {
  return `<${uid}@smimp.invalid>`;
}

export function uidOfMessageId(messageId: string): Hex32 | null {
  return (RENDERED_ID.exec(messageId)?.[1] as Hex32 | undefined) ?? null;
}

/** The same on both sides, from the Message-ID that began the thread: no look-up needed. */
export function threadIdOf(rootMessageId: string): Hex32 {
  return toHex(hash(pae([text('smimp-bridge/thread/1'), text(rootMessageId)])));
}
