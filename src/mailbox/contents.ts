/**
 * Contents of shown messages: what clients list (sealed at rest, indexed once when the message was opened) and the
 * rendered bytes. Listing never touches ciphertext; a body is decrypted when it is asked for.
 *
 * Kept in memory up to a number of bytes. A message was verified before it was shown (SMIMP 0.1 §4.4); here it is only
 * decrypted again, and nothing is fetched.
 */
import type { ByteGate } from '../memory/byte-gate.ts';
import { freeMemory } from '../memory/free-memory.ts';
import { RENDERER_VERSION } from '../mime/from-email.ts';
import { previewOf } from '../mime/preview.ts';
import { indexMessage } from '../mime/structure/message-index.ts';
import type { MessageIndex } from '../mime/structure/types.ts';
import { openBoxes } from '../smimp/boxes.ts';
import { parseBody } from '../smimp/email.ts';
import { type Hex24, type Hex32, toHex } from '../smimp/encoding.ts';
import { ProfileError } from '../smimp/errors.ts';
import { parseHeader } from '../smimp/header.ts';
import type { Caution } from '../smimp/open.ts';
import { paddedLength } from '../smimp/payload.ts';
import { findContents, replaceContent, type StoredContent } from '../store/contents.ts';
import type { Db } from '../store/database.ts';
import { findMessage, type StoredMessage } from '../store/messages.ts';
import { ByteLru } from './byte-lru.ts';
import { MailboxError } from './errors.ts';
import type { MailAccount } from './mail-account.ts';
import { type InternalDate, internalDateOf, type OpenedContent, renderOpened } from './rendering.ts';

/** What is listed of a message. */
export type Content = {
  readonly index: MessageIndex;
  readonly internalDate: InternalDate;
  readonly cautions: readonly Caution[];
  /** Not in what was kept before there were previews. */
  readonly preview?: string;
};

/** About 5,000 messages with ordinary headers. */
export const INDEX_CACHE_BYTES = 48 * 1024 * 1024;
/** Programs fetch a large message in pieces; this keeps it rendered meanwhile. */
export const RENDERED_CACHE_BYTES = 48 * 1024 * 1024;
/** An object in memory takes several times the bytes of its sealed form. */
const INDEX_MEMORY_FACTOR = 3;
const PURPOSE = 'content';

export interface Contents {
  /** What is listed of these messages, in their order; null for one that is gone. */
  list(account: MailAccount, messageIds: readonly Buffer[]): Promise<(Content | null)[]>;
  /** The rendered bytes; null when it is gone. Throws MailboxError `unreadable`. */
  raw(account: MailAccount, messageId: Buffer): Promise<Buffer | null>;
  /** Ciphertexts opened so far, for the metric and for tests. */
  readonly opened: number;
}

/** What is kept of a rendered message. */
export function contentOf(raw: Buffer, opened: { internalDate: InternalDate; cautions: readonly Caution[] }): Content {
  const index = indexMessage(raw);
  const { internalDate, cautions } = opened;
  return { index, internalDate, cautions, preview: previewOf(raw, index) };
}

/** The row of a content. */
export function sealedContent(account: MailAccount, messageId: Buffer, content: Content) {
  return {
    message_id: messageId,
    account_id: account.accountId,
    renderer_version: RENDERER_VERSION,
    sealed: account.keys.seal(PURPOSE, messageId, paddedJson(content)),
    sealed_for: messageId,
  };
}

/** Spaces behind it bring it to a size that many have: how long a subject is shows no more than in the ciphertext. */
function paddedJson(content: Content): Buffer {
  const json = Buffer.from(JSON.stringify(content), 'utf8');
  return Buffer.concat([json], paddedLength(json.length)).fill(' ', json.length);
}

export function createContents(options: { db: Db; gate: ByteGate }): Contents {
  const { db, gate } = options;
  const indexes = new ByteLru<Content>(INDEX_CACHE_BYTES);
  const rendered = new ByteLru<Buffer>(RENDERED_CACHE_BYTES);
  let opened = 0;

  const unseal = (account: MailAccount, row: StoredContent): Content => {
    const json = account.keys.unseal(PURPOSE, row.sealed_for, row.sealed);
    const content = JSON.parse(json.toString('utf8')) as Content;
    indexes.set(toHex(row.message_id), content, json.length * INDEX_MEMORY_FACTOR);
    return content;
  };

  const render = async (account: MailAccount, message: StoredMessage, cautions: readonly Caution[]) => {
    opened += 1;
    const content = await decrypt(account, message, cautions, { inPlace: true });
    const { raw } = renderOpened(content, account);
    freeMemory(message.ciphertext);
    rendered.set(toHex(message.message_id), raw, raw.length);
    return { raw, header: content.header };
  };

  /** Of a message whose content is missing or of an older renderer. */
  const rebuild = async (account: MailAccount, messageId: Buffer, stale: StoredContent | undefined) => {
    const message = await findMessage(db, account.accountId, messageId);
    if (message === undefined) return null;
    const cautions = stale === undefined ? [] : unseal(account, stale).cautions;
    const { raw, header } = await render(account, message, cautions);
    const internalDate = internalDateOf(header, account.address, message.time_received);
    const content = contentOf(raw, { internalDate, cautions });
    await replaceContent(db, sealedContent(account, messageId, content));
    return content;
  };

  const list: Contents['list'] = async (account, messageIds) => {
    const missing = messageIds.filter((id) => indexes.get(toHex(id)) === undefined);
    const found = new Map<string, Content>();
    for (const id of messageIds) {
      const known = indexes.get(toHex(id));
      if (known !== undefined) found.set(toHex(id), known);
    }
    const rows = missing.length === 0 ? [] : await findContents(db, account.accountId, missing);
    const byId = new Map(rows.map((row) => [toHex<Hex32>(row.message_id), row]));
    for (const id of missing) {
      const row = byId.get(toHex(id));
      const fresh = row?.renderer_version === RENDERER_VERSION;
      const content = fresh ? unseal(account, row) : await rebuild(account, id, row);
      if (content !== null) found.set(toHex(id), content);
    }
    return messageIds.map((id) => found.get(toHex(id)) ?? null);
  };

  return {
    list,
    async raw(account, messageId) {
      const known = rendered.get(toHex(messageId));
      if (known !== undefined) return known;
      const [content] = await list(account, [messageId]);
      if (content == null) return null;
      return gate.pass(content.index.sizeBytes, async () => {
        const message = rendered.get(toHex(messageId)) ?? (await findMessage(db, account.accountId, messageId));
        if (message === undefined || Buffer.isBuffer(message)) return message ?? null;
        return (await render(account, message, content.cautions)).raw;
      });
    },
    get opened() {
      return opened;
    },
  };
}

/** Of a message that was verified before. `inPlace` overwrites its ciphertext. Throws MailboxError `unreadable`. */
export async function decrypt(
  account: MailAccount,
  message: StoredMessage,
  cautions: readonly Caution[],
  { inPlace }: { inPlace: boolean } = { inPlace: false },
): Promise<OpenedContent> {
  const senderPublicKey = toHex<Hex32>(message.sender_public_key);
  try {
    const messageSecret = await account.keys.messageSecret(message.message_public_key);
    if (messageSecret === null) throw new ProfileError('unknown-message-key');
    const { header, body } = openBoxes({
      ciphertext: message.ciphertext,
      nonce: toHex<Hex24>(message.nonce),
      senderPublicKey,
      senderMasterKeys: [senderPublicKey],
      messageSecret,
      inPlace,
    });
    return { header: parseHeader(header), body, content: parseBody(message.message_type, body), cautions };
  } catch (cause) {
    if (cause instanceof ProfileError) throw new MailboxError('unreadable', { cause });
    throw cause;
  }
}
