/** Envelopes fetched and put where they belong: new ones stored, changed ones merged, own ones recognised. */

import type { Summary } from '../smimp/api.ts';
import { randomBytes } from '../smimp/crypto.ts';
import { parseTimestamp } from '../smimp/encoding.ts';
import type { DecodedStoredEnvelope } from '../smimp/envelope.ts';
import type { Tx } from '../store/database.ts';
import { lockMailbox } from '../store/folders.ts';
import { insertMessage } from '../store/messages.ts';
import {
  changeMirrored,
  findLocal,
  findMirrored,
  insertMirrored,
  type LocalState,
  type MirrorMessage,
  type MirrorState,
  mirroredTwin,
  receivedAs,
  unmirroredTwins,
  writeLocal,
} from '../store/mirror-messages.ts';
import { mergeStates, sameState } from './merge.ts';
import { type Mirror, orCode } from './mirror.ts';
import { folderFor } from './pull-folders.ts';

/** Envelopes asked for at once, and how many bytes they may have together; a larger one comes alone. */
export const FETCH_AT_ONCE = 8;
export const FETCH_BYTES = 4 * 1024 * 1024;
const ID_BYTES = 32;
const SIGNATURE_BYTES = 64;

export async function fetchMessages(mirror: Mirror, summaries: readonly Summary[], round: number): Promise<void> {
  const { owner } = mirror.services;
  for (const batch of batches(summaries)) {
    await mirror.step();
    const fetched = await Promise.all(
      batch.map(({ message_id }) =>
        mirror.asOwner((session) =>
          orCode(owner.message(session, message_id, { signal: mirror.signal }), ['unknown_message']),
        ),
      ),
    );
    // One that is gone by now: a later change says so.
    for (const envelope of fetched) if (!('refused' in envelope)) await takeEnvelope(mirror, envelope, round);
  }
}

/** In their order. */
export function batches<Sized extends Pick<Summary, 'size'>>(summaries: readonly Sized[]): Sized[][] {
  const all: Sized[][] = [];
  let bytes = Number.POSITIVE_INFINITY;
  for (const summary of summaries) {
    const batch = all.at(-1);
    bytes += summary.size;
    if (batch !== undefined && batch.length < FETCH_AT_ONCE && bytes <= FETCH_BYTES) batch.push(summary);
    else {
      all.push([summary]);
      bytes = summary.size;
    }
  }
  return all;
}

type Taken = { tx: Tx; mirror: Mirror; envelope: DecodedStoredEnvelope; round: number; remote: MirrorState };

async function takeEnvelope(mirror: Mirror, envelope: DecodedStoredEnvelope, round: number): Promise<void> {
  const { services, accountId } = mirror;
  const remoteId = Buffer.from(envelope.message_id, 'hex');
  await services.db.transaction().execute(async (tx) => {
    await lockMailbox(tx, accountId);
    const place = { type: envelope.message_type, name: envelope.folder_name };
    const extensions = envelope.extensions_data;
    const remote: MirrorState = {
      folder_id: await folderFor(tx, accountId, place),
      read: envelope.read,
      extensions_data: extensions === null ? null : Buffer.from(extensions, 'base64'),
    };
    const taken: Taken = { tx, mirror, envelope, round, remote };
    const [known] = await findMirrored(tx, accountId, [remoteId]);
    if (known === undefined) await takeNew(taken, remoteId);
    else await takeChanged(taken, known);
  });
}

/** The base becomes what is at the home; what is here becomes both. */
async function takeChanged({ tx, mirror, envelope, round, remote }: Taken, known: MirrorMessage): Promise<void> {
  const { services, account, accountId } = mirror;
  if (known.message_hash.toString('hex') !== envelope.message_hash) {
    services.events.mirrorRefused({ accountId, what: 'message', code: 'envelope_changed' });
    return;
  }
  const local = await findLocal(tx, accountId, known.message_id);
  if (local !== undefined) {
    const merged = mergeStates(account, { base: known, local, remote, digest: digestOf(local) });
    if (!sameState(merged, local)) {
      await writeLocal(tx, accountId, { local, to: merged, now: mirror.services.clock() });
    }
  }
  const base = { ...remote, revision: envelope.revision, round, gone: false };
  await changeMirrored(tx, { accountId, remoteId: known.remote_id }, base);
}

function digestOf({ message_hash }: Pick<LocalState, 'message_hash'>): Buffer {
  return message_hash.subarray(SIGNATURE_BYTES);
}

async function takeNew(taken: Taken, remoteId: Buffer): Promise<void> {
  const { tx, mirror, envelope, round, remote } = taken;
  const messageHash = Buffer.from(envelope.message_hash, 'hex');
  const publicKey = Buffer.from(envelope.message_public_key, 'hex');
  const copied = await mirroredTwin(tx, mirror.accountId, messageHash);
  const twins = await unmirroredTwins(tx, mirror.accountId, { messageHash, publicKey });
  const own = copied === undefined ? twins[0] : twins.find(({ folder_id }) => folder_id === remote.folder_id);
  const messageId = own?.message_id ?? (await insertPending(taken, { copied, messageHash, publicKey }));
  await insertMirrored(tx, {
    ...remote,
    account_id: mirror.accountId,
    remote_id: remoteId,
    message_id: messageId,
    revision: envelope.revision,
    message_hash: messageHash,
    message_public_key: publicKey,
    round,
  });
}

/** As it came. A copy that the owner made at the home is no replay: its twin is, or was, there beside it. */
async function insertPending(
  { tx, mirror, envelope, remote }: Taken,
  about: { copied: MirrorMessage | undefined; messageHash: Buffer; publicKey: Buffer },
): Promise<Buffer> {
  const messageId = randomBytes(ID_BYTES);
  const work = envelope.proof_of_work_parameters;
  const { ciphertext } = envelope;
  await insertMessage(tx, {
    ...remote,
    message_id: messageId,
    account_id: mirror.accountId,
    message_type: envelope.message_type,
    ciphertext: Buffer.from(ciphertext.buffer, ciphertext.byteOffset, ciphertext.byteLength),
    message_public_key: about.publicKey,
    nonce: Buffer.from(envelope.nonce, 'hex'),
    proof_of_work: envelope.proof_of_work,
    message_hash: about.messageHash,
    sender_address: envelope.sender_address,
    sender_public_key: Buffer.from(envelope.sender_public_key, 'hex'),
    time_received: new Date(parseTimestamp(envelope.time_received) * 1000),
    pow_zero_bits: work?.zero_bits ?? null,
    pow_nonce: work === null ? null : Buffer.from(work.nonce, 'hex'),
    login_token_hash: Buffer.from(envelope.login_token_hash, 'hex'),
    received_via: envelope.received_via,
    is_copy: about.copied !== undefined,
    copy_of: about.copied === undefined ? null : await receivedAs(tx, mirror.accountId, about.copied),
    state: 'pending',
    first_seen_at: mirror.services.clock(),
  });
  return messageId;
}
