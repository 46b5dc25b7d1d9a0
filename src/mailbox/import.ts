/**
 * Mail that the owner, or the bridge for her, puts into her own mailbox: sealed to her own non-ephemeral key and signed by
 * her master key, as `import_message` would take it (SMIMP 0.1 §5), and shown at once.
 */
import { readOwnHistory } from '../identity/own-history.ts';
import type { AccountKeys } from '../keystore/keystore.ts';
import { collectGarbage, freeMemory } from '../memory/free-memory.ts';
import type { NoticeKind } from '../mime/bridge-mail.ts';
import { ORIGINAL_FORMAT } from '../mime/original/format.ts';
import { deflatedWhole } from '../mime/original/pack.ts';
import { toMailbox } from '../smimp/address.ts';
import { sealMessage } from '../smimp/boxes.ts';
import type { VerifiedHistory } from '../smimp/chain.ts';
import { hash, randomBytes, wipe } from '../smimp/crypto.ts';
import type { EmailBody } from '../smimp/email.ts';
import { emailBytes } from '../smimp/email-bytes.ts';
import { formatTimestamp, type Hex32, toHex, view } from '../smimp/encoding.ts';
import { signSealed } from '../smimp/envelope.ts';
import type { MessageHeader } from '../smimp/header.ts';
import { digestOf, loginTokenDigest } from '../smimp/transcript.ts';
import type { Db, Executor, Tx } from '../store/database.ts';
import { lockMailbox } from '../store/folders.ts';
import { insertOwnMail, type OwnMeans, ownMeans } from '../store/own-mail.ts';
import type { DefaultQuota } from '../store/quota.ts';
import { noticeOriginal } from './bridge-mark.ts';
import { type Content, contentOf, sealedContent } from './contents.ts';
import { MailboxError } from './errors.ts';
import { withFlags } from './flags.ts';
import type { MailAccount } from './mail-account.ts';
import { withoutDisguise } from './originals.ts';
import { referenceTo } from './references.ts';
import { type InternalDate, internalDateOf, originalOf, renderOpened } from './rendering.ts';
import { threadChoice } from './threads.ts';

const ID_BYTES = 32;

export interface OwnMail {
  account: MailAccount;
  folderId: number;
  uid: Hex32;
  body: EmailBody;
  flags: readonly string[];
  /** The message as the owner gave it, with its date; null for mail that the bridge writes. */
  original: {
    raw: Buffer;
    internalDate: InternalDate | null;
    /** When nobody else needs `raw`: called once it has been made use of. */
    release?: () => void;
  } | null;
  /** What the bridge writes: its kind. Null for mail of the owner. */
  notice: NoticeKind | null;
  now: Date;
  /** Most bytes of a mailbox without a limit of its own. */
  defaultQuota: DefaultQuota;
  /** What was made ready of it already. */
  ready?: ReadyMail | null;
}

/** All of a message that depends on nothing but the message. `listed`: null where it has to be rendered first. */
export interface ReadyMail {
  messageId: Buffer;
  body: Buffer;
  original: MessageHeader['original'];
  listed: ReturnType<typeof listedAs> | null;
}

/** What the bridge writes to a full mailbox's owner still fits: some thousand notices without attachments. */
export const NOTICE_SLACK_BYTES = 16 * 1024 * 1024;

/** Where it is. */
export type Imported = { uid: number; messageId: Buffer };

/** Larger mail goes by way of a transaction, which sends it in slices and never has to seal it twice. */
export const AT_ONCE_BYTES = 256 * 1024;
/** What was made of it; with its original and padding it fits into one statement. */
const MAX_BODY_BYTES = 1024 * 1024;

/**
 * Puts the message in. The caller's transaction decides whether it happened. Throws MailboxError `no-folder` and
 * `over-quota`, and then nothing was written.
 */
export async function importOwn(tx: Tx, mail: OwnMail): Promise<Imported> {
  const { accountId } = mail.account;
  await lockMailbox(tx, accountId);
  const imported = await putIn(tx, mail, await ownMeans(tx, accountId));
  if (imported === null) throw new TypeError('keys were replaced although the mailbox is held');
  return imported;
}

/**
 * The same by one statement, by means that were found before the mailbox was held. Null: they, or the folders, are not what they
 * were, and nothing was written.
 */
export function importAtOnce(db: Db, mail: OwnMail & { ready: ReadyMail }, means: OwnMeans): Promise<Imported | null> {
  return putIn(db, mail, means);
}

/** Of mail small enough to be written at once; null of what is larger. */
export function readyAtOnce(mail: Omit<OwnMail, 'folderId'>): ReadyMail | null {
  if (mail.original === null || mail.original.raw.length > AT_ONCE_BYTES) return null;
  const ready = makeReady(mail);
  return ready.body.length > MAX_BODY_BYTES ? null : ready;
}

function makeReady(mail: Omit<OwnMail, 'folderId'>): ReadyMail {
  const { account } = mail;
  const messageId = randomBytes(ID_BYTES);
  const body = emailBytes(mail.body);
  collectGarbage(body.byteLength);
  const original = originalField(mail, body);
  // What comes back byte for byte need not be put together again to be listed.
  if (mail.original === null || original?.format !== ORIGINAL_FORMAT)
    return { messageId, body, original, listed: null };
  const { raw: given } = mail.original;
  const raw = withoutDisguise(given, toMailbox(account.address));
  const content = contentOf(
    raw,
    { internalDate: dateOf(mail), cautions: [] },
    raw === given ? deflatedWhole(original) : null,
  );
  return { messageId, body, original, listed: listedAs(mail, messageId, content) };
}

function listedAs(mail: Omit<OwnMail, 'folderId'>, messageId: Buffer, content: Content) {
  const { account, uid } = mail;
  return {
    content: sealedContent(account, messageId, content),
    thread: threadChoice(account, { messageId, index: content.index, body: contentOfBody(mail) }),
    reference: referenceTo(account, content.index, uid),
  };
}

/** Null: `means` are not in use any more, and nothing was written. */
async function putIn(db: Executor, mail: OwnMail, means: OwnMeans): Promise<Imported | null> {
  const { account, folderId, defaultQuota, notice, now } = mail;
  const ready = mail.ready ?? makeReady(mail);
  const { messageId, body } = ready;
  const header = ownHeader(mail, ready, await ownHistory(db, account, means));
  const listed = ready.listed ?? listedAs(mail, messageId, renderedContent(mail, header, body));
  mail.original?.release?.();
  const { columns, by } = sealToSelf(account, means, header, body);
  const digest = Buffer.from(digestOf(toHex(columns.message_hash)), 'hex');
  const flags = withFlags(account, { read: false, extensionsData: null, digest }, mail.flags);
  // What was made ready may be sealed once more.
  if (mail.ready == null) freeMemory(body);
  collectGarbage(columns.ciphertext.length);
  const uid = await insertOwnMail(db, {
    message: {
      ...columns,
      message_id: messageId,
      account_id: account.accountId,
      folder_id: folderId,
      message_type: 'email',
      sender_address: account.address,
      time_received: now,
      received_via: 'imap_bridge',
      read: flags?.read ?? false,
      extensions_data: flags?.extensionsData ?? null,
      notes_version: flags?.notesVersion ?? 0,
    },
    room: { defaultQuota, slackBytes: notice === null ? 0 : NOTICE_SLACK_BYTES },
    ...{ ...listed, digest, by },
  });
  if (uid === 'stale') return null;
  if (typeof uid === 'string') throw new MailboxError(uid);
  return { uid, messageId };
}

function renderedContent(mail: OwnMail, header: MessageHeader, body: Uint8Array): Content {
  const { account, now } = mail;
  const { raw } = renderOpened({ header, body, content: contentOfBody(mail), cautions: [] }, account);
  return contentOf(raw, { internalDate: internalDateOf(header, account.address, now), cautions: [] });
}

const contentOfBody = ({ body }: Pick<OwnMail, 'body'>) => ({ type: 'email' as const, value: body });

/** The history of an account while its keys are open, and by which record it was verified. Records are only ever added. */
const verified = new WeakMap<AccountKeys, { last: Buffer; history: VerifiedHistory }>();

async function ownHistory(
  db: Executor,
  { keys }: MailAccount,
  { lastRecord: last }: OwnMeans,
): Promise<VerifiedHistory> {
  const known = verified.get(keys);
  if (known !== undefined && last !== null && known.last.equals(last)) return known.history;
  const { history } = await readOwnHistory(db, keys);
  // Another record may have come since the last one was asked for.
  const newest = history.records.at(-1);
  if (newest !== undefined) verified.set(keys, { last: Buffer.from(newest.signed_hash, 'hex'), history });
  return history;
}

function ownHeader(mail: OwnMail, { original }: ReadyMail, history: VerifiedHistory): MessageHeader {
  const { account, uid, now } = mail;
  const head = { seq: history.seq, head: history.head };
  const people = { from: account.address, to: account.address };
  const heads = { sender_head: head, recipient_head: head };
  return { v: 1, ...people, uid, sent: formatTimestamp(secondsOf(now)), ...heads, via: null, original };
}

const secondsOf = (time: Date): number => Math.floor(time.getTime() / 1000);

/** What makes the owner's mail hers again, or the bridge's mail the bridge's. */
function originalField(mail: Omit<OwnMail, 'folderId'>, body: Uint8Array) {
  const { account, uid, original, notice } = mail;
  if (notice !== null) return noticeOriginal(account, { uid, kind: notice, body });
  const { attachments } = mail.body;
  return original && originalOf(original.raw, { attachments, bodyBytes: body.byteLength, date: dateOf(mail) });
}

/** When she says that it came, or now. */
const dateOf = ({ original, now }: Pick<OwnMail, 'original' | 'now'>): InternalDate =>
  original?.internalDate ?? { unixSeconds: secondsOf(now), zoneMinutes: 0 };

/** The columns of an envelope from oneself to oneself. There is no session; a random token stands in its place. */
function sealToSelf(
  account: MailAccount,
  { version, master, messageKey, lastRecord }: OwnMeans,
  header: MessageHeader,
  body: Uint8Array,
) {
  if (master === null || messageKey === null || lastRecord === null) throw new MailboxError('unreadable');
  const { publicKey, sealed: sealedMaster } = master;
  const senderKey = { publicKey, secretKey: account.keys.unseal('master', publicKey, sealedMaster) };
  try {
    const messagePublicKey = toHex<Hex32>(messageKey);
    const sealed = sealMessage({ header, body, messageType: 'email', messagePublicKey, senderKey });
    const loginTokenHash = toHex<Hex32>(loginTokenDigest(toHex(hash(randomBytes(ID_BYTES)))));
    const people = { sender: account.address, recipient: account.address };
    const signed = signSealed({ sealed, proofOfWork: null, loginTokenHash, ...people, senderKey });
    const columns = {
      ciphertext: view(sealed.ciphertext),
      nonce: Buffer.from(sealed.nonce, 'hex'),
      message_hash: Buffer.from(signed, 'hex'),
      login_token_hash: Buffer.from(loginTokenHash, 'hex'),
    };
    return { columns, by: { version, master: publicKey, messageKey } };
  } finally {
    wipe(senderKey.secretKey);
  }
}
