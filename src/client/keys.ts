/**
 * One's own keys (SMIMP 0.1 §1.4, §3, §5): the account is initialised, message keys are replaced and topped up, the master
 * key is rotated. A secret is stored before its public half is published, and a change that may have reached the server is
 * kept until it is known whether it did.
 */
import {
  KEEP_RETIRED_MS,
  KEEP_UNUSED_MS,
  LAST_ISSUE_BEFORE_MS,
  type NewMessageKey,
  newMessageKeys,
  POOL_SIZE,
  ROTATE_AFTER_MS,
  TOP_UP_BELOW,
} from '../identity/key-policy.ts';
import { RemoteError } from '../remote/errors.ts';
import type { HomeClient, Session } from '../remote/home.ts';
import type { OwnerClient } from '../remote/owner.ts';
import { type MasterKeyPair, masterKeyPair, wipe } from '../smimp/crypto.ts';
import type { BaseUrl } from '../smimp/discovery.ts';
import { type Hex32, type Hex64, toHex } from '../smimp/encoding.ts';
import type { MessageKey } from '../smimp/message-key.ts';
import { type IdentityRecord, type Profile, recordHead, rotateRecord } from '../smimp/record.ts';
import { initializeDigest, type MessageKeyKind } from '../smimp/transcript.ts';
import { dateOf, timestampOf } from './entries.ts';
import { ClientError } from './errors.ts';
import { type MessageSecret, masterOf } from './keystore-data.ts';
import type { Memory } from './memory.ts';
import type { ClientSessions } from './sessions.ts';
import type { PendingChange } from './state.ts';

export type Maintained = { readonly replaced: boolean; readonly added: number; readonly erased: number };

export interface Keys {
  /**
   * Publishes record 0 and the first keys with a one-time code, once ever. Calling it again after a lost answer is safe.
   * Throws ClientError `code-refused`, `other-account`; RemoteError.
   */
  initialize(oneTimeCode: string): Promise<void>;
  /**
   * What a client does now and then: replaces the non-ephemeral key when it is a week old, tops up the pool when fewer than
   * 50 keys are left, erases secrets that nothing can need any more. `readUpTo`: everything that had arrived by then was
   * read; without it secrets of replaced keys are kept until they expire.
   */
  maintain(options?: { readUpTo?: Date }): Promise<Maintained>;
  /** Replaces the non-ephemeral key now. */
  replaceMessageKey(): Promise<void>;
  /** Changes what the identity record says of its owner. The history's new head. */
  updateProfile(profile: Partial<Profile>): Promise<Hex32>;
  /** A new master key, published with new message keys; every session ends, here and there. The history's new head. */
  rotateMaster(): Promise<Hex32>;
  /**
   * When a change of the record got no answer, it is not known whether it happened. This finds out, and sends it again when
   * it did not; the next change does so first. `none`: there was none. `dropped`: the server refuses it. Throws ClientError
   * `other-account`; RemoteError, and then nothing is decided yet.
   */
  finishChange(): Promise<'none' | 'done' | 'dropped'>;
}

export function createKeys(options: {
  memory: Memory;
  sessions: ClientSessions;
  owner: OwnerClient;
  home: HomeClient;
  clock: () => Date;
}): Keys {
  const { memory, sessions, owner, home, clock } = options;

  /** Secrets are stored before anybody sees the keys. */
  const make = async (kind: MessageKeyKind, count: number): Promise<MessageKey[]> => {
    const { address } = memory;
    const made = newMessageKeys({ address, master: masterOf(memory.identity), kind, count, now: clock() });
    for (const secret of made.map(secretOf)) memory.secrets.set(secret.public_key, secret);
    await memory.save();
    return made.map(({ key }) => key);
  };

  const retire = (kind: MessageKeyKind | 'all', except: readonly MessageKey[]): void => {
    const kept = new Set<string>(except.map(({ public_key }) => public_key));
    const retired = timestampOf(clock());
    for (const secret of memory.secrets.values()) {
      const meant = (kind === 'all' || secret.kind === kind) && !kept.has(secret.public_key) && secret.retired === null;
      if (meant) memory.secrets.set(secret.public_key, { ...secret, retired });
    }
  };

  const replaceMessageKey = async (): Promise<void> => {
    const [key] = await make('non-ephemeral', 1);
    if (key === undefined) throw new ClientError('no-key');
    await sessions.atHome((session) => owner.setNonEphemeralKey(session, key));
    retire('non-ephemeral', [key]);
    await memory.save();
  };

  const topUp = async (session: Session): Promise<number> => {
    const { keys, etag } = await owner.ephemeralKeys(session);
    const dueMs = clock().getTime() + LAST_ISSUE_BEFORE_MS;
    const lasting = keys.filter(
      ({ expires, public_key }) => dateOf(expires).getTime() > dueMs && memory.secrets.has(public_key),
    );
    if (lasting.length >= TOP_UP_BELOW || etag === null) return 0;
    const added = await make('ephemeral', POOL_SIZE - lasting.length);
    await owner.setEphemeralKeys(session, { keys: [...lasting, ...added], mode: 'replace' }, etag);
    return added.length;
  };

  const commit = async ({ record, rotation }: PendingChange): Promise<void> => {
    const { master, own_history, storage_key } = memory.identity;
    const history = [...own_history, { ...record, added: timestampOf(clock()) }];
    memory.identity = { master: rotation?.master ?? master, own_history: history, storage_key };
    memory.pendingChange = null;
    if (rotation !== null) {
      retire('all', [rotation.nonephemeral_key, ...rotation.ephemeral_keys]);
      memory.forgetSessions();
    }
    await memory.save();
  };

  const drop = async ({ rotation }: PendingChange): Promise<void> => {
    const made = rotation === null ? [] : [rotation.nonephemeral_key, ...rotation.ephemeral_keys];
    for (const { public_key } of made) memory.secrets.delete(public_key);
    memory.pendingChange = null;
    await memory.save();
  };

  const isPublished = async ({ record }: PendingChange): Promise<boolean> => {
    const { head } = await home.publicKey(await sessions.homeBaseUrl(), memory.address);
    if (head === recordHead(memory.identity.own_history.length, record)) return true;
    if (head !== ownHead(memory)) throw new ClientError('other-account');
    return false;
  };

  /** One that was refused did not happen, unless an earlier try has just got there: its keys must not be thrown away. */
  const publish = async (pending: PendingChange): Promise<Hex32> => {
    const { record, rotation } = pending;
    const { nonephemeral_key, ephemeral_keys } = rotation ?? {};
    const keys = nonephemeral_key && ephemeral_keys ? { nonephemeral_key, ephemeral_keys } : {};
    try {
      await sessions.atHome((session) => owner.updateProfile(session, { record, ...keys }));
    } catch (error) {
      const refused = error instanceof RemoteError && error.apiCode !== null && error.status < 500;
      if (!refused) throw error;
      if (!(await isPublished(pending))) {
        await drop(pending);
        throw error;
      }
    }
    await commit(pending);
    return ownHead(memory);
  };

  /** Kept before it leaves. */
  const begin = async (pending: PendingChange): Promise<Hex32> => {
    memory.pendingChange = pending;
    await memory.save();
    return publish(pending);
  };

  /** What has not got there is sent again: it may still be under way, so it is not given up unless the server refuses it. */
  const finishChange: Keys['finishChange'] = async () => {
    const pending = memory.pendingChange;
    if (pending === null) return 'none';
    if (await isPublished(pending)) {
      await commit(pending);
      return 'done';
    }
    try {
      await publish(pending);
      return 'done';
    } catch (error) {
      if (memory.pendingChange !== null) throw error;
      return 'dropped';
    }
  };

  /** Whether the server shows this account as ours. Throws ClientError `other-account` when it shows another one. */
  const isOurs = async (baseUrl: BaseUrl): Promise<boolean> => {
    const shown = await home.publicKey(baseUrl, memory.address).catch(unknownAsNull);
    if (shown !== null && shown.head !== ownHead(memory)) throw new ClientError('other-account');
    return shown !== null;
  };

  return {
    replaceMessageKey,
    finishChange,
    async initialize(code) {
      const baseUrl = await sessions.homeBaseUrl();
      if (await isOurs(baseUrl)) return;
      const [nonephemeral_key] = await make('non-ephemeral', 1);
      const ephemeral_keys = await make('ephemeral', POOL_SIZE);
      if (nonephemeral_key === undefined) throw new ClientError('no-key');
      const record = lastRecord(memory);
      const password_hash = toHex<Hex32>(initializeDigest(memory.address, code));
      const request = { record, password_hash, nonephemeral_key, ephemeral_keys };
      try {
        await owner.initializeAccount(baseUrl, request);
      } catch (cause) {
        if (!(cause instanceof RemoteError)) throw cause;
        if (cause.apiCode === 'unauthorized') throw new ClientError('code-refused', { cause });
        if (cause.apiCode !== 'already_initialized' || !(await isOurs(baseUrl))) throw cause;
      }
    },
    async maintain({ readUpTo } = {}) {
      await finishChange();
      const replaced = clock().getTime() - newestNonEphemeral(memory).getTime() >= ROTATE_AFTER_MS;
      if (replaced) await replaceMessageKey();
      const added = await sessions.atHome(topUp);
      const erased = eraseUnneeded(memory, clock(), readUpTo ?? null);
      await memory.save();
      return { replaced, added, erased };
    },
    async updateProfile(profile) {
      await finishChange();
      const previous = lastRecord(memory);
      const now = clock().getTime() / 1000;
      const record = rotateRecord({ previous, signer: masterOf(memory.identity), now, profile });
      return begin({ record, rotation: null });
    },
    async rotateMaster() {
      await finishChange();
      return begin(prepareRotation(memory, clock()));
    },
  };
}

function secretOf({ key, secret }: NewMessageKey): MessageSecret {
  const { public_key, kind, created, expires } = key;
  const kept = { public_key, secret_key: toHex(secret), kind, created, expires, retired: null };
  wipe(secret);
  return kept;
}

function lastRecord(memory: Memory): IdentityRecord {
  const { added: _added, ...record } = memory.identity.own_history.at(-1) as IdentityRecord & { added: string };
  return record;
}

function ownHead(memory: Memory): Hex32 {
  return recordHead(memory.identity.own_history.length - 1, lastRecord(memory));
}

function newestNonEphemeral(memory: Memory): Date {
  const created = memory.secrets
    .values()
    .filter(({ kind, retired }) => kind === 'non-ephemeral' && retired === null)
    .map((secret) => dateOf(secret.created).getTime());
  return new Date(Math.max(0, ...created));
}

/** The secrets of the new message keys are put with the others. */
function prepareRotation(memory: Memory, now: Date): PendingChange {
  const signer = masterOf(memory.identity);
  const newKey: MasterKeyPair = masterKeyPair();
  const record = rotateRecord({ previous: lastRecord(memory), signer, now: now.getTime() / 1000, newKey });
  const make = { address: memory.address, master: newKey, now };
  const [single] = newMessageKeys({ ...make, kind: 'non-ephemeral', count: 1 });
  const pool = newMessageKeys({ ...make, kind: 'ephemeral', count: POOL_SIZE });
  if (single === undefined) throw new ClientError('no-key');
  for (const secret of [single, ...pool].map(secretOf)) memory.secrets.set(secret.public_key, secret);
  const master = toHex<Hex64>(newKey.secretKey);
  wipe(signer.secretKey, newKey.secretKey);
  return { record, rotation: { master, nonephemeral_key: single.key, ephemeral_keys: pool.map(({ key }) => key) } };
}

/**
 * Secrets that no message needs any more (§1.4): expired for 30 days; or replaced, when everything that could come under
 * them was read. How many were erased.
 */
function eraseUnneeded(memory: Memory, now: Date, readUpTo: Date | null): number {
  const unneeded = [...memory.secrets.values()].filter((secret) => {
    if (memory.isKeyUsed(secret.public_key)) return false;
    const expired = now.getTime() - dateOf(secret.expires).getTime() > KEEP_UNUSED_MS;
    if (expired || secret.retired === null || readUpTo === null) return expired;
    return readUpTo.getTime() - dateOf(secret.retired).getTime() > KEEP_RETIRED_MS;
  });
  for (const { public_key } of unneeded) memory.secrets.delete(public_key);
  return unneeded.length;
}

function unknownAsNull(error: unknown): null {
  if (error instanceof RemoteError && error.apiCode === 'unknown_user') return null;
  throw error;
}
