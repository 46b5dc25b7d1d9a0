/**
 * Threads by references (RFC 5256 §3: REFERENCES, steps 1 to 6) and by subjects (ORDEREDSUBJECT). Nothing here recurses: a
 * thread may be as deep as the mailbox is long.
 */
import { firstMessage, order, type Thread, type ThreadMessage } from './thread.ts';
import { Forest } from './thread-forest.ts';
import { mergeSubjects } from './thread-subjects.ts';

/** `messages`: in the order of the mailbox. */
export function threadReferences(messages: readonly ThreadMessage[]): Thread[] {
  const forest = new Forest();
  for (const message of messages) forest.add(message);
  const roots = pruned(forest.roots());
  const merged = mergeSubjects(sortedByDate(roots));
  for (const thread of everyThread(merged).reverse()) thread.children = sortedByDate(thread.children);
  return sortedByDate(merged);
}

/** Messages of the same subject: the first one, and all others below it. */
export function threadOrderedSubject(messages: readonly ThreadMessage[]): Thread[] {
  const bySubject = new Map<string, Thread[]>();
  for (const message of messages) {
    const threads = bySubject.get(message.subject);
    if (threads === undefined) bySubject.set(message.subject, [{ message, children: [] }]);
    else threads.push({ message, children: [] });
  }
  const roots = [...bySubject.values()].flatMap((threads) => {
    const [first, ...children] = sortedByDate(threads);
    return first === undefined ? [] : [{ ...first, children }];
  });
  return sortedByDate(roots);
}

/** Step 3: places without children go; those of others take their place, but at the root only a single one. */
function pruned(roots: Thread[]): Thread[] {
  for (const thread of everyThread(roots).reverse()) {
    if (thread.children.some(({ message }) => message === null))
      thread.children = thread.children.flatMap(withoutPlace);
  }
  return roots.flatMap((root) => (root.message === null && root.children.length > 1 ? [root] : withoutPlace(root)));
}

function withoutPlace(thread: Thread): Thread[] {
  return thread.message === null ? thread.children : [thread];
}

/** Those above before those below. */
function everyThread(roots: readonly Thread[]): Thread[] {
  const found = [...roots];
  for (let n = 0; n < found.length; n += 1) for (const child of found[n]?.children ?? []) found.push(child);
  return found;
}

/** Steps 4 and 6. A place without a message has the date of its first child; equal dates stay in the order of the mailbox. */
function sortedByDate(threads: readonly Thread[]): Thread[] {
  if (threads.length < 2) return [...threads];
  const dated = threads.map((thread) => ({ thread, first: firstMessage(thread) }));
  dated.sort((a, b) => order(a.first, b.first));
  return dated.map(({ thread }) => thread);
}

/** `(2)(3 6 (4 23)(44 7 96))` (RFC 5256 §4). */
export function formatThreads(threads: readonly Thread[]): string {
  const pieces: string[] = [];
  /** What is still to be written, the next one last. */
  const todo: (Thread | string)[] = [];
  const nest = (nested: readonly Thread[]): void => {
    for (const thread of [...nested].reverse()) todo.push(')', thread, '(');
  };
  nest(threads);
  for (let next = todo.pop(); next !== undefined; next = todo.pop()) {
    if (typeof next === 'string') {
      pieces.push(next);
      continue;
    }
    const { message, children } = next;
    const [only] = children;
    if (message !== null) pieces.push(String(message.number), children.length === 0 ? '' : ' ');
    if (children.length === 1 && only !== undefined) todo.push(only);
    else nest(children);
  }
  return pieces.join('');
}
