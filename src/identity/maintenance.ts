/**
 * Keys that look after themselves (SMIMP 0.1 §1.4): the pool is topped up, the non-ephemeral key replaced weekly, secrets
 * erased when nothing can need them any more. Safe to run in several processes at once and as often as one likes: each
 * account is done in one transaction, under its row lock, from what is then found.
 */
import type { Events } from '../events.ts';
import { addMasterSecret } from '../keystore/account-keys.ts';
import type { AccountKeys, Keystore } from '../keystore/keystore.ts';
import { FORGET_AFTER_MS } from '../keystore/throttle.ts';
import { masterKeyPair, wipe } from '../smimp/crypto.ts';
import { toHex } from '../smimp/encoding.ts';
import type { MessageKey } from '../smimp/message-key.ts';
import { type IdentityRecord, rotateRecord } from '../smimp/record.ts';
import type { Db, Tx } from '../store/database.ts';
import { lockMailbox } from '../store/folders.ts';
import { claimLegacyKeys, forgetMadeFor } from '../store/legacy-identities.ts';
import { forgetOldFailures } from '../store/login-failures.ts';
import { findMirror } from '../store/mirrors.ts';
import { changeMasterKey } from '../store/records.ts';
import { deleteAccountSessions, deleteExpiredRemoteSessions } from '../store/remote-sessions.ts';
import { deleteSecret, eraseExpiredSecrets, eraseRetiredSecrets, retireMessageSecrets } from '../store/secrets.ts';
import { listUserIds } from '../store/users.ts';
import { freshenKeys } from './fresh-keys.ts';
import { KEEP_RETIRED_MS, KEEP_UNUSED_MS } from './key-policy.ts';
import { readOwnHistory } from './own-history.ts';
import { keepOwnRecord, makeKeySet } from './publish.ts';

export {
  KEEP_RETIRED_MS,
  KEEP_UNUSED_MS,
  LAST_ISSUE_BEFORE_MS,
  ROTATE_AFTER_MS,
  TOP_UP_BELOW,
} from './key-policy.ts';

const DAY_MS = 86_400_000;
/** A gateway may have a hundred thousand correspondents: each is looked after once a day, so many in a round. */
const LEGACY_AT_ONCE = 200;

export interface KeyMaintenance {
  /** One round over all accounts. */
  runOnce(now: Date): Promise<void>;
  /** Gives the account a new master key, published with new message keys; sessions everywhere end. */
  rotateMaster(accountId: number, now: Date): Promise<void>;
}

export function createKeyMaintenance(options: { db: Db; keystore: Keystore; events: Events }): KeyMaintenance {
  const { db, keystore, events } = options;
  const published = (accountId: number, ephemeral: number, nonEphemeral: number): void => {
    if (ephemeral + nonEphemeral > 0) events.keysPublished({ accountId, ephemeral, nonEphemeral });
  };

  const maintain = async (accountId: number, now: Date): Promise<void> => {
    const made = await db.transaction().execute(async (tx) => {
      await lockMailbox(tx, accountId);
      const keys = await keystore.open(accountId, tx);
      // What lives at another server is published there (src/mirror/keys.ts).
      const mirror = await findMirror(tx, accountId);
      const isHere = mirror === undefined;
      const made = isHere ? await freshenKeys(tx, keys, now) : { ephemeral: 0, nonEphemeral: 0 };
      // Mail under a key may wait at the account's home for as long as nobody fetched it.
      const knownMs = isHere ? now.getTime() : (mirror.synced_at?.getTime() ?? 0);
      await eraseExpiredSecrets(tx, accountId, new Date(knownMs - KEEP_UNUSED_MS));
      await eraseRetiredSecrets(tx, accountId, new Date(knownMs - KEEP_RETIRED_MS));
      return made;
    });
    published(accountId, made.ephemeral, made.nonEphemeral);
  };

  return {
    async runOnce(now) {
      for (const accountId of [...(await listUserIds(db)), ...(await dueLegacyIdentities(db, now))]) {
        // One account that cannot be opened must not starve the others.
        await maintain(accountId, now).catch((error: unknown) => events.unexpected('key maintenance', error));
      }
      await forgetMadeFor(db, new Date(now.getTime() - DAY_MS));
      await forgetOldFailures(db, new Date(now.getTime() - FORGET_AFTER_MS));
      await deleteExpiredRemoteSessions(db, now);
    },
    async rotateMaster(accountId, now) {
      const made = await db.transaction().execute(async (tx) => {
        await lockMailbox(tx, accountId);
        return rotate(tx, await keystore.open(accountId, tx), now);
      });
      published(accountId, made.ephemeralKeys.length, 1);
    },
  };
}

/** Whoever was never written to has given out no key, and gets fresh ones when that happens (src/legacy/identities.ts). */
function dueLegacyIdentities(db: Db, now: Date): Promise<number[]> {
  return claimLegacyKeys(db, { before: new Date(now.getTime() - DAY_MS), now, limit: LEGACY_AT_ONCE });
}

/**
 * The secret of the old master key is erased in the same transaction; those of message keys stay for messages under way.
 */
async function rotate(
  tx: Tx,
  keys: AccountKeys,
  now: Date,
): Promise<{ nonEphemeralKey: MessageKey; ephemeralKeys: MessageKey[] }> {
  const { accountId, address } = keys;
  const { history } = await readOwnHistory(tx, keys);
  const signer = await keys.master();
  const newKey = masterKeyPair();
  const previous = history.records.at(-1) as IdentityRecord;
  const record = rotateRecord({ previous, signer, now: now.getTime() / 1000, newKey });
  const seq = history.seq + 1;
  await deleteSecret(tx, accountId, { purpose: 'master', publicKey: Buffer.from(signer.publicKey) });
  await addMasterSecret(tx, keys, newKey, now);
  const made = await makeKeySet(tx, keys, { master: newKey, now });
  const except = [made.nonEphemeralKey, ...made.ephemeralKeys].map(bytesOf);
  await retireMessageSecrets(tx, accountId, { kind: 'all', except, now });
  await keepOwnRecord(tx, accountId, record, { seq, now });
  await changeMasterKey(tx, { accountId, address, record, seq, masterKey: toHex(newKey.publicKey), ...made, now });
  await deleteAccountSessions(tx, accountId);
  wipe(signer.secretKey, newKey.secretKey);
  return made;
}

function bytesOf(key: MessageKey): Buffer {
  return Buffer.from(key.public_key, 'hex');
}
