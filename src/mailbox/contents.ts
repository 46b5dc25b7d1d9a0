/**
 * Contents of shown messages: what clients list, indexed once when the message was opened, and the rendered bytes. Both are
 * sealed at rest with the account key, the bytes of small messages only, and go with the row of their message. Listing never
 * touches ciphertext; the body of a large message is decrypted when it is asked for.
 *
 * Kept in memory up to a number of bytes, and dropped when its message is seen to have left a folder. A message was verified
 * before it was shown (SMIMP 0.1 §4.4); here it is only decrypted again, and nothing is fetched.
 */
import type { ByteGate } from '../memory/byte-gate.ts';
import { freeMemory } from '../memory/free-memory.ts';
import { parseRendererVersion, RENDERER_VERSION, type RendererVersion } from '../mime/from-email.ts';
import { previewOf } from '../mime/preview.ts';
import { indexMessage } from '../mime/structure/message-index.ts';
import { openBoxes } from '../smimp/boxes.ts';
import { parseBody } from '../smimp/email.ts';
import { type Hex24, type Hex32, toHex } from '../smimp/encoding.ts';
import { ProfileError } from '../smimp/errors.ts';
import { parseHeader } from '../smimp/header.ts';
import type { Caution } from '../smimp/open.ts';
import {
  findContents,
  findRendered,
  keepRendered,
  replaceContent,
  type StoredContent,
  type StoredRendered,
} from '../store/contents.ts';
import type { Db } from '../store/database.ts';
import { findMessage, type StoredMessage } from '../store/messages.ts';
import { ByteLru } from './byte-lru.ts';
import { MailboxError } from './errors.ts';
import { KEPT_RENDERED_BYTES, packRendered, type Rendered, unpackRendered } from './kept-rendered.ts';
import { decideView, type LegacyDisplay } from './legacy-view.ts';
import type { MailAccount } from './mail-account.ts';
import { type Content, type PackedContent, packContent, unpackContent } from './packed-content.ts';
import {
  type InternalDate,
  internalDateOf,
  type OpenedContent,
  type OriginalDisplay,
  type Rendered as RenderedMessage,
  renderOpened,
} from './rendering.ts';

export type { Content } from './packed-content.ts';

/** About 13,000 messages with ordinary headers. */
export const INDEX_CACHE_BYTES = 28 * 1024 * 1024;
/** Of small messages, which are read again at little cost. */
export const SMALL_CACHE_BYTES = 8 * 1024 * 1024;
/** Programs fetch a large message in pieces; this keeps it rendered meanwhile. */
export const RENDERED_CACHE_BYTES = 48 * 1024 * 1024;
const PURPOSE = 'content';
const RENDERED = 'rendered';

export interface Contents {
  /** What is listed of these messages, in their order; null for one that is gone. */
  list(account: MailAccount, messageIds: readonly Buffer[]): Promise<(PackedContent | null)[]>;
  /** The rendered bytes; null when it is gone. Throws MailboxError `unreadable`. */
  raw(account: MailAccount, messageId: Buffer): Promise<Buffer | null>;
  /** The bytes of those that are kept at rest, read at once, by `contentKey`. They are not kept in memory here. */
  prefetch(account: MailAccount, messageIds: readonly Buffer[]): Promise<ReadonlyMap<string, Buffer>>;
  /** Drops from memory what is known of messages that left a folder: they may be deleted. One that moved is read again. */
  forget(account: MailAccount, messageIds: readonly Buffer[]): void;
  /** Ciphertexts opened so far, for the metric and for tests. */
  readonly opened: number;
}

/** What is kept of a rendered message. `deflated`: the same, where somebody deflated it already. */
export function contentOf(
  raw: Buffer,
  opened: Decided & { internalDate: InternalDate },
  deflated: Buffer | null = null,
): Content {
  const index = indexMessage(raw);
  const rendered = raw.length > KEPT_RENDERED_BYTES ? null : { raw, deflated };
  return { ...decided(opened), index, internalDate: opened.internalDate, preview: previewOf(raw, index), rendered };
}

/** What was decided when the message was opened, and holds for ever. */
type Decided = Pick<Content, 'cautions' | 'legacyView' | 'trace' | 'originals'>;

const decided = ({ cautions, legacyView, trace, originals }: Decided): Decided => ({
  ...{ cautions, legacyView, trace, originals },
});

/** By what it is decided. */
export interface DisplayRules {
  /** Whose word is taken for people of the old internet; null or absent: nobody's. */
  legacyDisplay?: LegacyDisplay | null;
  originals?: OriginalDisplay;
}

/** Of a message that was opened just now. */
export async function contentToKeep(
  { db, legacyDisplay = null, originals }: DisplayRules & { db: Db },
  account: MailAccount,
  opened: OpenedContent,
  receivedAt: Date,
): Promise<{ content: Content; original: RenderedMessage['original'] }> {
  const { header, content, cautions, trace } = opened;
  const internalDate = internalDateOf(header, account.address, receivedAt);
  const legacyView = (await decideView(db, legacyDisplay, { from: header.from, content })) ?? undefined;
  const { raw, original } = renderOpened({ ...opened, legacyView, originals }, account);
  return { content: contentOf(raw, { internalDate, cautions, legacyView, trace, originals }), original };
}

/** The row of a content. */
export function sealedContent(account: MailAccount, messageId: Buffer, content: Content) {
  const { rendered = null } = content;
  return {
    message_id: messageId,
    account_id: account.accountId,
    renderer_version: RENDERER_VERSION,
    sealed: account.keys.seal(PURPOSE, messageId, packContent(content)),
    sealed_for: messageId,
    rendered: rendered === null ? null : sealedRendered(account, messageId, rendered),
  };
}

function sealedRendered(account: MailAccount, sealedFor: Buffer, rendered: Rendered): Buffer {
  return account.keys.seal(RENDERED, sealedFor, packRendered(rendered));
}

/** So many asked for at once are no list on a screen but all of a folder. */
const MANY = 100;

/** A key for a Map of one account's messages: shorter than in hex. */
export const contentKey = (messageId: Buffer): string => messageId.toString('latin1');

/** … and of the messages of all accounts: what one may see no other is given, whatever it calls its messages. */
const sharedKey = ({ accountId }: MailAccount, messageId: Buffer): string => `${accountId}.${contentKey(messageId)}`;

function unsealRendered(account: MailAccount, row: StoredRendered): Buffer {
  return unpackRendered(account.keys.unsealInPlace(RENDERED, row.sealed_for, row.rendered));
}

export function createContents(options: { db: Db; gate: ByteGate }): Contents {
  const { db, gate } = options;
  const indexes = new ByteLru<PackedContent>(INDEX_CACHE_BYTES);
  const large = new ByteLru<Buffer>(RENDERED_CACHE_BYTES);
  const small = new ByteLru<Buffer>(SMALL_CACHE_BYTES);
  const rendered = {
    get: (key: string): Buffer | undefined => small.get(key) ?? large.get(key),
    set: (key: string, raw: Buffer): void =>
      (raw.length > KEPT_RENDERED_BYTES ? large : small).set(key, raw, raw.length),
  };
  const forget: Contents['forget'] = (account, messageIds) => {
    for (const id of messageIds) for (const kept of [indexes, large, small]) kept.delete(sharedKey(account, id));
  };
  let opened = 0;

  const remember = (account: MailAccount, messageId: Buffer, content: PackedContent): PackedContent => {
    indexes.set(sharedKey(account, messageId), content, content.memoryBytes);
    return content;
  };

  /** Whoever goes through a large folder takes the place of nothing: it would be the place of what comes next. */
  const rememberOfMany: typeof remember = (account, messageId, content) =>
    indexes.usedBytes + content.memoryBytes > INDEX_CACHE_BYTES ? content : remember(account, messageId, content);

  const unseal = (account: MailAccount, row: StoredContent): PackedContent =>
    unpackContent(
      account.keys.unsealInPlace(PURPOSE, row.sealed_for, row.sealed),
      parseRendererVersion(row.renderer_version),
    );

  /** By the renderer whose sizes were stored of it: they are true for ever. */
  const render = async (account: MailAccount, message: StoredMessage, by: Decided & { version: RendererVersion }) => {
    opened += 1;
    const content = await decrypt(account, message, by.cautions, { inPlace: true });
    const { raw } = renderOpened({ ...content, ...decided(by) }, account, by.version);
    freeMemory(message.ciphertext);
    rendered.set(sharedKey(account, message.message_id), raw);
    const internalDate = internalDateOf(content.header, account.address, message.time_received);
    return { raw, internalDate };
  };

  /** Done only when nothing is stored of a message, or when this program cannot render it any more as it was. */
  const index = async (
    account: MailAccount,
    messageId: Buffer,
    from: { raw: Buffer; internalDate: InternalDate } & Decided,
  ) => {
    const content = contentOf(from.raw, from);
    await replaceContent(db, sealedContent(account, messageId, content));
    return remember(account, messageId, unpackContent(packContent(content), RENDERER_VERSION));
  };

  const rebuild = async (account: MailAccount, messageId: Buffer, stale: PackedContent | null) => {
    const message = await findMessage(db, account.accountId, messageId);
    if (message === undefined) return null;
    const known = decided(stale ?? { cautions: [] });
    const made = await render(account, message, { ...known, version: RENDERER_VERSION });
    return index(account, messageId, { ...made, ...known });
  };

  const list: Contents['list'] = async (account, messageIds) => {
    // Whoever goes through a large folder moves nothing to the front: it would be all of it.
    const known = (key: string) => (messageIds.length < MANY ? indexes.get(key) : indexes.peek(key));
    const found = messageIds.map((id) => known(sharedKey(account, id)) ?? null);
    const missing = messageIds.filter((_id, n) => found[n] === null);
    if (missing.length === 0) return found;
    const rows = await findContents(db, account.accountId, missing);
    const byId = new Map(rows.map((row) => [contentKey(row.message_id), row]));
    const keep = missing.length < MANY ? remember : rememberOfMany;
    // One that was moved within a folder is asked for twice, and opened once: that writes over what is sealed.
    const made = new Map<string, PackedContent | null>();
    for (const [n, id] of messageIds.entries()) {
      if (found[n] !== null) continue;
      const key = contentKey(id);
      if (!made.has(key)) {
        const row = byId.get(key);
        const content = row === undefined ? null : unseal(account, row);
        const isStale = content === null || content.version === null;
        made.set(key, isStale ? await rebuild(account, id, content) : keep(account, id, content));
      }
      found[n] = made.get(key) ?? null;
    }
    return found;
  };

  const openLarge = (account: MailAccount, messageId: Buffer, content: PackedContent): Promise<Buffer | null> =>
    gate.pass(content.index.sizeBytes, async () => {
      const key = sharedKey(account, messageId);
      const message = rendered.get(key) ?? (await findMessage(db, account.accountId, messageId));
      if (message === undefined || Buffer.isBuffer(message)) return message ?? null;
      const known = decided(content);
      const made = await render(account, message, { ...known, version: content.version ?? RENDERER_VERSION });
      if (made.raw.length !== content.index.sizeBytes) await index(account, messageId, { ...made, ...known });
      else if (made.raw.length <= KEPT_RENDERED_BYTES)
        await keepRendered(db, messageId, (sealedFor) =>
          sealedRendered(account, sealedFor, { raw: made.raw, deflated: null }),
        );
      return made.raw;
    });

  return {
    list,
    forget,
    async raw(account, messageId) {
      const key = sharedKey(account, messageId);
      const known = rendered.get(key);
      if (known !== undefined) return known;
      const [kept] = await findRendered(db, account.accountId, [messageId]);
      if (kept !== undefined) {
        const raw = unsealRendered(account, kept);
        rendered.set(key, raw);
        return raw;
      }
      const [content] = await list(account, [messageId]);
      return content == null ? null : openLarge(account, messageId, content);
    },
    async prefetch(account, messageIds) {
      const rows = await findRendered(db, account.accountId, [...messageIds]);
      return new Map(rows.map((row) => [contentKey(row.message_id), unsealRendered(account, row)]));
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
