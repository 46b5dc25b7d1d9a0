/**
 * Everything of a bridge that receives and shows mail, over a real database: Bob's mailbox behind real IMAP listeners, and
 * people of another server, commanded by the test, who write to him. The clock stands still until it is moved.
 */
import { createEvents, type Events, type Meter } from '../../src/events.ts';
import { type Accounts, createAccounts } from '../../src/identity/accounts.ts';
import { createIdentity, type Identity } from '../../src/identity/resolve.ts';
import { createImapServer, type ImapOptions, type ImapServer } from '../../src/imap/listener.ts';
import { createKeystore, type Keystore } from '../../src/keystore/keystore.ts';
import { createLogger } from '../../src/log.ts';
import type { DisplayRules } from '../../src/mailbox/contents.ts';
import { createMailbox, type Mailbox } from '../../src/mailbox/mailbox.ts';
import { openPending } from '../../src/mailbox/open.ts';
import type { AccountMailbox } from '../../src/mailbox/types.ts';
import { ByteGate } from '../../src/memory/byte-gate.ts';
import { createDiscovery } from '../../src/remote/discovery.ts';
import { createHomeClient } from '../../src/remote/home.ts';
import { createHttps } from '../../src/remote/https.ts';
import { type Address, parseAddress, parseDomain } from '../../src/smimp/address.ts';
import { sealMessage } from '../../src/smimp/boxes.ts';
import { randomBytes } from '../../src/smimp/crypto.ts';
import type { BaseUrl } from '../../src/smimp/discovery.ts';
import { type EmailBody, serializeBody } from '../../src/smimp/email.ts';
import { formatTimestamp, type Hex32, type SignedHash, toHex } from '../../src/smimp/encoding.ts';
import { signSealed } from '../../src/smimp/envelope.ts';
import type { MessageHeader } from '../../src/smimp/header.ts';
import type { OpenedDatabase } from '../../src/store/database.ts';
import { inboxId, insertMessage, type NewMessage } from '../../src/store/messages.ts';
import { findNonEphemeralSecret } from '../../src/store/secrets.ts';
import { testDatabase } from './database.ts';
import { type HostileServer, type ServedUser, startHostileServer } from './hostile-server.ts';
import { ImapClient } from './imap-client.ts';
import { TestClock } from './outbound-site.ts';
import { testAuthority, testCertificate } from './tls-server.ts';

export const BOB = parseAddress('bob#corp.test');
export const PASSWORD = 'correct horse';
export const LIMITS: ImapOptions['limits'] = {
  messageBytes: 1_000_000,
  connections: 50,
  connectionsPerAddress: 50,
  connectionsPerAccount: 20,
};

export type Letter = {
  from: ServedUser;
  subject?: string;
  text?: string;
  uid?: Hex32;
  messageType?: string;
  body?: Uint8Array;
  header?: Partial<MessageHeader>;
  /** Sealed to this key of Bob's instead of his non-ephemeral one. */
  key?: Buffer;
  /** Changes the row before it is stored. */
  tamper?: (row: NewMessage) => void;
};

export interface MailSite extends AsyncDisposable {
  readonly opened: OpenedDatabase;
  readonly clock: TestClock;
  readonly events: Events;
  readonly keystore: Keystore;
  readonly identity: Identity;
  readonly gate: ByteGate;
  readonly accounts: Accounts;
  readonly mailbox: Mailbox;
  /** Where the people live who write to Bob. */
  readonly server: HostileServer;
  readonly bobId: number;
  readonly ca: string;
  readonly ports: { imaps: number; imap: number };
  /** Lines of the log. */
  readonly log: string[];
  /** Another IMAP server, as another process would be. */
  serve(
    options?: Partial<Pick<ImapOptions, 'limits' | 'sessionLimits' | 'timeouts' | 'withhold' | 'clock' | 'mailbox'>>,
  ): Promise<ImapServer & { port: number; plainPort: number }>;
  /** As another process would: a mailbox with nothing in memory, behind a server of its own. */
  anew(): ReturnType<MailSite['serve']>;
  /** Puts an envelope into Bob's mailbox as the API does; its id. */
  receive(letter: Letter): Promise<Buffer>;
  /** Opens what is due. */
  open(rules?: DisplayRules): Promise<number>;
  /** A client that has logged in as Bob. */
  client(port?: number): Promise<ImapClient>;
}

/** `gateway`: a server besides, whose word is taken for people of the old internet. */
export async function mailSite(options: { meter?: Meter; gateway?: HostileServer } = {}): Promise<MailSite> {
  const opened = await testDatabase();
  const { db, listener } = opened;
  const clock = new TestClock();
  const log: string[] = [];
  const logger = createLogger({ level: 'info', destination: { write: (line) => log.push(line) } });
  const events = createEvents(logger, options.meter);
  const server = await startHostileServer('acme.test', { zeroBits: 0, now: clock.seconds });
  const authority = await testAuthority();
  const ca = authority.certificate;
  const https = createHttps({
    hosts: { ...server.hosts, ...options.gateway?.hosts, 'dead.test': '127.0.0.1:1' },
    allow: [],
    ca: [ca],
  });
  const keystore = createKeystore({ db, serverKey: Buffer.alloc(32, 7) });
  const home = createHomeClient({ https });
  const common = { db, home, keystore, events, clock: clock.read };
  const discovery = createDiscovery({ ...common, https });
  const identity = createIdentity({ ...common, discovery, baseUrl: 'https://smimp.corp.test' as BaseUrl });
  const accounts = createAccounts(common);
  const services = { ...common, identity };
  const domain = options.gateway?.domain;
  const legacyDisplay = domain === undefined ? null : { gatewayDomain: parseDomain(domain), ownDomains: ['corp.test'] };
  const mailbox = createMailbox({ ...services, listener, legacyDisplay });
  const gate = new ByteGate(1_000_000);
  const { id: bobId } = await accounts.add({ address: BOB, password: PASSWORD, name: 'Bob' });
  const { certificate: cert, key } = await testCertificate('localhost');

  const serve: MailSite['serve'] = async (changes = {}) => {
    const started = createImapServer({ ...services, mailbox, limits: LIMITS, tls: { cert, key }, ...changes });
    const { port } = await started.listen({ host: '127.0.0.1', port: 0, implicitTls: true });
    const { port: plainPort } = await started.listen({ host: '127.0.0.1', port: 0, implicitTls: false });
    return { ...started, port, plainPort };
  };
  const imap = await serve();

  return {
    ...{ opened, clock, events, keystore, identity, gate, accounts, mailbox, server, bobId, ca, log, serve },
    anew: () => serve({ mailbox: createMailbox({ ...services, listener }) }),
    ports: { imaps: imap.port, imap: imap.plainPort },
    receive: (letter) => receive({ opened, clock, identity, bobId }, letter),
    open: (rules = {}) => openPending({ ...services, gate, legacyDisplay, ...rules }, bobId),
    async client(port = imap.port) {
      const client = await ImapClient.open({ port, ca });
      await client.ok(`login ${BOB.replace('#', '@')} "${PASSWORD}"`);
      return client;
    },
    async [Symbol.asyncDispose]() {
      await imap[Symbol.asyncDispose]();
      await https[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
      await opened[Symbol.asyncDispose]();
    },
  };
}

/** `bobId`: of the account that gets it; `recipient`: its address. */
type Receiving = Pick<MailSite, 'opened' | 'clock' | 'identity' | 'bobId'> & { recipient?: Address };

export async function receive(into: Receiving, letter: Letter): Promise<Buffer> {
  const { opened, clock, identity, bobId, recipient = BOB } = into;
  const { db } = opened;
  const { from } = letter;
  const messageType = letter.messageType ?? 'email';
  const { seq, head } = await identity.ownHistory(bobId);
  const header: MessageHeader = {
    v: 1,
    from: from.address,
    to: recipient,
    uid: letter.uid ?? toHex(randomBytes(32)),
    sent: formatTimestamp(clock.seconds()),
    sender_head: { seq: from.records.length - 1, head: from.trueHead() },
    recipient_head: { seq, head },
    via: null,
    original: null,
    ...letter.header,
  };
  const publicKey = letter.key ?? (await findNonEphemeralSecret(db, bobId))?.public_key;
  if (publicKey === undefined) throw new Error('Bob has no key');
  const messagePublicKey = toHex<Hex32>(publicKey);
  const body = letter.body ?? serializeBody('email', emailBody(letter, clock, recipient));
  const senderKey = from.master;
  const sealed = sealMessage({ header, body, messageType, messagePublicKey, senderKey });
  const loginTokenHash = toHex<Hex32>(randomBytes(32));
  const people = { sender: from.address, recipient };
  const signed: SignedHash = signSealed({ sealed, proofOfWork: null, loginTokenHash, ...people, senderKey });
  const row: NewMessage = {
    message_id: randomBytes(32),
    account_id: bobId,
    folder_id: await inboxId(db, bobId),
    message_type: messageType,
    ciphertext: Buffer.from(sealed.ciphertext),
    message_public_key: publicKey,
    nonce: Buffer.from(sealed.nonce, 'hex'),
    proof_of_work: null,
    message_hash: Buffer.from(signed, 'hex'),
    sender_address: from.address,
    sender_public_key: Buffer.from(senderKey.publicKey),
    time_received: clock.read(),
    pow_zero_bits: null,
    pow_nonce: null,
    login_token_hash: Buffer.from(loginTokenHash, 'hex'),
    received_via: 'smimp_client',
    extensions_data: null,
    state: 'pending',
  };
  letter.tamper?.(row);
  await db.transaction().execute((tx) => insertMessage(tx, row));
  return row.message_id;
}

function emailBody(letter: Letter, clock: TestClock, recipient: Address): EmailBody {
  const { subject = 'A letter', text = 'Dear Bob' } = letter;
  return {
    to: [recipient],
    cc: [],
    subject,
    thread_id: 'ab'.repeat(32) as Hex32,
    reply_to_message_id: null,
    date_sent: formatTimestamp(clock.seconds()),
    body: text,
    signature_text: null,
    attachments: [],
    extensions_data: null,
    reply_to: null,
    auto_reply_address: null,
  };
}

/** A small plain message with CRLF line ends. */
export function plainMail(fields: Record<string, string>, text: string): Buffer {
  const header = Object.entries({ From: 'bob@corp.test', To: 'bob@corp.test', ...fields }).map(
    ([name, value]) => `${name}: ${value}\r\n`,
  );
  return Buffer.from(`${header.join('')}\r\n${text}`, 'utf8');
}

/** Bob's account as two processes have it open. */
export async function twoProcesses(site: MailSite): Promise<[AccountMailbox, AccountMailbox]> {
  const { opened, keystore, identity, events, clock, mailbox, bobId } = site;
  const services = { db: opened.db, listener: opened.listener, keystore, identity, events, clock: clock.read };
  return [await mailbox.open(bobId), await createMailbox(services).open(bobId)];
}
