/**
 * Taking an account into use that an operator elsewhere has made and handed out with a one-time code (SMIMP 0.1 §5,
 * `initialize_account`). Identity and keys are made here and stored first, marked as not published; then the home is told.
 * Whoever is killed between its answer and the commit finds at the next try that the home has exactly this record.
 */

import { keepOwnRecord, makeKeySet } from '../identity/publish.ts';
import { addMasterSecret } from '../keystore/account-keys.ts';
import type { Keystore } from '../keystore/keystore.ts';
import { hashPassword } from '../keystore/password.ts';
import { createFolders } from '../mailbox/folders.ts';
import type { Discovery } from '../remote/discovery.ts';
import { RemoteError } from '../remote/errors.ts';
import type { HomeClient } from '../remote/home.ts';
import type { OwnerClient } from '../remote/owner.ts';
import { type Address, addressParts } from '../smimp/address.ts';
import type { InitializeRequest } from '../smimp/api.ts';
import { masterKeyPair, wipe } from '../smimp/crypto.ts';
import type { BaseUrl } from '../smimp/discovery.ts';
import { type Hex32, toHex } from '../smimp/encoding.ts';
import { createRecord, EMPTY_PROFILE, recordHead } from '../smimp/record.ts';
import { initializeDigest } from '../smimp/transcript.ts';
import { createAccount, findAccount } from '../store/accounts.ts';
import type { Db, Tx } from '../store/database.ts';
import { changeMirror, findMirror, insertMirror, listMirrors, type StoredMirror } from '../store/mirrors.ts';
import { MirrorError } from './errors.ts';

export interface Connect {
  /**
   * Makes the account here if it is not, and publishes it at its home with the code. Throws MirrorError `no-smimp`,
   * `unreachable`, `exists`, `wrong-code`, `other-identity`; RemoteError; KeystoreError `password-length`.
   */
  connect(account: { address: Address; code: string; password: string; name: string | null }): Promise<{ id: number }>;
  list(): Promise<MirroredAccount[]>;
}

/** An account that lives elsewhere, for people. */
export type MirroredAccount = {
  readonly address: Address;
  readonly baseUrl: BaseUrl;
  /** False: its home has not been told of it. */
  readonly published: boolean;
  /** When both sides last agreed. */
  readonly syncedAt: Date | null;
  /** Why the last round ended early. */
  readonly errorCode: string | null;
};

interface ConnectServices {
  db: Db;
  keystore: Keystore;
  home: HomeClient;
  owner: OwnerClient;
  discovery: Discovery;
  clock: () => Date;
}

/** What the home is told of the account, but for the code. */
type Unpublished = Pick<InitializeRequest, 'record' | 'nonephemeral_key' | 'ephemeral_keys'>;

const PURPOSE = 'mirror-unpublished';

export function createConnect(services: ConnectServices): Connect {
  const { db, keystore, home, owner } = services;
  return {
    async connect({ address, code, password, name }) {
      const baseUrl = await homeOf(services, address);
      const { id, mirror } = await madeHere(services, { address, baseUrl, password, name });
      const unpublished = await readUnpublished(keystore, mirror);
      if (unpublished === null) throw new MirrorError('exists');
      if (!(await isPublished({ home }, { address, baseUrl, unpublished }))) {
        const password_hash = toHex<Hex32>(initializeDigest(address, code));
        await tell({ home, owner }, { address, baseUrl, unpublished }, password_hash);
      }
      await changeMirror(db, id, { unpublished: null });
      return { id };
    },
    async list() {
      return (await listMirrors(db)).map((mirror) => ({
        address: mirror.address as Address,
        baseUrl: mirror.base_url as BaseUrl,
        published: mirror.unpublished === null,
        syncedAt: mirror.synced_at,
        errorCode: mirror.error_code,
      }));
    },
  };
}

async function homeOf({ discovery }: ConnectServices, address: Address): Promise<BaseUrl> {
  const found = await discovery.discover(addressParts(address).domain);
  if (found.outcome === 'found') return found.baseUrl;
  throw new MirrorError(found.outcome === 'absent' ? 'no-smimp' : 'unreachable');
}

type NewAccount = { address: Address; baseUrl: BaseUrl; password: string; name: string | null };

/** The account as it stands here; a try before this one may have made it. */
async function madeHere(services: ConnectServices, account: NewAccount): Promise<{ id: number; mirror: StoredMirror }> {
  const { db, keystore } = services;
  const before = await findAccount(db, account.address);
  if (before === undefined) {
    const passwordHash = await hashPassword(account.password);
    await db.transaction().execute((tx) => makeAccount(tx, services, { ...account, passwordHash }));
  }
  const { id } = before ?? ((await findAccount(db, account.address)) as { id: number });
  const mirror = await findMirror(db, id);
  if (mirror === undefined || mirror.unpublished === null) throw new MirrorError('exists');
  if (before !== undefined) await keystore.setPassword(id, account.password);
  if (mirror.base_url !== account.baseUrl) await changeMirror(db, id, { base_url: account.baseUrl });
  await createFolders({ db, accountId: id, clock: services.clock }).prepare();
  return { id, mirror };
}

async function makeAccount(
  tx: Tx,
  { keystore, clock }: ConnectServices,
  { address, baseUrl, passwordHash, name }: NewAccount & { passwordHash: string },
): Promise<void> {
  const now = clock();
  const { id: accountId } = await createAccount(tx, { address, initializeHash: null, now });
  const keys = await keystore.createUser(tx, { accountId, address, passwordHash, now });
  const master = masterKeyPair();
  await addMasterSecret(tx, keys, master, now);
  const record = createRecord({ address, master, now: now.getTime() / 1000, profile: { ...EMPTY_PROFILE, name } });
  await keepOwnRecord(tx, accountId, record, { seq: 0, now });
  const { nonEphemeralKey, ephemeralKeys } = await makeKeySet(tx, keys, { master, now });
  wipe(master.secretKey);
  const told: Unpublished = { record, nonephemeral_key: nonEphemeralKey, ephemeral_keys: ephemeralKeys };
  const unpublished = keys.seal(PURPOSE, address, Buffer.from(JSON.stringify(told)));
  await insertMirror(tx, { accountId, baseUrl, unpublished });
}

async function readUnpublished(keystore: Keystore, mirror: StoredMirror): Promise<Unpublished | null> {
  if (mirror.unpublished === null) return null;
  const keys = await keystore.open(mirror.account_id);
  return JSON.parse(keys.unseal(PURPOSE, keys.address, mirror.unpublished).toString('utf8')) as Unpublished;
}

type About = { address: Address; baseUrl: BaseUrl; unpublished: Unpublished };

/** Whether the home has this account with exactly this record. Throws MirrorError `other-identity`. */
async function isPublished({ home }: { home: HomeClient }, about: About): Promise<boolean> {
  const { address, baseUrl, unpublished } = about;
  const shown = await home.publicKey(baseUrl, address).catch((error: unknown) => {
    if (error instanceof RemoteError && error.apiCode === 'unknown_user') return null;
    throw error;
  });
  if (shown === null) return false;
  if (shown.head !== recordHead(0, unpublished.record)) throw new MirrorError('other-identity');
  return true;
}

async function tell(
  services: { home: HomeClient; owner: OwnerClient },
  about: About,
  password_hash: Hex32,
): Promise<void> {
  try {
    await services.owner.initializeAccount(about.baseUrl, { ...about.unpublished, password_hash });
  } catch (cause) {
    if (!(cause instanceof RemoteError)) throw cause;
    if (cause.apiCode === 'unauthorized') throw new MirrorError('wrong-code', { cause });
    if (cause.apiCode !== 'already_initialized' || !(await isPublished(services, about))) throw cause;
  }
}

/** For a try that nobody came back to: whether the account may be used, because its home has it. */
export async function finishConnecting(
  services: { db: Db; keystore: Keystore; home: HomeClient },
  mirror: StoredMirror,
): Promise<boolean> {
  const unpublished = await readUnpublished(services.keystore, mirror);
  if (unpublished === null) return true;
  const { address } = await services.keystore.open(mirror.account_id);
  if (!(await isPublished(services, { address, baseUrl: mirror.base_url as BaseUrl, unpublished }))) return false;
  await changeMirror(services.db, mirror.account_id, { unpublished: null });
  return true;
}
