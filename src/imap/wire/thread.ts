/** Messages as THREAD puts them together (RFC 5256 §3). */

export interface ThreadMessage {
  /** What the answer names it by. */
  number: number;
  /** Null when it has none, or not one that can be read. */
  messageId: string | null;
  /** From the first to the nearest. */
  references: readonly string[];
  sentSeconds: number;
  /** Compared for being the same; empty for no subject. */
  subject: string;
  isReply: boolean;
}

/** A message, or a place that only holds its children together. */
export interface Thread {
  message: ThreadMessage | null;
  children: Thread[];
}

/** By date, equal ones in the order of the mailbox. */
export function order(a: ThreadMessage | null, b: ThreadMessage | null): number {
  return (a?.sentSeconds ?? 0) - (b?.sentSeconds ?? 0) || (a?.number ?? 0) - (b?.number ?? 0);
}

/** The message itself, or the earliest of its children, which all are messages. */
export function firstMessage({ message, children }: Thread): ThreadMessage | null {
  if (message !== null) return message;
  return children.reduce<ThreadMessage | null>((first, child) => {
    const own = firstMessage(child);
    return first === null || order(own, first) < 0 ? own : first;
  }, null);
}
