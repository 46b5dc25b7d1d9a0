/** `initialize_account` and `update_profile` (SMIMP 0.1 §3, §5): how a history begins and goes on. */

import { parseAddress } from '../smimp/address.ts';
import {
  type InitializeRequest,
  MAX_EPHEMERAL_KEYS,
  MAX_INITIALIZE_TRIES,
  MAX_PROFILE_UPDATES_PER_DAY,
  type UpdateProfileRequest,
} from '../smimp/api.ts';
import { type ChainState, verifyChain } from '../smimp/chain.ts';
import { equal } from '../smimp/crypto.ts';
import type { Hex32 } from '../smimp/encoding.ts';
import { ProfileError } from '../smimp/errors.ts';
import type { MessageKey } from '../smimp/message-key.ts';
import { type IdentityRecord, parseRecordData, type RecordData, recordHead } from '../smimp/record.ts';
import { countInitializeTry, findAccount } from '../store/accounts.ts';
import type { Tx } from '../store/database.ts';
import { lockMailbox } from '../store/folders.ts';
import {
  appendRecord,
  changeMasterKey,
  countUpdatesSince,
  identityRecord,
  initializeAccount,
  lastRecord,
} from '../store/records.ts';
import { type ApiServices, type Handlers, type Owner, ownerOf, secondsLater } from './call.ts';
import { ApiError } from './errors.ts';
import { checkPublishedKeys, masterKeysOf, refusingKnownKeys, SIGNATURE_CODES } from './message-keys.ts';

const DAY_SECONDS = 86_400;

export function profileHandlers({ db }: ApiServices): Handlers {
  return {
    initialize_account: async ({ request, now }) => {
      const data = readData(request.record);
      const accountId = await checkCode(data, request.password_hash);
      const chain = checkRecord(data, request.record, null);
      const address = parseAddress(data.address);
      const masterKeys = chain.masterKeys;
      const ephemeralKeys = checkKeys({ ...request, address, masterKeys, now });
      const done = await db.transaction().execute((tx) =>
        refusingKnownKeys(
          initializeAccount(tx, {
            accountId,
            record: request.record,
            masterKey: masterKeys.at(-1) as Hex32,
            nonEphemeralKey: request.nonephemeral_key,
            ephemeralKeys,
            now,
          }),
        ),
      );
      if (!done) throw new ApiError('already_initialized');
      return { body: undefined };
    },
    update_profile: async (call) => {
      const head = await db.transaction().execute((tx) => updateProfile(tx, ownerOf(call), call.request, call.now));
      return { body: { head } };
    },
  };

  /** Counts a try, then compares in constant time. The same answer for a wrong code and an address without account. */
  async function checkCode(data: RecordData, passwordHash: Hex32): Promise<number> {
    const account = await findAccount(db, data.address);
    if (account === undefined) throw new ApiError('unauthorized');
    if (account.initialized_at !== null) throw new ApiError('already_initialized');
    const tries = await countInitializeTry(db, account.id);
    if (tries > MAX_INITIALIZE_TRIES) throw new ApiError('too_many_requests', { retryAfterSeconds: DAY_SECONDS });
    const expected = account.initialize_hash;
    if (expected === null || !equal(expected, Buffer.from(passwordHash, 'hex'))) throw new ApiError('unauthorized');
    return account.id;
  }
}

function readData(record: IdentityRecord): RecordData {
  try {
    return parseRecordData(record.data);
  } catch (error) {
    throw recordRefusal(error);
  }
}

function recordRefusal(error: unknown): unknown {
  if (!(error instanceof ProfileError)) return error;
  return new ApiError(SIGNATURE_CODES.has(error.code) ? 'bad_signature' : 'bad_record', { cause: error });
}

function checkRecord(data: RecordData, record: IdentityRecord, before: ChainState | null) {
  try {
    const head = recordHead(data.seq, record);
    return verifyChain({ address: parseAddress(data.address), answer: { records: [record], head }, before });
  } catch (error) {
    throw recordRefusal(error);
  }
}

function checkKeys(published: {
  address: Owner['address'];
  masterKeys: readonly Hex32[];
  now: Date;
  nonephemeral_key: InitializeRequest['nonephemeral_key'];
  ephemeral_keys: InitializeRequest['ephemeral_keys'];
}): readonly MessageKey[] {
  const ephemeral = published.ephemeral_keys ?? [];
  if (ephemeral.length > MAX_EPHEMERAL_KEYS) throw new ApiError('bad_request');
  checkPublishedKeys({ ...published, keys: [published.nonephemeral_key], kind: 'non-ephemeral' });
  checkPublishedKeys({ ...published, keys: ephemeral, kind: 'ephemeral' });
  return ephemeral;
}

async function updateProfile(tx: Tx, owner: Owner, request: UpdateProfileRequest, now: Date): Promise<Hex32> {
  const { accountId, address } = owner;
  await lockMailbox(tx, accountId);
  const last = await lastRecord(tx, accountId);
  if (last === undefined) throw new ApiError('bad_record');
  const data = readData(request.record);
  if (data.address !== address) throw new ApiError('bad_record');
  const previous = identityRecord(last);
  if (data.previous_signed_hash !== previous.signed_hash) throw new ApiError('stale_record');
  if ((await countUpdatesSince(tx, accountId, secondsLater(now, -DAY_SECONDS))) >= MAX_PROFILE_UPDATES_PER_DAY)
    throw new ApiError('too_many_requests', { retryAfterSeconds: 3600 });
  const before: ChainState = {
    lastData: parseRecordData(previous.data),
    lastSignedHash: previous.signed_hash,
    masterKeys: await masterKeysOf(tx, accountId),
  };
  const chain = checkRecord(data, request.record, before);
  const append = { accountId, seq: data.seq, record: request.record, now };
  if (data.public_key === before.lastData.public_key) {
    if (request.nonephemeral_key !== undefined || request.ephemeral_keys !== undefined)
      throw new ApiError('bad_request');
    await appendRecord(tx, accountId, request.record, append);
  } else {
    await changeKey(tx, owner, request, { ...append, masterKeys: chain.masterKeys });
  }
  return recordHead(data.seq, request.record);
}

/** A change of key brings both kinds of message keys with it and ends every session, all at once. */
async function changeKey(
  tx: Tx,
  { accountId, address }: Owner,
  request: UpdateProfileRequest,
  append: { seq: number; record: IdentityRecord; now: Date; masterKeys: readonly Hex32[] },
): Promise<void> {
  const { nonephemeral_key, ephemeral_keys } = request;
  if (nonephemeral_key === undefined || ephemeral_keys === undefined) throw new ApiError('bad_key');
  const { masterKeys, now } = append;
  checkKeys({ address, masterKeys, now, nonephemeral_key, ephemeral_keys });
  const masterKey = masterKeys.at(-1) as Hex32;
  const keys = { masterKey, nonEphemeralKey: nonephemeral_key, ephemeralKeys: ephemeral_keys };
  await refusingKnownKeys(changeMasterKey(tx, { ...append, ...keys, accountId, address }));
}
