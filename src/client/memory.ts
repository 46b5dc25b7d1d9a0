/**
 * A client's state at work: looked up by name, changed in one piece, saved before anything is said to have happened. Saves
 * never overlap, and one save covers all changes that were made before it began.
 */
import type { PinBook } from '../identity/pins.ts';
import { type DomainMemory, remembered } from '../remote/look-up.ts';
import type { SessionMemory } from '../remote/session-life.ts';
import type { Address } from '../smimp/address.ts';
import type { Hex32, Timestamp } from '../smimp/encoding.ts';
import type { StoragePurpose } from '../smimp/storage.ts';
import { domainEntry, keptPin, knownDomain, pinEntry, readSession, sessionEntry } from './entries.ts';
import { ClientError } from './errors.ts';
import type { KeystoreData, MessageSecret } from './keystore-data.ts';
import type { ClientState, PendingChange } from './state.ts';

/** Stores the state durably. Called with a copy; never called again before its promise settles. */
export type SaveState = (state: ClientState) => Promise<void>;

type SeenEntry = ClientState['seen'][number];
type Arrival = ClientState['arrivals'][number];

const byName = <T>(list: readonly T[], name: (entry: T) => string): Map<string, T> =>
  new Map(list.map((entry) => [name(entry), entry]));

export class Memory {
  readonly address: Address;
  /** Everything but the lists that are looked up by name. */
  identity: Pick<KeystoreData, 'master' | 'own_history' | 'storage_key'>;
  pendingChange: PendingChange | null;
  readonly secrets: Map<string, MessageSecret>;
  readonly #pins: Map<string, KeystoreData['pins'][number]>;
  readonly #archived: KeystoreData['archived_pins'];
  readonly #domains: Map<string, ClientState['domains'][number]>;
  readonly #sessions: Map<string, ClientState['sessions'][number]>;
  readonly #seenDigests: Map<string, SeenEntry>;
  readonly #seenUids: Map<string, SeenEntry>;
  readonly #arrivals: Map<string, Arrival>;
  readonly #copies: Map<string, ClientState['copies'][number]>;
  readonly #versions: Map<string, ClientState['storage_versions'][number]>;
  readonly #save: SaveState;
  #saving: Promise<void> | null = null;
  #next: Promise<void> | null = null;

  constructor(state: ClientState, save: SaveState) {
    const { keystore } = state;
    this.address = keystore.address;
    this.identity = keystore;
    this.pendingChange = state.pending_change;
    this.secrets = byName(keystore.message_keys, (key) => key.public_key);
    this.#pins = byName(keystore.pins, (pin) => pin.contact);
    this.#archived = [...keystore.archived_pins];
    this.#domains = byName(state.domains, (entry) => entry.domain);
    this.#sessions = byName(state.sessions, (entry) => entry.base_url);
    this.#seenDigests = byName(state.seen, (entry) => entry.digest);
    this.#seenUids = byName(state.seen, uidName);
    this.#arrivals = byName(state.arrivals, (entry) => entry.message_id);
    this.#copies = byName(state.copies, (entry) => entry.message_id);
    this.#versions = byName(state.storage_versions, (entry) => versionName(entry.purpose, entry.object_id));
    this.#save = save;
  }

  keystore(): KeystoreData {
    return structuredClone(this.#keystore());
  }

  #keystore(): KeystoreData {
    const { master, own_history, storage_key } = this.identity;
    return {
      ...{ address: this.address, master, own_history, storage_key },
      message_keys: [...this.secrets.values()],
      pins: [...this.#pins.values()],
      archived_pins: this.#archived,
    };
  }

  state(): ClientState {
    return structuredClone({
      version: 1 as const,
      keystore: this.#keystore(),
      pending_change: this.pendingChange,
      domains: [...this.#domains.values()],
      sessions: [...this.#sessions.values()],
      seen: [...this.#seenDigests.values()],
      arrivals: [...this.#arrivals.values()],
      copies: [...this.#copies.values()],
      storage_versions: [...this.#versions.values()],
    });
  }

  /** Returns once everything changed so far is stored. Throws ClientError `not-saved`. */
  save(): Promise<void> {
    this.#next ??= (this.#saving ?? Promise.resolve()).catch(() => undefined).then(() => this.#saveNow());
    return this.#next;
  }

  async #saveNow(): Promise<void> {
    const saving = this.#save(this.state()).catch((cause: unknown) => {
      throw new ClientError('not-saved', { cause });
    });
    this.#saving = saving;
    this.#next = null;
    await saving;
  }

  get domains(): DomainMemory {
    return {
      find: async (domain) => knownDomain(this.#domains.get(domain)),
      save: async (domain, look) => {
        const known = remembered(knownDomain(this.#domains.get(domain)), look);
        this.#domains.set(domain, domainEntry(domain, known));
        await this.save();
        return known;
      },
    };
  }

  get sessions(): SessionMemory {
    const entryOf = (baseUrl: string) => this.#sessions.get(baseUrl);
    return {
      find: async (baseUrl) => readSession(entryOf(baseUrl)),
      save: async (session, now) => {
        this.#sessions.set(session.baseUrl, sessionEntry(session, now));
        await this.save();
      },
      touch: async ({ session }, now) => {
        if (entryOf(session.baseUrl)?.token !== session.token) return;
        this.#sessions.set(session.baseUrl, sessionEntry(session, now));
        await this.save();
      },
      remove: async ({ session }) => {
        if (entryOf(session.baseUrl)?.token === session.token) this.#sessions.delete(session.baseUrl);
        await this.save();
      },
    };
  }

  forgetSessions(): void {
    this.#sessions.clear();
  }

  get pins(): PinBook {
    return {
      find: async (contact) => keptPin(this.#pins.get(contact)),
      change: async (contact, decide) => {
        const { result, keep, archive } = decide(keptPin(this.#pins.get(contact)));
        if (keep === undefined) return result;
        const entry = pinEntry(contact, keep);
        if (archive !== undefined) this.#archived.push({ contact, pin: archive, archived: entry.checked });
        this.#pins.set(contact, entry);
        await this.save();
        return result;
      },
    };
  }

  contacts(): Address[] {
    return [...this.#pins.values()].map(({ contact }) => contact);
  }

  archivedOf(contact: Address): number {
    return this.#archived.filter((entry) => entry.contact === contact).length;
  }

  /** When a message was first seen by this client; from now on, `now`. */
  firstSeen(message: Pick<Arrival, 'message_id' | 'message_public_key'>, now: Timestamp): Timestamp {
    const { message_id, message_public_key } = message;
    const known = this.#arrivals.get(message_id) ?? { message_id, message_public_key, first_seen: now };
    this.#arrivals.set(message_id, known);
    return known.first_seen;
  }

  /** Whether a message that is still there is encrypted to this key, as far as this client saw. */
  isKeyUsed(publicKey: Hex32): boolean {
    return this.#arrivals.values().some((arrival) => arrival.message_public_key === publicKey);
  }

  /** Whether another message than this one, or one it is no copy of, showed this digest. */
  isDigestSeen(digest: Hex32, messageId: Hex32): boolean {
    return this.#isOther(this.#seenDigests.get(digest), messageId);
  }

  isUidSeen(from: Address, uid: Hex32, messageId: Hex32): boolean {
    return this.#isOther(this.#seenUids.get(uidName({ from, uid })), messageId);
  }

  #isOther(entry: SeenEntry | undefined, messageId: Hex32): boolean {
    return entry !== undefined && entry.message_id !== this.#originalOf(messageId);
  }

  #originalOf(messageId: Hex32): Hex32 {
    return this.#copies.get(messageId)?.original ?? messageId;
  }

  /** A copy counts as what it is a copy of, whichever of the two is opened first. */
  remember(opened: SeenEntry): void {
    if (this.#seenDigests.has(opened.digest)) return;
    const entry = { ...opened, message_id: this.#originalOf(opened.message_id) };
    this.#seenDigests.set(entry.digest, entry);
    this.#seenUids.set(uidName(entry), entry);
  }

  copied(original: Hex32, messageId: Hex32): void {
    this.#copies.set(messageId, { message_id: messageId, original: this.#originalOf(original) });
  }

  /** What was seen stays: a deleted message may come again. */
  deleted(messageId: Hex32): void {
    this.#arrivals.delete(messageId);
    this.#copies.delete(messageId);
  }

  leastVersion(purpose: StoragePurpose, objectId: Hex32): number {
    return this.#versions.get(versionName(purpose, objectId))?.version ?? 0;
  }

  sawVersion(purpose: StoragePurpose, objectId: Hex32, version: number): void {
    if (version <= this.leastVersion(purpose, objectId)) return;
    this.#versions.set(versionName(purpose, objectId), { purpose, object_id: objectId, version });
  }

  objectsSeen(purpose: StoragePurpose): Hex32[] {
    return [...this.#versions.values()].filter((entry) => entry.purpose === purpose).map((entry) => entry.object_id);
  }

  forgetObject(purpose: StoragePurpose, objectId: Hex32): void {
    this.#versions.delete(versionName(purpose, objectId));
  }
}

function uidName({ from, uid }: Pick<SeenEntry, 'from' | 'uid'>): string {
  return `${from} ${uid}`;
}

function versionName(purpose: StoragePurpose, objectId: Hex32): string {
  return `${purpose} ${objectId}`;
}
