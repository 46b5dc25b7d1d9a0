/**
 * Which conversation a message belongs to (RFC 8474 §5.2). It is that of the nearest message it refers to, then that of its own
 * Message-ID (which another copy of it may have brought), then that of the thread its sender's program names; what came later
 * joins what was there, and no message ever changes to another. Nothing but keyed hashes is stored.
 */
import { collectFields } from '../mime/structure/header-fields.ts';
import { messageIdsIn } from '../mime/structure/message-ids.ts';
import type { MessageIndex } from '../mime/structure/types.ts';
import type { ParsedBody } from '../smimp/email.ts';
import type { Db } from '../store/database.ts';
import { lockMailbox } from '../store/folders.ts';
import { joinThread, type ThreadChoice, threadIds } from '../store/threads.ts';
import type { Contents } from './contents.ts';
import type { MailAccount } from './mail-account.ts';
import type { ShownMessage } from './types.ts';

const ID_BYTES = 16;
const REFERENCES = 'references';
const REFERENCES_BYTES = 64 * 1024;
/** Of a long list the nearest ones, and the one that began it all. */
export const MAX_THREAD_REFERENCES = 20;

/** What decides which thread a message belongs to. `body`: where it is open. */
export function threadChoice(
  account: MailAccount,
  message: { messageId: Buffer; index: MessageIndex; body: ParsedBody | null },
): ThreadChoice {
  const { messageId, index, body } = message;
  const names = [...referencesOf(index).map((id) => `message ${id}`), ...namedThread(body)];
  const references = names.map((name) => account.keys.blind('thread-reference', name));
  // A message that names nothing is a thread of its own.
  const root = references.at(-1) ?? messageId;
  return { references, fresh: account.keys.blind('thread', root).subarray(0, ID_BYTES) };
}

/** The nearest first, the message's own id last. */
function referencesOf({ envelope, header }: MessageIndex): string[] {
  const options = { start: 0, end: header?.length ?? 0, wanted: new Set([REFERENCES]), maxBytes: REFERENCES_BYTES };
  const fields = header === null ? null : collectFields(Buffer.from(header, 'latin1'), options);
  const [first, ...more] = messageIdsIn((fields?.get(REFERENCES) ?? []).join(' '));
  const listed = first === undefined ? [] : [first, ...more.slice(1 - MAX_THREAD_REFERENCES)];
  const parents = messageIdsIn(envelope.inReplyTo ?? '').slice(0, 1);
  const own = messageIdsIn(envelope.messageId ?? '').slice(0, 1);
  return [...new Set([...listed.reverse(), ...parents, ...own])];
}

function namedThread(body: ParsedBody | null): string[] {
  return body?.type === 'email' ? [`thread ${body.value.thread_id}`] : [];
}

/** The threads of messages, in their order; null for one that is gone. Messages of before there were threads get theirs now. */
export async function threadsOf(
  db: Db,
  { account, contents }: { account: MailAccount; contents: Contents },
  messages: readonly ShownMessage[],
): Promise<(Buffer | null)[]> {
  const { accountId } = account;
  const ids = messages.map(({ messageId }) => messageId);
  const known = await threadIds(db, accountId, ids);
  const old = ids.filter((id) => known.get(id.toString('hex')) === null);
  if (old.length === 0) return ids.map((id) => known.get(id.toString('hex')) ?? null);
  const listed = await contents.list(account, old);
  await db.transaction().execute(async (tx) => {
    await lockMailbox(tx, accountId);
    for (const [n, messageId] of old.entries()) {
      const index = listed[n]?.index;
      if (index === undefined) continue;
      await joinThread(tx, accountId, messageId, threadChoice(account, { messageId, index, body: null }));
    }
  });
  const now = await threadIds(db, accountId, ids);
  return ids.map((id) => now.get(id.toString('hex')) ?? null);
}
