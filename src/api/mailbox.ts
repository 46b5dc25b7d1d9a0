/** The owner's mailbox (SMIMP 0.1 §5): `folder`, `message`, `message_read`, `import_message`. */

import type { Address } from '../smimp/address.ts';
import { DEFAULT_FOLDER_PAGE, type Summary } from '../smimp/api.ts';
import { randomBytes } from '../smimp/crypto.ts';
import {
  type Base64,
  formatTimestamp,
  type Hex24,
  type Hex32,
  type SignedHash,
  toBase64,
  toHex,
} from '../smimp/encoding.ts';
import { parseSentEnvelope } from '../smimp/envelope.ts';
import { ProfileError } from '../smimp/errors.ts';
import { checkSubmittedKey, checkSubmittedSignature } from '../smimp/submit.ts';
import { findEnvelope, findRead, folderId, listEnvelopes, type SummaryRow, setRead } from '../store/envelopes.ts';
import { lockMailbox } from '../store/folders.ts';
import { findNonEphemeral } from '../store/message-keys.ts';
import { deleteMessages, insertMessage } from '../store/messages.ts';
import { type ApiServices, type Call, type Handlers, type Owner, ownerOf, seconds, sessionOf } from './call.ts';
import { ApiError } from './errors.ts';
import { VERSION } from './identity.ts';
import { masterKeysOf } from './message-keys.ts';
import { targetFolder } from './placing.ts';
import { requireRoom } from './quota.ts';
import { envelopeColumns } from './send.ts';

const ID_BYTES = 32;

export function summaryOf(row: SummaryRow): Summary {
  return {
    message_id: toHex(row.message_id),
    time_received: formatTimestamp(seconds(row.time_received)),
    read: row.read,
    from: row.sender_address as Address,
    size: row.size_bytes,
    folder_name: row.folder_name,
    message_type: row.message_type,
    seq: row.seq,
    revision: row.revision,
  };
}

type StoredEnvelope = NonNullable<Awaited<ReturnType<typeof findEnvelope>>>;

function storedEnvelope(row: StoredEnvelope, owner: Owner) {
  const zero_bits = row.pow_zero_bits;
  const nonce = row.pow_nonce === null ? null : toHex<Hex32>(row.pow_nonce);
  return {
    message: toBase64(row.ciphertext) as Base64,
    message_type: row.message_type,
    algorithm: 'curve25519xsalsa20poly1305' as const,
    message_public_key: toHex<Hex32>(row.message_public_key),
    nonce: toHex<Hex24>(row.nonce),
    proof_of_work: row.proof_of_work,
    message_hash: toHex<SignedHash>(row.message_hash),
    recipient_address: owner.address,
    sender_address: row.sender_address as Address,
    sender_public_key: toHex<Hex32>(row.sender_public_key),
    time_received: formatTimestamp(seconds(row.time_received)),
    proof_of_work_parameters: zero_bits === null || nonce === null ? null : { zero_bits, nonce },
    message_id: toHex<Hex32>(row.message_id),
    login_token_hash: toHex<Hex32>(row.login_token_hash),
    received_via: row.received_via,
    read: row.read,
    extensions_data: row.extensions_data === null ? null : (toBase64(row.extensions_data) as Base64),
    protocol_version: VERSION as '0.1',
    folder_name: row.folder_name,
    revision: row.revision,
    seq: row.seq,
  };
}

export function mailboxHandlers(services: ApiServices): Handlers {
  const { db } = services;

  const page = async (
    owner: Owner,
    folder: { type: string; name: string | null },
    query: { after?: number | undefined; limit?: number | undefined },
  ) => {
    const { type: messageType, name } = folder;
    const id = await folderId(db, { accountId: owner.accountId, messageType, name });
    if (id === null) throw new ApiError('unknown_folder');
    const limit = query.limit ?? DEFAULT_FOLDER_PAGE;
    // A mail program may have put a short message among the mail: it is listed where it lies.
    const only = name === null ? messageType : null;
    const asked = { folderId: id, messageType: only, after: query.after ?? 0, limit: limit + 1 };
    const rows = await listEnvelopes(db, asked);
    const messages = rows.slice(0, limit).map(summaryOf);
    return { body: { messages, next: rows.length > limit ? (messages.at(-1)?.seq ?? null) : null } };
  };

  const mark = async (accountId: number, id: Hex32, read: boolean): Promise<number> => {
    const messageId = Buffer.from(id, 'hex');
    const revision = await db.transaction().execute(async (tx) => {
      await lockMailbox(tx, accountId);
      return setRead(tx, { accountId, messageId, read });
    });
    if (revision === null) throw new ApiError('unknown_message');
    return revision;
  };

  return {
    get_inbox: (call) => page(ownerOf(call), { type: call.params.type, name: null }, call.query),
    get_folder: (call) => page(ownerOf(call), call.params, call.query),
    get_message: async (call) => {
      const owner = ownerOf(call);
      const { id } = call.params;
      if (call.params.mark === 'true') await mark(owner.accountId, id, true);
      const row = await findEnvelope(db, owner.accountId, Buffer.from(id, 'hex'));
      if (row === undefined) throw new ApiError('unknown_message');
      return { body: storedEnvelope(row, owner) };
    },
    delete_message: async (call) => {
      const { accountId } = ownerOf(call);
      const ids = [Buffer.from(call.params.id, 'hex')];
      const deleted = await db.transaction().execute((tx) => deleteMessages(tx, accountId, ids, call.now));
      if (deleted === null) throw new ApiError('unknown_message');
      return { body: undefined };
    },
    get_message_read: async (call) => {
      const read = await findRead(db, ownerOf(call).accountId, Buffer.from(call.params.id, 'hex'));
      if (read === null) throw new ApiError('unknown_message');
      return { body: { read } };
    },
    post_message_read: async (call) => ({
      body: { revision: await mark(ownerOf(call).accountId, call.params.id, call.request.read) },
    }),
    import_message: (call) => importMessage(services, call),
  };
}

/** The owner's own message, sealed to the current non-ephemeral key and signed by the current master key; no work. */
async function importMessage(services: ApiServices, call: Call<'import_message'>) {
  const { db } = services;
  const { accountId, address } = ownerOf(call);
  const session = sessionOf(call);
  const { folder_name: name, read } = call.request;
  const envelope = parseSentEnvelope(call.request.envelope);
  // It is signed; stored without it the envelope would not verify, and none was asked for.
  if (envelope.proof_of_work !== null) throw new ApiError('bad_request');
  const login_token_hash = session.login_token_hash;
  return db.transaction().execute(async (tx) => {
    await lockMailbox(tx, accountId);
    const folder = await targetFolder(tx, { accountId, messageType: envelope.message_type, name });
    const key = await findNonEphemeral(tx, accountId);
    const masterKeys = await masterKeysOf(tx, accountId);
    const master = masterKeys.at(-1);
    if (key === undefined || master === undefined) throw new ApiError('bad_key');
    const loginTokenHash = toHex<Hex32>(login_token_hash);
    refuseAs('bad_key', () => checkSubmittedKey(envelope, toHex(key.public_key), masterKeys));
    const signed = { sender: address, recipient: address, senderPublicKey: master, loginTokenHash };
    refuseAs('bad_signature', () => checkSubmittedSignature(envelope, signed));
    await requireRoom(tx, services, { accountId, addBytes: envelope.ciphertext.byteLength });
    const messageId = randomBytes(ID_BYTES);
    const place = await insertMessage(tx, {
      ...envelopeColumns(envelope),
      ...{ message_id: messageId, account_id: accountId, folder_id: folder, sender_address: address, login_token_hash },
      ...{ sender_public_key: Buffer.from(master, 'hex'), time_received: call.now, received_via: 'import_api' },
      ...{ proof_of_work: null, pow_zero_bits: null, pow_nonce: null, read, extensions_data: null, state: 'pending' },
    });
    return { body: { message_id: toHex<Hex32>(messageId), ...place } };
  });
}

function refuseAs(code: 'bad_key' | 'bad_signature', check: () => unknown): void {
  try {
    check();
  } catch (error) {
    if (!(error instanceof ProfileError)) throw error;
    throw new ApiError(code, { cause: error });
  }
}
