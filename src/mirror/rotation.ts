/**
 * A new master key for a mirrored account (SMIMP 0.1 §3, §5, `update_profile`). It is kept here, sealed, before the home
 * hears of it, and takes its place only when the home has it: the answer may be lost, but not the key. The old key signs and
 * logs in until then.
 */

import type { KeyMaintenance } from '../identity/maintenance.ts';
import { readOwnHistory } from '../identity/own-history.ts';
import { keepOwnRecord, makeKeySet } from '../identity/publish.ts';
import { addMasterSecret } from '../keystore/account-keys.ts';
import { masterKeyPair, wipe } from '../smimp/crypto.ts';
import { type Hex64, parseHex, toHex } from '../smimp/encoding.ts';
import type { MessageKey } from '../smimp/message-key.ts';
import { type IdentityRecord, recordHead, rotateRecord } from '../smimp/record.ts';
import { lockMailbox } from '../store/folders.ts';
import { changeMirror, findMirror } from '../store/mirrors.ts';
import { deleteAccountSessions } from '../store/remote-sessions.ts';
import { deleteSecret, retireMessageSecrets } from '../store/secrets.ts';
import { isRefusal, type Mirror, type MirrorServices, openMirror, storedMirror } from './mirror.ts';

type Rotation = {
  record: IdentityRecord;
  seq: number;
  secret: Hex64;
  nonephemeral_key: MessageKey;
  ephemeral_keys: MessageKey[];
};

const PURPOSE = 'mirror-rotation';
const SECRET_BYTES = 64;

/** The master key of an account elsewhere is replaced there. */
export function withMirrors(maintenance: KeyMaintenance, mirrors: MirrorServices): KeyMaintenance {
  return {
    runOnce: (now) => maintenance.runOnce(now),
    async rotateMaster(accountId, now) {
      if (!(await rotateMirrored(mirrors, accountId))) await maintenance.rotateMaster(accountId, now);
    },
  };
}

/** False: it lives here. */
async function rotateMirrored(services: MirrorServices, accountId: number): Promise<boolean> {
  const stored = await findMirror(services.db, accountId);
  if (stored === undefined) return false;
  const control = { signal: new AbortController().signal, isHeld: async () => true };
  await rotateMaster(await openMirror(services, stored, control));
  return true;
}

/** Begins a rotation, unless one is under way, and carries it through. */
export async function rotateMaster(mirror: Mirror): Promise<void> {
  if ((await storedMirror(mirror)).rotation === null) await prepare(mirror);
  await finishRotation(mirror);
}

async function prepare(mirror: Mirror): Promise<void> {
  const { services, accountId } = mirror;
  const now = services.clock();
  await services.db.transaction().execute(async (tx) => {
    await lockMailbox(tx, accountId);
    const keys = await services.keystore.open(accountId, tx);
    const { history } = await readOwnHistory(tx, keys);
    const signer = await keys.master();
    const newKey = masterKeyPair();
    const previous = history.records.at(-1) as IdentityRecord;
    const record = rotateRecord({ previous, signer, now: now.getTime() / 1000, newKey });
    const { nonEphemeralKey, ephemeralKeys } = await makeKeySet(tx, keys, { master: newKey, now });
    const secret = toHex<Hex64>(newKey.secretKey);
    const published = { nonephemeral_key: nonEphemeralKey, ephemeral_keys: ephemeralKeys };
    const rotation: Rotation = { record, seq: history.seq + 1, secret, ...published };
    const sealed = keys.seal(PURPOSE, keys.address, Buffer.from(JSON.stringify(rotation)));
    wipe(signer.secretKey, newKey.secretKey);
    await changeMirror(tx, accountId, { rotation: sealed });
  });
}

/** Carries a rotation through that was begun; nothing when there is none. Throws RemoteError. */
export async function finishRotation(mirror: Mirror): Promise<void> {
  const { services, account } = mirror;
  const { rotation: sealed } = await storedMirror(mirror);
  if (sealed === null) return;
  const json = account.keys.unseal(PURPOSE, account.address, sealed).toString('utf8');
  const rotation = JSON.parse(json) as Rotation;
  if (!(await isAtHome(mirror, rotation))) {
    const { record, nonephemeral_key, ephemeral_keys } = rotation;
    const request = { record, nonephemeral_key, ephemeral_keys };
    await mirror
      .asOwner((session) => services.owner.updateProfile(session, request))
      .catch((error: unknown) => giveUp(mirror, rotation, error));
  }
  await adopt(mirror, rotation);
}

async function isAtHome({ services, account, baseUrl }: Mirror, { seq, record }: Rotation): Promise<boolean> {
  const shown = await services.home.publicKey(baseUrl, account.address);
  return shown.head === recordHead(seq, record);
}

/** A rotation that the home refuses did not happen, unless another process has just brought it there. */
async function giveUp(mirror: Mirror, rotation: Rotation, error: unknown): Promise<void> {
  if (!isRefusal(error)) throw error;
  if (await isAtHome(mirror, rotation)) return;
  await changeMirror(mirror.services.db, mirror.accountId, { rotation: null });
  throw error;
}

/** The new key takes the place of the old one, whose secret goes. */
async function adopt(mirror: Mirror, rotation: Rotation): Promise<void> {
  const { services, accountId } = mirror;
  const now = services.clock();
  await services.db.transaction().execute(async (tx) => {
    await lockMailbox(tx, accountId);
    // Another process was faster.
    if ((await findMirror(tx, accountId))?.rotation == null) return;
    const keys = await services.keystore.open(accountId, tx);
    const old = await keys.master();
    const newKey = masterKeyPair(parseHex(rotation.secret, SECRET_BYTES).subarray(0, SECRET_BYTES / 2));
    await deleteSecret(tx, accountId, { purpose: 'master', publicKey: Buffer.from(old.publicKey) });
    await addMasterSecret(tx, keys, newKey, now);
    const except = [rotation.nonephemeral_key, ...rotation.ephemeral_keys].map((key) =>
      Buffer.from(key.public_key, 'hex'),
    );
    await retireMessageSecrets(tx, accountId, { kind: 'all', except, now });
    await keepOwnRecord(tx, accountId, rotation.record, { seq: rotation.seq, now });
    await deleteAccountSessions(tx, accountId);
    await changeMirror(tx, accountId, { rotation: null });
    wipe(old.secretKey, newKey.secretKey);
  });
}
