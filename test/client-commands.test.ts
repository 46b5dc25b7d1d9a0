/** The commands send, read, whois, rotate-key, login-with-smimp and keystore, against a real bridge and its database. */
import { randomBytes } from 'node:crypto';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createAccountWithKeys } from '../src/admin/accounts.ts';
import { exportKeystore, importKeystore, loginWithSmimp, rotateKey } from '../src/admin/keys.ts';
import { acceptSecret } from '../src/admin/keystore-accept.ts';
import { EXIT } from '../src/admin/output.ts';
import { listMail, showMail } from '../src/admin/read.ts';
import { type SendCommand, sendMessage } from '../src/admin/send.ts';
import { whois } from '../src/admin/whois.ts';
import { newSiteToken, verifySiteAuth } from '../src/client/index.ts';
import { parseAddress } from '../src/smimp/address.ts';
import { messageKeyPair } from '../src/smimp/crypto.ts';
import { serializeBody } from '../src/smimp/email.ts';
import { toHex } from '../src/smimp/encoding.ts';
import { type CommandSite, commandSite, runCommand, typed } from './support/command-site.ts';

const ALICE = 'alice@home.test';
const BOB = 'bob@home.test';
/** As cheap as a backup can be. */
const COST = { memoryKib: 19 * 1024, passes: 2, lanes: 1 };
const NEVER = new AbortController().signal;
const PASSPHRASE = 'four words would do nicely';

let home: CommandSite;

beforeAll(async () => {
  home = await commandSite('home.test');
  for (const mailbox of [ALICE, BOB]) {
    await createAccountWithKeys(home.bridge, { typed: mailbox, password: 'secret word', name: mailbox.slice(0, 3) });
  }
});
afterAll(() => home[Symbol.asyncDispose]());

const send = (to: string, body: string | Buffer, more: Partial<SendCommand> = {}) =>
  home.run((common) =>
    sendMessage({
      ...common,
      ...{ from: ALICE, to: [to], type: 'email', subject: null, file: null, input: typed(body), waitSeconds: 20 },
      ...more,
    }),
  );
const list = (account = BOB, folder: string | null = null) =>
  home.run((common) => listMail({ ...common, account, folder, limit: 50 }));
const show = (id: string, account = BOB, bodyTo: string | null = null) =>
  home.run((common) => showMail({ ...common, account, id, bodyTo }));

type Listed = {
  message_id: string;
  message_type: string;
  state: string;
  reason: string | null;
  subject: string | null;
};

/** The newest message of a type, once it was opened. */
async function newest(type: string, account = BOB): Promise<Listed> {
  for (let tries = 0; tries < 500; tries++) {
    const messages = (await list(account)).json as Listed[];
    const found = messages.find(({ message_type }) => message_type === type);
    if (found !== undefined && found.state !== 'pending') return found;
  }
  throw new Error(`no ${type} was opened`);
}

describe('send and read', () => {
  it('an email, from the terminal to the terminal', async () => {
    const sent = await send(BOB, 'See you at *nine*.\nAlice\n', { subject: 'Tomorrow – früh' });
    expect(sent).toMatchObject({ code: 0, json: [{ recipient: 'bob#home.test', stage: 'done' }] });
    const message = await newest('email');
    expect(message).toMatchObject({ state: 'shown', subject: 'Tomorrow – früh' });
    const shown = await show(message.message_id.slice(0, 12));
    expect(shown.text).toContain('Subject: Tomorrow – früh\n\nSee you at *nine*.\nAlice');
    expect(shown.json).toMatchObject({ content: { subject: 'Tomorrow – früh' }, cautions: [] });
    expect((await list(BOB, 'INBOX')).json).toHaveLength(1);
    expect(await list(BOB, 'Nowhere')).toMatchObject({ code: EXIT.notFound });
  });

  it('a short message, and one of a type that is not for people', async () => {
    expect(await send(BOB, 'on my way\n', { type: 'short-message' })).toMatchObject({ code: 0 });
    expect((await show((await newest('short-message')).message_id)).text).toContain('\n\non my way');
    const bytes = randomBytes(300);
    expect(await send(BOB, bytes, { type: 'x-custom-chess' })).toMatchObject({ code: 0 });
    const message = await newest('x-custom-chess');
    expect(message.state).toBe('hidden');
    const path = join(home.directory, 'move.bin');
    expect((await show(message.message_id, BOB, path)).text).toContain('300 bytes that are not for people');
    expect(await readFile(path)).toEqual(bytes);
    expect((await show(message.message_id, BOB, path)).code).toBe(EXIT.failed);
  });

  it('what is held or invalid: the reason, and nothing of what is inside', async () => {
    await send(BOB, 'secret plans', { type: 'short-message' });
    const { message_id: id } = await newest('short-message');
    const row = () => home.db.updateTable('message').where('message_id', '=', Buffer.from(id, 'hex'));
    for (const [state, reason, text] of [
      ['held', 'pin-forked', 'It is not opened before its sender can be verified.'],
      ['quarantined', 'outer-box', `An invalid message claimed to be from ${ALICE}. It was not opened.`],
    ] as const) {
      await row().set({ state, reason, next_attempt_at: null }).execute();
      expect((await list()).text).toContain(`${state} (${reason})`);
      const shown = await show(id);
      expect(shown.text).toContain(text);
      expect(shown.json).toMatchObject({ state, reason, content: null, subject: null });
      expect(JSON.stringify(shown)).not.toContain('secret plans');
      expect((await show(id, BOB, join(home.directory, 'closed'))).code).toBe(EXIT.failed);
    }
    await row().set({ state: 'shown', reason: null }).execute();
    expect((await show(id)).text).toContain('secret plans');
  });

  it('says what can never arrive, and takes nothing in', async () => {
    expect(await send('nobody@home.test', 'x')).toMatchObject({ code: EXIT.failed, json: null });
    expect(await send(BOB, 'x', { type: 'secret-ed25519' })).toMatchObject({ code: EXIT.usage });
    expect(await send(BOB, 'x', { type: 'short-message', subject: 'S' })).toMatchObject({ code: EXIT.usage });
    expect(await send('not an address', 'x')).toMatchObject({ code: EXIT.badInput });
    expect(await send(BOB, 'x', { from: 'zoe@home.test' })).toMatchObject({ code: EXIT.notFound });
    expect(await send(BOB, 'x', { file: join(home.directory, 'absent') })).toMatchObject({ code: EXIT.badInput });
  });

  it('shows no control characters of other people', async () => {
    await send(BOB, 'a\u001b[2Jb\u202ec', { type: 'short-message' });
    expect((await show((await newest('short-message')).message_id)).text).toMatch(/\n\na\ufffd\[2Jb\ufffdc$/);
  });

  it('tells an id that is none from one that means several', async () => {
    expect(await show('ffff')).toMatchObject({ code: EXIT.notFound });
    expect(await show('xyz')).toMatchObject({ code: EXIT.notFound });
    expect(await show('00'.repeat(32))).toMatchObject({ code: EXIT.notFound });
  });
});

describe('whois', () => {
  const look = (address: string, as: string | null = null) =>
    home.run((common) => whois({ ...common, address, as, qr: true }));

  it('shows the history of somebody without pinning', async () => {
    const before = await home.bridge.identity.show({ accountId: await idOf(BOB) });
    const looked = await look(ALICE, BOB);
    const { fingerprint, uri } = await home.bridge.accounts.fingerprint(parseAddress('alice#home.test'));
    expect(looked).toMatchObject({ code: 0, json: { fingerprint, uri, server: 'https://smimp.home.test' } });
    expect(looked.text).toContain('█');
    const anonymous = await look('bob#home.test');
    expect(anonymous).toMatchObject({
      code: 0,
      json: { state: 'NEW', pin: null, history: [{ changed: ['created'] }] },
    });
    expect(await home.bridge.identity.show({ accountId: await idOf(BOB) })).toEqual(before);
  });

  it('tells what is not there', async () => {
    expect(await look('nobody@home.test')).toMatchObject({ code: EXIT.notFound });
    expect(await look('a@gone.invalid')).toMatchObject({ code: EXIT.unavailable, json: { state: 'UNAVAILABLE' } });
  });
});

async function idOf(mailbox: string): Promise<number> {
  const account = await home.bridge.accounts.find(parseAddress(mailbox.replace('@', '#')));
  return account?.id ?? 0;
}

describe('keys', () => {
  it('rotate only when that is confirmed, and whois shows the new one', async () => {
    const rotate = (confirmed: boolean) => home.run((common) => rotateKey({ ...common, account: ALICE, confirmed }));
    expect(await rotate(false)).toMatchObject({ code: EXIT.usage });
    const { fingerprint } = await home.bridge.accounts.fingerprint(parseAddress('alice#home.test'));
    expect(await rotate(true)).toMatchObject({ code: 0, json: { seq: 1, fingerprint } });
    const looked = await home.run((common) => whois({ ...common, address: ALICE, as: BOB, qr: false }));
    expect(looked.json).toMatchObject({ state: 'EXTENDED', history: [{}, { changed: ['public_key'] }] });
    expect(await send(BOB, 'under the new key')).toMatchObject({ code: 0, json: [{ stage: 'done' }] });
    const before = (await list()).json as Listed[];
    expect(before.every(({ state }) => state !== 'quarantined')).toBe(true);
  });

  it('log in to web sites, for exactly one origin', async () => {
    const token = newSiteToken();
    const login = (origin: string, given: string = token) =>
      home.run((common) => loginWithSmimp({ ...common, account: ALICE, origin, token: given }));
    const answered = await login('https://shop.example.com');
    expect(answered.code).toBe(0);
    const accountId = await idOf(BOB);
    const resolve = (contact: ReturnType<typeof parseAddress>) => home.bridge.identity.resolve({ accountId, contact });
    const answer = answered.json;
    const site = { origin: 'https://shop.example.com', token };
    expect(await verifySiteAuth(resolve, { ...site, answer })).toMatchObject({ address: 'alice#home.test' });
    for (const origin of [
      'https://Shop.example.com',
      'https://shop.example.com/',
      'http://shop.example.com',
      'https://1.2.3.4',
      'https://shop.example.com:443',
    ])
      expect(await login(origin)).toMatchObject({ code: EXIT.badInput });
    expect(await login('https://shop.example.com', 'ab')).toMatchObject({ code: EXIT.badInput });
  });
});

describe('keystore', () => {
  const file = (): string => join(home.directory, 'alice.keystore');
  const save = (path: string, passphrase = PASSPHRASE) =>
    home.run((common) =>
      exportKeystore({ ...common, account: ALICE, file: path, input: typed(`${passphrase}\n`), cost: COST }),
    );
  const restore = (configPath: string, path: string, passphrase = PASSPHRASE, account = ALICE) =>
    runCommand(configPath, (common) => importKeystore({ ...common, account, file: path, input: typed(passphrase) }));

  it('is written to a file that only its owner reads, once', async () => {
    expect(await save(file(), 'short')).toMatchObject({ code: EXIT.badInput });
    const saved = await save(file());
    expect(saved).toMatchObject({ code: 0 });
    expect((await stat(file())).mode & 0o777).toBe(0o600);
    expect(await save(file())).toMatchObject({ code: EXIT.failed });
    const keys = await home.bridge.keystore.open(await idOf(ALICE));
    const bytes = (await readFile(file())).toString('latin1');
    for (const secret of [(await keys.master()).secretKey, await keys.storageKey()]) {
      expect(bytes.includes(toHex(secret))).toBe(false);
      expect(saved.text.includes(toHex(secret))).toBe(false);
    }
  });

  it('does not come over keys that are there', async () => {
    expect(await restore(home.site.configPath, file())).toMatchObject({ code: EXIT.failed });
  });

  it('restores a lost database: same identity, pins and secrets, mail can be sent', async () => {
    const lost = await commandSite('home.test');
    try {
      const { configPath } = lost.site;
      expect(await restore(configPath, file(), 'another passphrase')).toMatchObject({ code: EXIT.failed });
      expect(await restore(configPath, file(), PASSPHRASE, BOB)).toMatchObject({ code: EXIT.badInput });
      const restored = await restore(configPath, file());
      const address = parseAddress('alice#home.test');
      const { fingerprint } = await home.bridge.accounts.fingerprint(address);
      expect(restored).toMatchObject({ code: 0, json: { address, fingerprint } });
      const accountId = (await lost.bridge.accounts.find(address))?.id ?? 0;
      const old = await home.bridge.transfer.take(await idOf(ALICE));
      const now = await lost.bridge.transfer.take(accountId);
      const { message_keys: oldKeys, ...oldRest } = old;
      const { message_keys: newKeys, ...newRest } = now;
      expect(newRest).toEqual(oldRest);
      const kept = new Set(newKeys.map(({ secret_key }) => secret_key));
      expect(oldKeys.every(({ secret_key }) => kept.has(secret_key))).toBe(true);
      expect(newKeys).toHaveLength(oldKeys.length + 101);
      await createAccountWithKeys(lost.bridge, { typed: 'carol@home.test', password: 'secret word', name: null });
      const command = {
        from: ALICE,
        to: ['carol@home.test'],
        type: 'email',
        subject: null,
        file: null,
        waitSeconds: 20,
      };
      const sent = await lost.run((common) => sendMessage({ ...common, ...command, input: typed('back again') }));
      expect(sent).toMatchObject({ code: 0, json: [{ stage: 'done' }] });
      expect(await restore(configPath, file())).toMatchObject({ code: EXIT.failed });
    } finally {
      await lost[Symbol.asyncDispose]();
    }
  });

  it('gives its keys to an account that has none here, if its history is the same', async () => {
    const mailbox = 'dora@home.test';
    await createAccountWithKeys(home.bridge, { typed: mailbox, password: 'secret word', name: null });
    const path = join(home.directory, 'dora.keystore');
    await home.run((common) =>
      exportKeystore({ ...common, account: mailbox, file: path, input: typed(PASSPHRASE), cost: COST }),
    );
    const accountId = await idOf(mailbox);
    for (const name of ['mail_user', 'secret', 'own_record', 'pin'] as const) {
      await home.db.deleteFrom(name).where('account_id', '=', accountId).execute();
    }
    const changed = Buffer.alloc(96, 1);
    const records = home.db.selectFrom('record').select('signed_hash').where('account_id', '=', accountId);
    const { signed_hash } = await records.executeTakeFirstOrThrow();
    const serve = (hash: Buffer) =>
      home.db.updateTable('record').set({ signed_hash: hash }).where('account_id', '=', accountId).execute();
    await serve(changed);
    const refused = await restore(home.site.configPath, path, PASSPHRASE, mailbox);
    expect(refused).toMatchObject({ code: EXIT.failed, error: expect.stringContaining('another history') });
    await serve(signed_hash);
    expect(await restore(home.site.configPath, path, PASSPHRASE, mailbox)).toMatchObject({ code: 0 });
    expect(await send(mailbox, 'welcome back', { type: 'short-message' })).toMatchObject({ code: 0 });
    expect(await newest('short-message', mailbox)).toMatchObject({ state: 'shown' });
  });

  it('tells what is wrong with a file', async () => {
    const whole = await readFile(file());
    const tries: [string, Buffer][] = [
      ['this is no keystore backup', Buffer.from('hello')],
      ['this backup is not whole', whole.subarray(0, -1)],
      ['this backup is damaged', Buffer.concat([whole.subarray(0, -1), Buffer.from([(whole.at(-1) ?? 0) ^ 1])])],
    ];
    for (const [message, bytes] of tries) {
      const path = join(home.directory, toHex(randomBytes(4)));
      await writeFile(path, bytes);
      expect((await restore(home.site.configPath, path)).error).toContain(message);
    }
    expect((await restore(home.site.configPath, join(home.directory, 'nothing'))).code).toBe(EXIT.badInput);
  });
});

describe('keystore accept', () => {
  const accept = (messageId: string, confirmed: boolean, account = ALICE) =>
    home.run((common) => acceptSecret({ ...common, account, messageId, confirmed }));
  /** As another client of Alice's sends it. */
  const sendSecret = async (to: string, type: string, body: Parameters<typeof serializeBody>[1]): Promise<string> => {
    const { bridge } = home;
    const from = parseAddress('alice#home.test');
    const common = { accountId: await idOf(ALICE), from, recipients: [parseAddress(to.replace('@', '#'))] };
    const ready = { ...common, now: new Date(), messageType: type, body: serializeBody(type, body) };
    const { submissionId } = await bridge.pipeline.accept(ready);
    for (;;) {
      const [delivery] = await bridge.pipeline.operations.list({ state: 'done', limit: 1, submissionId });
      const messages = delivery === undefined ? [] : ((await list(to)).json as Listed[]);
      const found = messages.find(({ message_id }) => message_id === delivery?.message_id);
      if (found !== undefined && found.state !== 'pending') return found.message_id;
      await bridge.pipeline.run(
        (await bridge.pipeline.operations.list({ state: 'all', limit: 1, submissionId }))[0]?.id ?? 0,
        NEVER,
      );
    }
  };
  const pair = messageKeyPair();
  const secret = {
    public_key: toHex(pair.publicKey),
    secret_key: toHex(pair.secretKey),
    kind: 'message-key' as const,
    note: 'from my telephone',
  };

  it('takes a message key from oneself, after confirmation, and prints no secret', async () => {
    const id = await sendSecret(ALICE, 'secret-curve25519', secret);
    const shown = await show(id, ALICE);
    expect(shown.text).toContain('A secret of kind message-key');
    expect(JSON.stringify(shown)).not.toContain(secret.secret_key);
    const keys = await home.bridge.keystore.open(await idOf(ALICE));
    expect(await keys.messageSecret(pair.publicKey)).toBeNull();
    expect(await accept(id, false)).toMatchObject({ code: EXIT.usage });
    expect(await keys.messageSecret(pair.publicKey)).toBeNull();
    const accepted = await accept(id, true);
    expect(accepted).toMatchObject({ code: 0, json: { kind: 'message-key' } });
    expect(await keys.messageSecret(pair.publicKey)).toEqual(Buffer.from(pair.secretKey));
    expect(JSON.stringify(accepted)).not.toContain(secret.secret_key);
  });

  it('takes nothing from anybody else, nor what is no secret', async () => {
    const id = await sendSecret(BOB, 'secret-curve25519', secret);
    expect(await accept(id, true, BOB)).toMatchObject({ code: EXIT.failed });
    expect(await accept((await newest('email')).message_id, true, BOB)).toMatchObject({ code: EXIT.badInput });
    expect(await accept('ff'.repeat(32), true)).toMatchObject({ code: EXIT.notFound });
  });

  it('takes nothing that was signed with a master key of the past', async () => {
    const id = await sendSecret(ALICE, 'secret-xsalsa20', {
      public_key: null,
      secret_key: toHex(randomBytes(32)),
      kind: 'storage',
      note: null,
    });
    await home.bridge.maintenance.rotateMaster(await idOf(ALICE), new Date());
    expect(await accept(id, true)).toMatchObject({ code: EXIT.failed });
  });

  it('takes a storage key and seals the notes anew under it', async () => {
    const storageKey = toHex(randomBytes(32));
    const mailbox = await home.bridge.mailbox.open(await idOf(ALICE));
    await sendSecret(ALICE, 'email', JSON.parse(JSON.stringify({ ...(await anEmail()), to: ['alice#home.test'] })));
    const inbox = await mailbox.folders.find('INBOX');
    const view = await mailbox.view(inbox);
    const flagged = await view.changeFlags(view.opened.slice(-1), { mode: 'add', flags: ['\\Flagged'] });
    const id = await sendSecret(ALICE, 'secret-xsalsa20', {
      public_key: null,
      secret_key: storageKey,
      kind: 'storage',
      note: null,
    });
    expect(await accept(id, true)).toMatchObject({ code: 0, json: { kind: 'storage' } });
    const keys = await home.bridge.keystore.open(await idOf(ALICE));
    expect(toHex(await keys.storageKey())).toBe(storageKey);
    const after = (await (await home.bridge.mailbox.open(await idOf(ALICE))).view(inbox)).opened;
    expect(after.find(({ uid }) => uid === flagged[0]?.uid)?.flags).toContain('\\Flagged');
  });

  async function anEmail() {
    const found = await home.bridge.mailbox.inspection.show({
      accountId: await idOf(BOB),
      messageId: Buffer.from((await newest('email')).message_id, 'hex'),
    });
    return found?.opened?.content.value ?? {};
  }
});
