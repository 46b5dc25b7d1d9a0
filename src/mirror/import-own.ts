/**
 * The owner's own mail put in at the home (SMIMP 0.1 §5, `import_message`): what she appended here, and what the bridge wrote
 * to her. The home takes it under the key that is current there and signed in a session of the owner, so it is sealed anew;
 * the envelope is kept here before it is posted, and whoever finds it at the home knows that it is this message.
 */
import { readOwnHistory } from '../identity/own-history.ts';
import { envelopeJson } from '../pipeline/large-json.ts';
import type { Session } from '../remote/home.ts';
import type { StreamedBody } from '../remote/https.ts';
import type { PlacedAnswer } from '../smimp/api.ts';
import { openBoxes, sealMessage } from '../smimp/boxes.ts';
import { wipe } from '../smimp/crypto.ts';
import { type Hex24, type Hex32, type SignedHash, toHex } from '../smimp/encoding.ts';
import { sentEnvelope, signSealed } from '../smimp/envelope.ts';
import { parseHeader } from '../smimp/header.ts';
import { verifyMessageKey } from '../smimp/message-key.ts';
import { lockMailbox } from '../store/folders.ts';
import { findMessage, type StoredMessage } from '../store/messages.ts';
import { type NewEnvelope, type NewHere, replaceEnvelope, sameEnvelope } from '../store/mirror-differences.ts';
import { insertMirrored } from '../store/mirror-messages.ts';
import { rememberSeen } from '../store/unopened.ts';
import { MirrorError } from './errors.ts';
import { movedExtensions } from './merge.ts';
import { type Mirror, orCode, storedMirror } from './mirror.ts';

const SIGNATURE_BYTES = 64;
const NO_BYTES = new Uint8Array();

/** Null: it is here no more. `again`: the home changed meanwhile. Throws RemoteError, MirrorError `foreign-key`. */
export async function importOwnMail(
  mirror: Mirror,
  row: NewHere,
  folderName: string | null,
): Promise<PlacedAnswer | 'again' | null> {
  const { services, accountId } = mirror;
  const placed = await mirror.asOwner(async (session) => {
    const message = await sealedForHome(mirror, row, session);
    if (message === null) return null;
    const body = importBody(message, folderName);
    return {
      message,
      answer: await orCode(services.owner.importMessage(session, body), ['unknown_folder', 'bad_key']),
    };
  });
  if (placed === null) return null;
  const { message, answer } = placed;
  if ('refused' in answer) return 'again';
  await insertMirrored(services.db, {
    ...{ account_id: accountId, remote_id: Buffer.from(answer.message_id, 'hex'), message_id: message.message_id },
    ...{ folder_id: row.folder_id, read: message.read, extensions_data: null, revision: answer.revision },
    ...{ message_hash: message.message_hash, message_public_key: message.message_public_key },
    round: (await storedMirror(mirror)).round,
  });
  return answer;
}

function importBody(message: StoredMessage, folderName: string | null): StreamedBody {
  const sealed = {
    ciphertext: NO_BYTES,
    messageType: message.message_type,
    messagePublicKey: toHex<Hex32>(message.message_public_key),
    nonce: toHex<Hex24>(message.nonce),
  };
  const signed = { proofOfWork: null, messageHash: toHex<SignedHash>(message.message_hash) };
  const { message: _none, ...envelope } = sentEnvelope(sealed, signed);
  const json = envelopeJson(envelope, message.ciphertext);
  const start = Buffer.from('{"envelope":');
  const end = Buffer.from(`,${JSON.stringify({ folder_name: folderName, read: message.read }).slice(1)}`);
  return {
    sizeBytes: start.length + json.sizeBytes + end.length,
    *pieces() {
      yield start;
      yield* json.pieces();
      yield end;
    },
  };
}

/** The message as the home takes it in this session, kept here so. */
async function sealedForHome(mirror: Mirror, row: NewHere, session: Session): Promise<StoredMessage | null> {
  const { services, account, accountId } = mirror;
  const message = await findMessage(services.db, accountId, row.message_id);
  if (message === undefined) return null;
  const key = await currentKey(mirror, session);
  const isReady =
    toHex(message.message_public_key) === key &&
    toHex(message.login_token_hash) === session.loginTokenHash &&
    toHex(message.sender_public_key) === session.publicKey;
  if (isReady) return message;
  const envelope = await sealAnew(mirror, message, { key, session });
  const isKept = await services.db.transaction().execute(async (tx) => {
    await lockMailbox(tx, accountId);
    const before = { messageHash: message.message_hash, publicKey: message.message_public_key };
    const same = await sameEnvelope(tx, accountId, before);
    const digests = { from: digestIn(message.message_hash), to: digestIn(envelope.messageHash) };
    for (const { message_id: messageId, extensions_data: blob } of same) {
      const extensionsData = movedExtensions(account, blob, digests);
      await replaceEnvelope(tx, { accountId, messageId }, { ...envelope, extensionsData });
    }
    const seen = [{ kind: 'digest' as const, value: digests.to }];
    await rememberSeen(tx, accountId, message.message_id, seen, services.clock());
    return same.some(({ message_id }) => message_id.equals(message.message_id));
  });
  if (!isKept) return null;
  return (await findMessage(services.db, accountId, message.message_id)) ?? null;
}

function digestIn(messageHash: Buffer): Buffer {
  return messageHash.subarray(SIGNATURE_BYTES);
}

/** The home's lasting key of the owner, if it is one of hers: else the home would read what is sealed to it. */
async function currentKey({ services, account }: Mirror, session: Session): Promise<Hex32> {
  const shown = await services.owner.nonEphemeralKey(session);
  const { history } = await readOwnHistory(services.db, account);
  const now = Math.floor(services.clock().getTime() / 1000);
  const { key } = verifyMessageKey({ address: account.address, key: shown, masterKeys: history.masterKeys, now });
  const secret = await account.keys.messageSecret(Buffer.from(key.public_key, 'hex'));
  if (secret === null) throw new MirrorError('foreign-key');
  wipe(secret);
  return key.public_key;
}

/** The same header and body: what mail programs see of it stays the same. */
async function sealAnew(
  { services, account }: Mirror,
  message: StoredMessage,
  to: { key: Hex32; session: Session },
): Promise<NewEnvelope> {
  const secret = await account.keys.messageSecret(message.message_public_key);
  if (secret === null) throw new MirrorError('unreadable');
  const senderPublicKey = toHex<Hex32>(message.sender_public_key);
  const { header, body } = openBoxes({
    ciphertext: message.ciphertext,
    nonce: toHex<Hex24>(message.nonce),
    senderPublicKey,
    senderMasterKeys: [senderPublicKey],
    messageSecret: secret,
  });
  const { history } = await readOwnHistory(services.db, account);
  const head = { seq: history.seq, head: history.head };
  const senderKey = await account.keys.master();
  try {
    const sealed = sealMessage({
      header: { ...parseHeader(header), sender_head: head, recipient_head: head },
      body,
      messageType: message.message_type,
      messagePublicKey: to.key,
      senderKey,
    });
    const { loginTokenHash } = to.session;
    const people = { sender: account.address, recipient: account.address };
    const signed = signSealed({ sealed, proofOfWork: null, loginTokenHash, ...people, senderKey });
    return {
      ciphertext: Buffer.from(sealed.ciphertext.buffer, sealed.ciphertext.byteOffset, sealed.ciphertext.byteLength),
      messagePublicKey: Buffer.from(to.key, 'hex'),
      nonce: Buffer.from(sealed.nonce, 'hex'),
      messageHash: Buffer.from(signed, 'hex'),
      senderPublicKey: Buffer.from(senderKey.publicKey),
      loginTokenHash: Buffer.from(loginTokenHash, 'hex'),
    };
  } finally {
    wipe(senderKey.secretKey, secret);
  }
}
