/** Message keys of one account as they should be now (SMIMP 0.1 §1.4): a full pool, and a lasting key younger than a week. */
import type { AccountKeys } from '../keystore/keystore.ts';
import { wipe } from '../smimp/crypto.ts';
import { formatTimestamp, toHex } from '../smimp/encoding.ts';
import type { Tx } from '../store/database.ts';
import { appendKeys, countAvailableKeys, dropExpiringKeys, setNonEphemeral } from '../store/message-keys.ts';
import { findNonEphemeralSecret, retireMessageSecrets } from '../store/secrets.ts';
import { LAST_ISSUE_BEFORE_MS, ROTATE_AFTER_MS, TOP_UP_BELOW } from './key-policy.ts';
import { makeMessageKeys, POOL_SIZE } from './publish.ts';

/** Makes what is missing, under the mailbox lock that the caller holds. How many keys of each kind that were. */
export async function freshenKeys(
  tx: Tx,
  keys: AccountKeys,
  now: Date,
): Promise<{ ephemeral: number; nonEphemeral: number }> {
  const nonEphemeral = await rotateNonEphemeral(tx, keys, now);
  return { nonEphemeral, ephemeral: await topUp(tx, keys, now) };
}

/** Fills the pool up when it runs low. Returns how many keys were made. */
async function topUp(tx: Tx, keys: AccountKeys, now: Date): Promise<number> {
  const { accountId } = keys;
  await dropExpiringKeys(tx, accountId, formatTimestamp((now.getTime() + LAST_ISSUE_BEFORE_MS) / 1000));
  const available = await countAvailableKeys(tx, accountId);
  if (available >= TOP_UP_BELOW) return 0;
  const master = await keys.master();
  const count = POOL_SIZE - available;
  const made = await makeMessageKeys(tx, keys, { master, kind: 'ephemeral', count, now });
  await appendKeys(tx, accountId, made, toHex(master.publicKey));
  wipe(master.secretKey);
  return count;
}

/** Returns how many keys were made: one, or none when the present one is young enough. */
async function rotateNonEphemeral(tx: Tx, keys: AccountKeys, now: Date): Promise<number> {
  const { accountId } = keys;
  const present = await findNonEphemeralSecret(tx, accountId);
  if (present !== undefined && now.getTime() - present.created_at.getTime() < ROTATE_AFTER_MS) return 0;
  const master = await keys.master();
  const [made] = await makeMessageKeys(tx, keys, { master, kind: 'non-ephemeral', count: 1, now });
  if (made === undefined) return 0;
  await retireMessageSecrets(tx, accountId, {
    kind: 'non-ephemeral',
    except: [Buffer.from(made.public_key, 'hex')],
    now,
  });
  await setNonEphemeral(tx, accountId, made, toHex(master.publicKey), now);
  wipe(master.secretKey);
  return 1;
}
