/**
 * What a thief can read (SMIMP 0.1 §1.4, §4.1): a whole copy of two servers' databases after real traffic, every ciphertext that
 * ever passed, and keys in every combination. Each ciphertext is really tried with each key; nothing is taken on trust.
 *
 * Dead rows that PostgreSQL has not swept away yet, its write-ahead log and backups are left out: whoever keeps those keeps
 * what was deleted, and a server's disk must be encrypted all the same.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { imapClient, type Person, readInbox, send } from '../../src/admin/demo/mail-clients.ts';
import { createKeyMaintenance } from '../../src/identity/maintenance.ts';
import { unpackRendered } from '../../src/mailbox/kept-rendered.ts';
import { secretOpen } from '../../src/smimp/crypto.ts';
import { toHex } from '../../src/smimp/encoding.ts';
import { paddedLength } from '../../src/smimp/payload.ts';
import type { StoredMessage } from '../../src/store/messages.ts';
import { type BridgePair, type LookedInto, silentEvents, startBridgePair } from '../support/bridge-pair.ts';
import { everyValue, findSecrets, type Value } from '../support/database-copy.ts';
import { asBoxSecrets, type Opened, outerBoxes, type Thief, tryOpen } from '../support/thief.ts';

const DAY_MS = 86_400_000;
const MARKS = {
  kept: 'Zwiebelkuchen bleibt hier',
  deleted: 'Quittenmus ist geloescht',
  answer: 'Rhabarber als Antwort',
  sentCopy: 'Kopie der Stachelbeere',
  draft: 'Entwurf mit Mirabelle',
  waiting: 'Wartende Holunderbluete',
  rotated: 'Nach dem Wechsel Schlehe',
  file: 'Dateiname-Hagebutte.txt',
  content: 'Inhalt der Datei Preiselbeere',
  keyword: 'Stichwort-Berberitze',
} as const;
type Mark = keyof typeof MARKS;

let pair: BridgePair;
let alice: Person;
let bob: Person;
/** Every envelope that was ever stored, as a thief on the wire or with old backups has it. */
const archive = new Map<string, StoredMessage>();
let values: { acme: Value[]; corp: Value[] };
const masters: Record<'alice' | 'bobOld' | 'bobNew', Uint8Array> = {} as never;
const secrets: Record<string, Buffer | string> = {};

/** Of Alice at acme, of Bob at corp; the first account of a new bridge is somebody else's. */
const accountId = async ({ opened, site }: Pick<LookedInto, 'opened' | 'site'>): Promise<number> => {
  const address = site.domain === 'acme.test' ? 'alice#acme.test' : 'bob#corp.test';
  const query = opened.db.selectFrom('account').select('id').where('address', '=', address);
  return (await query.executeTakeFirstOrThrow()).id;
};

async function keepEnvelopes(): Promise<void> {
  for (const { opened } of [pair.acme, pair.corp])
    for (const row of await opened.db.selectFrom('message').selectAll().execute())
      archive.set(toHex(row.message_id), { ...row, revision: 0 });
}

/** All secrets that are there to be found. */
async function noteSecrets(name: string, bridge: LookedInto): Promise<void> {
  const { opened, keystore } = bridge;
  const keys = await keystore.open(await accountId(bridge));
  secrets[`${name} master seed`] = Buffer.from((await keys.master()).secretKey.subarray(0, 32));
  secrets[`${name} storage key`] = Buffer.from(await keys.storageKey());
  const rows = await opened.db.selectFrom('secret').select('public_key').where('purpose', '=', 'message').execute();
  for (const { public_key } of rows) {
    const secret = await keys.messageSecret(public_key);
    if (secret !== null) secrets[`${name} message secret ${toHex(public_key).slice(0, 8)}`] = Buffer.from(secret);
  }
}

async function shownIn(person: Person, mark: Mark, mailbox = 'INBOX'): Promise<number> {
  const client = imapClient(person);
  await client.connect();
  try {
    await client.mailboxOpen(mailbox);
    const found = await client.search({ subject: MARKS[mark] }, { uid: true });
    return found ? (found[0] ?? 0) : 0;
  } finally {
    await client.logout();
  }
}

async function appended(person: Person, mailbox: string, mark: Mark): Promise<void> {
  const client = imapClient(person);
  await client.connect();
  const letter = `From: ${person.mailbox}\r\nTo: x@y.test\r\nSubject: ${MARKS[mark]}\r\n\r\n${MARKS[mark]}\r\n`;
  await client.append(mailbox, letter, ['\\Seen']);
  await client.logout();
}

async function deleted(person: Person, mark: Mark, mailbox = 'INBOX'): Promise<void> {
  const uid = await shownIn(person, mark, mailbox);
  expect(uid).toBeGreaterThan(0);
  const client = imapClient(person);
  await client.connect();
  await client.mailboxOpen(mailbox);
  await client.messageDelete(String(uid), { uid: true });
  await client.logout();
}

const mail = (to: Person, mark: Mark) => ({ to: to.mailbox, subject: MARKS[mark], text: `${MARKS[mark]}\n` });

beforeAll(async () => {
  pair = await startBridgePair();
  [alice, bob] = [await pair.acme.addAccount('alice'), await pair.corp.addAccount('bob')];
  await noteSecrets('alice', pair.acme);
  await noteSecrets('bob', pair.corp);
  Object.assign(secrets, { 'password of alice': alice.password, 'password of bob': bob.password });
  secrets['server key of acme'] = Buffer.from(pair.acme.serverKey);
  secrets['server key of corp'] = Buffer.from(pair.corp.serverKey);
  await send(alice, { ...mail(bob, 'kept'), attachments: [{ filename: MARKS.file, content: MARKS.content }] });
  await readInbox(bob, 1);
  await send(alice, mail(bob, 'deleted'));
  await readInbox(bob, 2);
  await send(bob, mail(alice, 'answer'));
  await readInbox(alice, 1);
  await appended(alice, 'Sent', 'sentCopy');
  await appended(alice, 'Drafts', 'draft');
  await send(alice, { ...mail(bob, 'waiting'), to: 'nobody@nowhere.invalid' });
  const client = imapClient(bob);
  await client.connect();
  await client.mailboxOpen('INBOX');
  await client.messageFlagsAdd('1', [MARKS.keyword]);
  await client.logout();
  await keepEnvelopes();
  await deleted(bob, 'deleted');
  await deleted(alice, 'draft', 'Drafts');
  await rotateBob();
  await send(alice, mail(bob, 'rotated'));
  await readInbox(bob, 2);
  await keepEnvelopes();
  await pair.stop();
  await noteSecrets('bob later', pair.corp);
  values = { acme: await everyValue(pair.acme.opened.db), corp: await everyValue(pair.corp.opened.db) };
}, 180_000);
afterAll(() => pair[Symbol.asyncDispose]());

async function rotateBob(): Promise<void> {
  const { opened, keystore } = pair.corp;
  const id = await accountId(pair.corp);
  masters.alice = (await (await pair.acme.keystore.open(await accountId(pair.acme))).master()).secretKey;
  masters.bobOld = (await (await keystore.open(id)).master()).secretKey;
  await createKeyMaintenance({ db: opened.db, keystore, events: silentEvents() }).rotateMaster(id, new Date());
  masters.bobNew = (await (await keystore.open(id)).master()).secretKey;
}

/** Which of the marked messages the thief reads. */
function readBy(thief: Thief): Mark[] {
  const texts = [...archive.values()].map((row) => tryOpen(row, thief).text);
  return (Object.keys(MARKS) as Mark[]).filter((mark) => texts.some((text) => text.includes(MARKS[mark])));
}

function furthest(thief: Thief): Opened[] {
  return [...new Set([...archive.values()].map((row) => tryOpen(row, thief).got))].sort();
}

/** Every message secret that the server key opens, of one database as it is now. */
async function messageSecrets(bridge: LookedInto): Promise<Uint8Array[]> {
  const { opened, keystore } = bridge;
  const keys = await keystore.open(await accountId(bridge));
  const rows = await opened.db.selectFrom('secret').select('public_key').where('purpose', '=', 'message').execute();
  const found = await Promise.all(rows.map(({ public_key }) => keys.messageSecret(public_key)));
  return found.filter((secret) => secret !== null);
}

describe('padding, sender forward secrecy and erasure', () => {
  it('has something to steal: every letter passed, and the archive of the thief holds them', async () => {
    expect(archive.size).toBeGreaterThanOrEqual(6);
    const everything = asBoxSecrets(
      ...Object.entries(secrets)
        .filter(([name]) => name.includes('message secret'))
        .map(([, secret]) => secret as Buffer),
    );
    expect(readBy(everything)).toEqual(
      expect.arrayContaining(['kept', 'deleted', 'answer', 'sentCopy', 'draft', 'rotated', 'file']),
    );
  });

  it('the databases alone open nothing: no value in them is a key of anything', () => {
    const all = [...values.acme, ...values.corp].map(({ bytes }) => bytes);
    const candidates = all.filter((bytes) => bytes.length === 32);
    expect(candidates.length).toBeGreaterThan(400);
    const few = candidates.filter((_value, i) => i % 9 === 0 || i < 40);
    for (const row of archive.values()) for (const secret of few) expect(outerBoxes(row, secret)).toEqual([]);
    const sealed = [...values.acme, ...values.corp].filter(({ place }) => /\.(?:sealed|wrapped_key)$/.test(place));
    expect(sealed.length).toBeGreaterThan(200);
    for (const { bytes } of sealed.slice(0, 40))
      for (const key of few.slice(0, 100)) expect(secretOpen(key, bytes, Buffer.alloc(0))).toBeNull();
  });

  it('database and server key of the recipient open what is there, and not what was deleted', async () => {
    const thief = asBoxSecrets(...(await messageSecrets(pair.corp)), masters.bobNew, masters.bobOld);
    expect(readBy(thief).filter((mark) => mark !== 'file' && mark !== 'content')).toEqual(['kept', 'rotated']);
  });

  it('what is kept sealed beside the messages holds what is there, and nothing of what was deleted', async () => {
    const account = await accountId(pair.corp);
    const keys = await pair.corp.keystore.open(account);
    const kept = pair.corp.opened.db.selectFrom('content').select(['sealed', 'sealed_for', 'rendered']);
    const rows = await kept.where('account_id', '=', account).execute();
    const indexes = rows.map(({ sealed, sealed_for }) => keys.unseal('content', sealed_for, sealed));
    const bodies = rows.map(({ rendered, sealed_for }) =>
      unpackRendered(keys.unseal('rendered', sealed_for, rendered as Buffer)),
    );
    const holds = (texts: readonly Buffer[], mark: Mark): boolean => texts.some((text) => text.includes(MARKS[mark]));
    for (const texts of [indexes, bodies])
      expect([holds(texts, 'kept'), holds(texts, 'rotated'), holds(texts, 'deleted')]).toEqual([true, true, false]);
    for (const { rendered } of rows)
      expect(paddedLength((rendered?.length ?? 0) - 40)).toBe((rendered?.length ?? 0) - 40);
  });

  it('database and server key of the sender open nothing that was sent: only the copy that she kept herself', async () => {
    const thief = asBoxSecrets(...(await messageSecrets(pair.acme)), masters.alice);
    const read = readBy(thief);
    for (const mark of ['kept', 'deleted', 'rotated'] as const) expect(read).not.toContain(mark);
    expect(read).toEqual(expect.arrayContaining(['answer', 'sentCopy']));
    const left = await pair.acme.opened.db.selectFrom('delivery').selectAll().where('stage', '=', 'done').execute();
    expect(left.length).toBe(3);
    for (const { sealed_envelope, minted_envelope, session } of left)
      expect([sealed_envelope, minted_envelope, session]).toEqual([null, null, null]);
    const submissions = await pair.acme.opened.db
      .selectFrom('submission')
      .select(['id', 'sealed'])
      .orderBy('id')
      .execute();
    // What still waits is there, sealed; what was delivered is gone.
    expect(submissions.map(({ sealed }) => sealed === null)).toEqual([true, true, false, true]);
  });

  it('a stolen master key of the sender opens the outer box of all she ever sent, and no message', () => {
    expect(furthest(asBoxSecrets(masters.alice))).toEqual(['nothing', 'outer box']);
    expect(readBy(asBoxSecrets(masters.alice))).toEqual([]);
  });

  it('stolen master keys of the recipient, present and retired, open none of what was sent to him', () => {
    const sent = [...archive.values()].filter(({ sender_address }) => sender_address === 'alice#acme.test');
    for (const row of sent) expect(tryOpen(row, asBoxSecrets(masters.bobOld, masters.bobNew)).got).toBe('nothing');
    expect(readBy(asBoxSecrets(masters.bobOld, masters.bobNew))).toEqual([]);
  });

  it('all master keys of both together open no message at all', () => {
    expect(readBy(asBoxSecrets(masters.alice, masters.bobOld, masters.bobNew))).toEqual([]);
  });

  it('one stolen message secret opens the one message under it', async () => {
    const kept = [...archive.values()].filter((row) => row.sender_address === 'alice#acme.test');
    const reads = Object.entries(secrets)
      .filter(([name]) => name.includes('message secret'))
      .map(([, secret]) => kept.filter((row) => tryOpen(row, asBoxSecrets(secret as Buffer)).got === 'message').length);
    // Single-use keys: one letter each. (Drafts and copies lie under Alice's own lasting key, which she shares with nobody.)
    expect(Math.max(...reads)).toBeGreaterThan(0);
    expect(reads.filter((count) => count > 1).length).toBeLessThanOrEqual(1);
  });

  it('what was deleted under the lasting key opens until that key goes, a week and two days later, and never after', async () => {
    const { opened, keystore } = pair.acme;
    const before = asBoxSecrets(...(await messageSecrets(pair.acme)));
    // The archive of the thief against a key that still lives: this is the window, and it is said here.
    expect(readBy(before)).toContain('draft');
    await opened.db.deleteFrom('message').execute();
    const maintenance = createKeyMaintenance({ db: opened.db, keystore, events: silentEvents() });
    const now = Date.now();
    await maintenance.runOnce(new Date(now + 7 * DAY_MS + 60_000));
    await maintenance.runOnce(new Date(now + 9 * DAY_MS + 120_000));
    const after = asBoxSecrets(...(await messageSecrets(pair.acme)), masters.alice);
    expect(readBy(after).filter((mark) => mark === 'draft' || mark === 'sentCopy')).toEqual([]);
  });

  it('sizes tell their Padmé class and no more', () => {
    const overhead = 16 + 32 + 24 + 16;
    for (const { ciphertext, size_bytes } of archive.values()) {
      const framed = ciphertext.length - overhead;
      expect(size_bytes).toBe(ciphertext.length);
      expect(paddedLength(framed)).toBe(framed);
    }
    const sealOverhead = 24 + 16;
    for (const { place, bytes } of [...values.acme, ...values.corp].filter(({ place: at }) =>
      at.endsWith('content.sealed'),
    ))
      expect([place, paddedLength(bytes.length - sealOverhead)]).toEqual([place, bytes.length - sealOverhead]);
    for (const { bytes } of values.acme.filter(({ place }) => place.endsWith('submission.size_bytes')))
      expect(paddedLength(Number(bytes.toString()))).toBe(Number(bytes.toString()));
  });

  it('no word of any message, no name of a file, no keyword and no secret stands in any table', () => {
    for (const site of ['acme', 'corp'] as const) {
      // What may stand there is found, so what is not found is not there.
      expect(findSecrets(values[site], { address: `${site}.test` }).length).toBeGreaterThan(1);
      expect(findSecrets(values[site], { ...MARKS, ...secrets })).toEqual([]);
    }
  });

  it('nor in any log, where no address stands either', () => {
    const people = {
      alice: 'alice',
      bob: 'bob',
      nobody: 'nobody',
      acme: 'acme.test',
      corp: 'corp.test',
      nowhere: 'nowhere.invalid',
    };
    for (const { log } of [pair.acme, pair.corp]) {
      expect(log.length).toBeGreaterThan(20);
      const lines = log.map((line, i) => ({ place: `line ${i}: ${line}`, bytes: Buffer.from(line) }));
      expect(findSecrets(lines, { ...MARKS, ...secrets, ...people })).toEqual([]);
    }
  });

  it('the queue’s own tables hold numbers of deliveries and nothing else', () => {
    const queue = values.acme.filter(({ place }) => place.startsWith('bullmq.'));
    expect(findSecrets(queue, { address: 'alice#acme.test', mailbox: 'alice@acme.test', domain: 'corp.test' })).toEqual(
      [],
    );
  });
});
