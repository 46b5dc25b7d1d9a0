/** Threads of the same subject are one (RFC 5256 §3: REFERENCES, step 5). */
import { firstMessage, type Thread } from './thread.ts';

/** `roots`: sorted, no place without a message below them. */
export function mergeSubjects(roots: readonly Thread[]): Thread[] {
  const bySubject = subjectTable(roots);
  const merged = new Set(roots);
  for (const thread of roots) {
    const subject = subjectOf(thread);
    const other = subject === '' ? undefined : bySubject.get(subject);
    if (other === undefined || other === thread) continue;
    merged.delete(thread);
    const joined = merge(other, thread);
    if (joined === other) continue;
    merged.delete(other);
    merged.add(joined);
    bySubject.set(subject, joined);
  }
  return [...merged];
}

/** Step 5.B: for each subject the thread that the others go to. */
function subjectTable(roots: readonly Thread[]): Map<string, Thread> {
  const table = new Map<string, Thread>();
  for (const thread of roots) {
    const subject = subjectOf(thread);
    const other = table.get(subject);
    if (subject !== '' && (other === undefined || isBetter(thread, other))) table.set(subject, thread);
  }
  return table;
}

function isBetter(thread: Thread, than: Thread): boolean {
  if (than.message === null) return false;
  return thread.message === null || (than.message.isReply && !thread.message.isReply);
}

/** Of a place its first child has the subject. */
function subjectOf(thread: Thread): string {
  return firstMessage(thread)?.subject ?? '';
}

/** Step 5.C. What stands at the root afterwards. */
function merge(other: Thread, thread: Thread): Thread {
  if (other.message === null) {
    other.children.push(...(thread.message === null ? thread.children : [thread]));
    return other;
  }
  if (thread.message?.isReply === true && !other.message.isReply) {
    other.children.push(thread);
    return other;
  }
  return { message: null, children: [other, thread] };
}
