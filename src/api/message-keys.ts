/** `get_message_key`, and the owner's own keys (SMIMP 0.1 §1.4, §5). */

import { type Address, addressParts } from '../smimp/address.ts';
import {
  ISSUED_KEY_SECONDS,
  MAX_EPHEMERAL_KEYS,
  MAX_KEYS_PER_SENDER_DAY,
  MAX_POOL_SHARE_PER_DOMAIN_DAY,
} from '../smimp/api.ts';
import { hash } from '../smimp/crypto.ts';
import { formatTimestamp, type Hex32, toHex } from '../smimp/encoding.ts';
import { ProfileError } from '../smimp/errors.ts';
import { type MessageKey, verifyMessageKey } from '../smimp/message-key.ts';
import { parseRecordData } from '../smimp/record.ts';
import type { Executor, Tx } from '../store/database.ts';
import { lockMailbox } from '../store/folders.ts';
import { issueCounts, issueEphemeral, issueNonEphemeral, outstandingKey } from '../store/key-issue.ts';
import {
  appendKeys,
  findNonEphemeral,
  listAvailableKeys,
  messageKey,
  replaceKeyPool,
  type StoredMessageKey,
  setNonEphemeral,
} from '../store/message-keys.ts';
import { listRecords } from '../store/records.ts';
import { type ApiServices, type Handlers, ownerOf, seconds, secondsLater, sessionOf } from './call.ts';
import { ApiError } from './errors.ts';
import { currentIdentity } from './identity.ts';
import { prepareRelay } from './legacy.ts';
import { refuseBlocked } from './lists.ts';

const DAY_SECONDS = 86_400;
/** A key is not handed out in its last minutes: the sender would refuse it from its end on. */
const MIN_LIFE_LEFT_SECONDS = 600;
const UNIQUE_VIOLATION = '23505';

/** Every master key of an account, oldest first. */
export async function masterKeysOf(db: Executor, accountId: number): Promise<Hex32[]> {
  const keys = (await listRecords(db, accountId)).map(({ data }) => parseRecordData(data).public_key);
  return [...new Set(keys)];
}

/** Checks keys that a client publishes. Throws `bad_key`, `bad_signature`. */
export function checkPublishedKeys(published: {
  address: Address;
  keys: readonly MessageKey[];
  kind: MessageKey['kind'];
  masterKeys: readonly Hex32[];
  now: Date;
}): void {
  for (const key of published.keys) {
    if (key.kind !== published.kind) throw new ApiError('bad_key');
    try {
      verifyMessageKey({ ...published, key, now: seconds(published.now) });
    } catch (error) {
      if (!(error instanceof ProfileError)) throw error;
      throw new ApiError(SIGNATURE_CODES.has(error.code) ? 'bad_signature' : 'bad_key', { cause: error });
    }
  }
}

/** Codes that mean the signature, not what is signed. */
export const SIGNATURE_CODES: ReadonlySet<string> = new Set([
  'bad-signature',
  'digest-mismatch',
  'signature-not-canonical',
  'signature-low-order',
]);

/** Runs a change of keys; one that was there before is `bad_key`. */
export async function refusingKnownKeys<Result>(change: Promise<Result>): Promise<Result> {
  try {
    return await change;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === UNIQUE_VIOLATION)
      throw new ApiError('bad_key', { cause: error });
    throw error;
  }
}

function poolEtag(keys: readonly StoredMessageKey[]): string {
  return `"${toHex(hash(...keys.map(({ public_key }) => public_key)))}"`;
}

export function messageKeyHandlers(services: ApiServices): Handlers {
  const { db } = services;

  const issue = async (tx: Tx, ask: { accountId: number; sender: Address; now: Date }): Promise<StoredMessageKey> => {
    const { accountId, sender, now } = ask;
    await lockMailbox(tx, accountId);
    const expiresAfter = formatTimestamp(seconds(now) + MIN_LIFE_LEFT_SECONDS);
    const since = secondsLater(now, -ISSUED_KEY_SECONDS);
    const outstanding = await outstandingKey(tx, { accountId, sender, since, expiresAfter });
    if (outstanding !== undefined) return outstanding;
    const to = { accountId, sender, senderDomain: addressParts(sender).domain, now };
    const fresh = (await mayTakeFromPool(tx, to)) ? await issueEphemeral(tx, { ...to, expiresAfter }) : undefined;
    if (fresh !== undefined) return fresh;
    const lasting = await findNonEphemeral(tx, accountId);
    if (lasting === undefined) throw new ApiError('unknown_user');
    await issueNonEphemeral(tx, to, lasting);
    return lasting;
  };

  return {
    get_message_key: async (call) => {
      const sender = sessionOf(call).address as Address;
      await prepareRelay(services, { sender, recipient: call.request.address, now: call.now });
      const { accountId, address: owner } = await currentIdentity(db, call.request.address);
      await refuseBlocked(db, { accountId, owner, sender });
      return db.transaction().execute(async (tx) => {
        const key = await issue(tx, { accountId, sender, now: call.now });
        // Read under the lock: a key signed by a new master key must not stand beside the head before it.
        const { address, publicKey, head } = await currentIdentity(tx, call.request.address);
        const non_ephemeral = key.kind === 'non-ephemeral';
        return { body: { address, public_key: publicKey, head, message_key: messageKey(key), non_ephemeral } };
      });
    },
    get_nonephemeral_key: async (call) => {
      const key = await findNonEphemeral(db, ownerOf(call).accountId);
      if (key === undefined) throw new ApiError('not_found');
      return { body: messageKey(key) };
    },
    post_nonephemeral_key: async (call) => {
      const { accountId, address } = ownerOf(call);
      const { request: key, now } = call;
      await db.transaction().execute(async (tx) => {
        await lockMailbox(tx, accountId);
        const masterKeys = await masterKeysOf(tx, accountId);
        checkPublishedKeys({ address, keys: [key], kind: 'non-ephemeral', masterKeys, now });
        await refusingKnownKeys(setNonEphemeral(tx, accountId, key, masterKeys.at(-1) as Hex32, now));
      });
      return { body: undefined };
    },
    get_ephemeral_keys: async (call) => {
      const keys = await listAvailableKeys(db, ownerOf(call).accountId);
      return { body: { keys: keys.map(messageKey) }, etag: poolEtag(keys) };
    },
    post_ephemeral_keys: async (call) => {
      if (call.ifMatch === null) throw new ApiError('precondition_required');
      const count = await db.transaction().execute((tx) => changePool(tx, call));
      return { body: { count } };
    },
  };

  async function changePool(
    tx: Tx,
    call: Parameters<NonNullable<Handlers['post_ephemeral_keys']>>[0],
  ): Promise<number> {
    const { accountId, address } = ownerOf(call);
    const { keys, mode } = call.request;
    await lockMailbox(tx, accountId);
    const present = await listAvailableKeys(tx, accountId);
    if (call.ifMatch !== poolEtag(present)) throw new ApiError('precondition_failed');
    const count = keys.length + (mode === 'append' ? present.length : 0);
    if (count > MAX_EPHEMERAL_KEYS) throw new ApiError('bad_request');
    const masterKeys = await masterKeysOf(tx, accountId);
    checkPublishedKeys({ address, keys, kind: 'ephemeral', masterKeys, now: call.now });
    const put = mode === 'append' ? appendKeys : replaceKeyPool;
    await refusingKnownKeys(put(tx, accountId, keys, masterKeys.at(-1) as Hex32));
    return count;
  }
}

/** At most 20 a day to one sender, a quarter of the pool a day to one domain (§5). */
async function mayTakeFromPool(
  tx: Tx,
  ask: { accountId: number; sender: string; senderDomain: string; now: Date },
): Promise<boolean> {
  const counts = await issueCounts(tx, { ...ask, since: secondsLater(ask.now, -DAY_SECONDS) });
  if (counts.sender >= MAX_KEYS_PER_SENDER_DAY) return false;
  const pool = counts.available + counts.total;
  return counts.domain + 1 <= pool * MAX_POOL_SHARE_PER_DOMAIN_DAY;
}
