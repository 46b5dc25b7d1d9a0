/**
 * Attack 12. Somebody sends a secret key unasked, hoping that it is taken for the recipient's own: then he could read what is
 * sealed to it, or sign what it signs (SMIMP 0.1 §4.1). Nothing imports it.
 */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { hash, masterKeyPair, messageKeyPair, randomBytes } from '../../src/smimp/crypto.ts';
import { toHex } from '../../src/smimp/encoding.ts';
import { findMessage } from '../../src/store/messages.ts';
import { ServedUser } from '../support/hostile-server.ts';
import { BOB, type MailSite, mailSite } from '../support/mail-site.ts';

let site: MailSite;
let people = 0;
beforeAll(async () => {
  site = await mailSite();
});
afterAll(() => site[Symbol.asyncDispose]());
afterEach(async () => {
  await site.opened.db.deleteFrom('message').execute();
});

const master = masterKeyPair();
const message = messageKeyPair();
const storage = randomBytes(32);
const bodies: Record<string, object> = {
  'secret-ed25519': {
    public_key: toHex(master.publicKey),
    secret_key: toHex(master.secretKey),
    kind: 'account',
    note: null,
  },
  'secret-curve25519': {
    public_key: toHex(message.publicKey),
    secret_key: toHex(message.secretKey),
    kind: 'message-key',
    note: 'your new key',
  },
  'secret-xsalsa20': { public_key: null, secret_key: toHex(storage), kind: 'storage', note: '<b>import at once</b>' },
};

/** Everything that says which keys Bob has. */
async function keysOfBob(): Promise<string> {
  const { db } = site.opened;
  const rows = await Promise.all([
    db.selectFrom('secret').selectAll().orderBy('public_key').execute(),
    db.selectFrom('mail_user').selectAll().execute(),
    db.selectFrom('message_key').selectAll().orderBy('position').execute(),
    db.selectFrom('own_record').selectAll().execute(),
    db.selectFrom('record').selectAll().execute(),
  ]);
  return toHex(hash(Buffer.from(JSON.stringify(rows))));
}

async function arrives(messageType: string, from: ServedUser, body = bodies[messageType]) {
  const before = await keysOfBob();
  const id = await site.receive({ from, messageType, body: Buffer.from(JSON.stringify(body)) });
  await site.open();
  const row = await findMessage(site.opened.db, site.bobId, id);
  using client = await site.client();
  await client.ok('examine inbox');
  const shown = (await client.command('fetch 1:* (envelope body.peek[])')).lines.join('\n');
  return { before, after: await keysOfBob(), state: `${row?.state} ${row?.reason ?? ''}`.trim(), shown };
}

const secretsIn = (text: string): string[] =>
  [master.secretKey, message.secretKey, storage].flatMap((secret) => {
    const bytes = Buffer.from(secret);
    return [bytes.toString('hex'), bytes.toString('base64').slice(0, 40)].filter((spelling) => text.includes(spelling));
  });

describe('12 unsolicited `secret-*`', () => {
  it.each(Object.keys(bodies))(
    '%s from a stranger changes no key, and is announced without being shown',
    async (type) => {
      const eve = site.server.addUser(`eve${++people}`, site.clock.seconds());
      const { before, after, state, shown } = await arrives(type, eve);
      expect(after).toBe(before);
      expect(state).toBe('shown');
      expect(shown).toContain('A secret key was sent to you');
      expect(secretsIn(shown)).toEqual([]);
      expect(shown).not.toContain('import at once');
    },
  );

  it.each(Object.keys(bodies))(
    '%s from oneself, under the current key, is no more than announced either',
    async (type) => {
      const keys = await site.keystore.open(site.bobId);
      const own = await site.identity.ownHistory(site.bobId);
      const self = Object.assign(new ServedUser(BOB, 0), { master: await keys.master(), records: [...own.records] });
      const { before, after, state, shown } = await arrives(type, self);
      expect([after, state]).toEqual([before, 'shown']);
      expect(secretsIn(shown)).toEqual([]);
    },
  );

  it('from one who claims to be oneself it is not even that', async () => {
    const double = new ServedUser(BOB, site.clock.seconds());
    const { before, after, state, shown } = await arrives('secret-xsalsa20', double);
    expect(state).toMatch(/^quarantined unknown-sender-key$/);
    expect(after).toBe(before);
    expect(shown).not.toContain('A secret key was sent');
  });

  it.each([
    ['a secret of another length', 'secret-ed25519', { ...bodies['secret-curve25519'] }],
    [
      'a public key beside a symmetric one',
      'secret-xsalsa20',
      { ...bodies['secret-xsalsa20'], public_key: 'ab'.repeat(32) },
    ],
    ['of a kind that is not on the list', 'secret-curve25519', { ...bodies['secret-curve25519'], kind: 'master' }],
  ])('%s is refused as a whole', async (_what, type, body) => {
    const eve = site.server.addUser(`eve${++people}`, site.clock.seconds());
    const { before, after, state } = await arrives(type, eve, body);
    expect(state).toMatch(/^quarantined bad-(?:hex|field)$/);
    expect(after).toBe(before);
  });

  it('flags of mail are still sealed with the key that was there before', async () => {
    const eve = site.server.addUser(`eve${++people}`, site.clock.seconds());
    await arrives('secret-xsalsa20', eve);
    using client = await site.client();
    await client.ok('select inbox');
    await client.ok('store 1 +flags (\\Flagged)');
    const keys = await site.keystore.open(site.bobId);
    expect(Buffer.from(await keys.storageKey()).equals(storage)).toBe(false);
    using again = await site.client();
    await again.ok('select inbox');
    expect((await again.ok('fetch 1 flags')).join('')).toContain('\\Flagged');
  });
});
