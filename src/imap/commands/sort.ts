/** SORT and THREAD (RFC 5256 §3): what SEARCH would find, in another order. Values of messages are kept, not the messages. */
import type { ListedMessage } from '../../mailbox/types.ts';
import { collectFields } from '../../mime/structure/header-fields.ts';
import { messageIdsIn } from '../../mime/structure/message-ids.ts';
import { sentSeconds, subjectKey, subjectOf } from '../../mime/structure/sort-values.ts';
import type { MessageIndex } from '../../mime/structure/types.ts';
import { done, doneKeepingNumbers, type Handler, type Session, selectedOf } from '../context.ts';
import { LIST_BATCH } from '../limits.ts';
import type { Selected } from '../selected.ts';
import { threadLine } from '../wire/responses.ts';
import { type Sortable, sorted, sortValues } from '../wire/sorting.ts';
import type { ThreadMessage } from '../wire/thread.ts';
import { formatThreads, threadOrderedSubject, threadReferences } from '../wire/threading.ts';
import { findMessages, tellFound } from './search.ts';
import type { Found } from './search-answer.ts';

export const sort: Handler<'SORT'> = async (session, command) => {
  const selected = selectedOf(session);
  const found = await findMessages(session, selected, command);
  const valued = await listedFound(session, selected, found, async (one, listed) => ({
    ...one,
    values: sortValues(sortable(listed), command.criteria),
  }));
  return tellFound(session, selected, { ...command, found: sorted(valued, command.criteria) });
};

function sortable({ index, internalDate }: ListedMessage): Sortable {
  return { envelope: index.envelope, sizeBytes: index.sizeBytes, arrivedSeconds: internalDate.unixSeconds };
}

export const thread: Handler<'THREAD'> = async (session, command) => {
  const { uid, algorithm } = command;
  const selected = selectedOf(session);
  const found = await findMessages(session, selected, { ...command, returns: null });
  const messages = await listedFound(session, selected, found, (one, listed) =>
    threadMessage(selected, one, listed, uid),
  );
  const threads = algorithm === 'REFERENCES' ? threadReferences(messages) : threadOrderedSubject(messages);
  await session.send(threadLine(formatThreads(threads)));
  const text = `${uid ? 'UID ' : ''}THREAD completed`;
  return uid ? done(text) : doneKeepingNumbers(text);
};

async function threadMessage(
  selected: Selected,
  { message, number }: Found,
  { index, internalDate }: ListedMessage,
  uid: boolean,
): Promise<ThreadMessage> {
  const { envelope } = index;
  const [messageId = null] = messageIdsIn(envelope.messageId ?? '');
  const listed = messageIdsIn(await referencesOf(selected, message, index));
  return {
    number: uid ? message.uid : number,
    messageId,
    references: listed.length > 0 ? listed : messageIdsIn(envelope.inReplyTo ?? '').slice(0, 1),
    sentSeconds: sentSeconds(envelope, internalDate.unixSeconds),
    subject: subjectKey(envelope).toString('latin1'),
    isReply: subjectOf(envelope).isReply,
  };
}

const REFERENCES = 'references';
const REFERENCES_BYTES = 64 * 1024;

/** Of a header too large for the index the message itself is read. */
async function referencesOf(selected: Selected, message: Found['message'], index: MessageIndex): Promise<string> {
  const { header, headerBytes } = index;
  const raw = header === null ? await selected.view.raw(message) : Buffer.from(header, 'latin1');
  if (raw === null) return '';
  const options = { start: 0, end: headerBytes, wanted: new Set([REFERENCES]), maxBytes: REFERENCES_BYTES };
  return (collectFields(raw, options).get(REFERENCES) ?? []).join(' ');
}

/** What is made of each of the messages that are still there. */
async function listedFound<T>(
  session: Session,
  selected: Selected,
  found: readonly Found[],
  make: (one: Found, listed: ListedMessage) => Promise<T>,
): Promise<T[]> {
  const made: T[] = [];
  for (let from = 0; from < found.length && !session.closed; from += LIST_BATCH) {
    const batch = found.slice(from, from + LIST_BATCH);
    const listed = await selected.view.list(batch.map(({ message }) => message));
    for (const [n, one] of batch.entries()) {
      const content = listed[n] ?? null;
      if (content !== null) made.push(await make(one, content));
    }
  }
  return made;
}
