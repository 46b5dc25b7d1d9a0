/** Another client of the owner, with her keys, who works at the home by the API alone; and people who write to her. */
import { changeFlags, openExtensions, readFlags, withFlags } from '../../src/mailbox/flags.ts';
import type { MailAccount } from '../../src/mailbox/mail-account.ts';
import type { HomeClient, Session } from '../../src/remote/home.ts';
import type { OwnerClient } from '../../src/remote/owner.ts';
import type { Folder } from '../../src/smimp/api.ts';
import { sealMessage } from '../../src/smimp/boxes.ts';
import { type MasterKeyPair, randomBytes } from '../../src/smimp/crypto.ts';
import { type EmailBody, serializeBody } from '../../src/smimp/email.ts';
import { formatTimestamp, type Hex32, toBase64, toHex } from '../../src/smimp/encoding.ts';
import { type DecodedStoredEnvelope, signEnvelope } from '../../src/smimp/envelope.ts';
import type { MessageHeader } from '../../src/smimp/header.ts';
import { inboxId, insertMessage } from '../../src/store/messages.ts';
import { type ApiSite, BASE_URL, BOB } from './api-site.ts';
import type { ServedUser } from './hostile-server.ts';

/** Folder path → what lies in it, `subject [flags]`, sorted. */
export type Shown = Record<string, string[]>;

export const line = (subject: string, flags: readonly string[]): string => [subject, ...[...flags].sort()].join(' ');

export function withoutEmpty(shown: Shown): Shown {
  const special = new Set(['INBOX', 'Drafts', 'Sent', 'Trash', 'Junk', 'Archive']);
  const entries = Object.entries(shown).filter(([path, lines]) => lines.length > 0 || !special.has(path));
  return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
}

type Parts = { home: HomeClient; owner: OwnerClient; api: ApiSite; account: MailAccount; homeId: number };

export class OtherClient {
  readonly owner: OwnerClient;
  readonly #parts: Parts;
  #session: Session;

  private constructor(parts: Parts, session: Session) {
    this.#parts = parts;
    this.owner = parts.owner;
    this.#session = session;
  }

  static async open(parts: Parts): Promise<OtherClient> {
    const master = await parts.account.keys.master();
    return new OtherClient(parts, await parts.home.createSession({ baseUrl: BASE_URL, address: BOB, master }));
  }

  get session(): Session {
    return this.#session;
  }

  /** After a change of the master key. */
  async logIn(): Promise<void> {
    this.#session = (await OtherClient.open(this.#parts)).session;
  }

  #seconds(): number {
    return Math.floor(this.#parts.api.now.getTime() / 1000);
  }

  async #seal(
    from: { address: typeof BOB; master: MasterKeyPair; head: MessageHeader['sender_head'] },
    subject: string,
  ) {
    const key = await this.owner.nonEphemeralKey(this.#session);
    const mine = await this.#parts.home.publicKey(BASE_URL, BOB);
    const header: MessageHeader = {
      v: 1,
      from: from.address,
      to: BOB,
      uid: toHex(randomBytes(32)),
      sent: formatTimestamp(this.#seconds()),
      sender_head: from.head,
      recipient_head: { seq: mine.seq, head: mine.head },
      via: null,
      original: null,
    };
    const body = serializeBody('email', this.#body(subject));
    const sealed = sealMessage({
      header,
      body,
      messageType: 'email',
      messagePublicKey: key.public_key,
      senderKey: from.master,
    });
    const { loginTokenHash } = this.#session;
    const signing = { sealed, proofOfWork: null, loginTokenHash, sender: from.address, recipient: BOB };
    return { envelope: signEnvelope({ ...signing, senderKey: from.master }), sealed };
  }

  #body(subject: string): EmailBody {
    return {
      ...{ to: [BOB], cc: [], subject, thread_id: 'ab'.repeat(32) as Hex32, reply_to_message_id: null },
      ...{ date_sent: formatTimestamp(this.#seconds()), body: `About ${subject}`, signature_text: null },
      ...{ attachments: [], extensions_data: null, reply_to: null, auto_reply_address: null },
    };
  }

  /** Mail that the owner puts in herself; its id. */
  async put(subject: string, folder: string | null = null): Promise<Hex32> {
    const master = await this.#parts.account.keys.master();
    const mine = await this.#parts.home.publicKey(BASE_URL, BOB);
    const head = { seq: mine.seq, head: mine.head };
    const { envelope } = await this.#seal({ address: BOB, master, head }, subject);
    const request = { envelope, folder_name: folder, read: false };
    return (await this.owner.importMessage(this.#session, request)).message_id;
  }

  /** Mail of somebody else, as `send_message` stores it; its id. */
  async receive(from: ServedUser, subject: string): Promise<Hex32> {
    const head = { seq: from.records.length - 1, head: from.trueHead() };
    const { envelope, sealed } = await this.#seal(
      { ...from, address: from.address, master: from.master, head },
      subject,
    );
    const { db } = this.#parts.api.opened;
    const messageId = randomBytes(32);
    const row = {
      message_id: messageId,
      account_id: this.#parts.homeId,
      folder_id: await inboxId(db, this.#parts.homeId),
      message_type: 'email',
      ciphertext: Buffer.from(sealed.ciphertext),
      message_public_key: Buffer.from(envelope.message_public_key, 'hex'),
      nonce: Buffer.from(envelope.nonce, 'hex'),
      proof_of_work: null,
      message_hash: Buffer.from(envelope.message_hash, 'hex'),
      sender_address: from.address,
      sender_public_key: Buffer.from(from.master.publicKey),
      time_received: this.#parts.api.now,
      pow_zero_bits: null,
      pow_nonce: null,
      login_token_hash: Buffer.from(this.#session.loginTokenHash, 'hex'),
      received_via: 'smimp_client' as const,
      extensions_data: null,
      state: 'pending' as const,
    };
    await db.transaction().execute((tx) => insertMessage(tx, row));
    return toHex(messageId);
  }

  /** The folder's name. */
  async makeFolder(displayName: string, parent: string | null = null): Promise<string> {
    const folder_name = displayName.toLowerCase();
    const folder: Folder = {
      display_name: displayName,
      folder_name,
      parent_folder_name: parent,
      message_type: 'email',
    };
    return (await this.owner.createFolder(this.#session, folder)).folder_name;
  }

  async renameFolder(name: string, change: Partial<Folder>): Promise<void> {
    const folder = (await this.owner.folders(this.#session)).find(({ folder_name }) => folder_name === name);
    if (folder === undefined) throw new Error(`no folder ${name}`);
    await this.owner.changeFolder(this.#session, name, { ...folder, ...change });
  }

  deleteFolder(name: string): Promise<void> {
    return this.owner.deleteFolder(this.#session, { messageType: 'email', name });
  }

  async move(id: Hex32, folder: string | null): Promise<void> {
    await this.owner.moveMessage(this.#session, id, folder);
  }

  async copy(id: Hex32, folder: string | null): Promise<Hex32> {
    return (await this.owner.copyMessage(this.#session, id, folder)).message_id;
  }

  async read(id: Hex32, read = true): Promise<void> {
    await this.owner.setRead(this.#session, id, read);
  }

  delete(id: Hex32): Promise<void> {
    return this.owner.deleteMessage(this.#session, id);
  }

  /** As a client does that knows flags and something else besides. */
  async flag(id: Hex32, mode: 'add' | 'remove', ...flags: string[]): Promise<void> {
    const envelope = await this.owner.message(this.#session, id);
    const stored = storedFlags(envelope);
    const after = changeFlags(readFlags(this.#parts.account, stored), { mode, flags });
    const write = withFlags(this.#parts.account, stored, after);
    const blob = write?.extensionsData ?? null;
    const data = blob === null ? null : toBase64(blob);
    await this.owner.setExtensions(this.#session, id, { revision: envelope.revision, data });
  }

  async versionOf(id: Hex32): Promise<number> {
    const stored = storedFlags(await this.owner.message(this.#session, id));
    return openExtensions(this.#parts.account, stored).version;
  }

  /** The id of the one message with this subject. */
  async #pages(name: string | null): Promise<Hex32[]> {
    const ids: Hex32[] = [];
    for (let after: number | null = 0; after !== null; ) {
      const page: Awaited<ReturnType<OwnerClient['folderPage']>> = await this.owner.folderPage(this.#session, {
        messageType: 'email',
        name,
        after,
        limit: 100,
      });
      ids.push(...page.messages.map(({ message_id }) => message_id));
      after = page.next;
    }
    return ids;
  }

  /** `subjects` by `message_hash`, of those whom nobody has opened yet `?`. */
  async shown(subjects: ReadonlyMap<string, string>): Promise<Shown> {
    const folders = await this.owner.folders(this.#session, 'email');
    const pathOf = (folder: Folder): string => {
      const parent = folders.find(({ folder_name }) => folder_name === folder.parent_folder_name);
      return parent === undefined ? folder.display_name : `${pathOf(parent)}/${folder.display_name}`;
    };
    const shown: Shown = {};
    for (const folder of [null, ...folders]) {
      const lines: string[] = [];
      for (const id of await this.#pages(folder?.folder_name ?? null)) {
        const envelope = await this.owner.message(this.#session, id);
        const flags = readFlags(this.#parts.account, storedFlags(envelope));
        lines.push(line(subjects.get(envelope.message_hash) ?? '?', flags));
      }
      shown[folder === null ? 'INBOX' : pathOf(folder)] = lines.sort();
    }
    return withoutEmpty(shown);
  }
}

function storedFlags({ read, extensions_data, message_hash }: DecodedStoredEnvelope) {
  const extensionsData = extensions_data === null ? null : Buffer.from(extensions_data, 'base64');
  return { read, extensionsData, digest: Buffer.from(message_hash, 'hex').subarray(64) };
}
