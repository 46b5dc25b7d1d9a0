/** SCRAM-SHA-256 (RFC 5802, RFC 7677), SASLprep (RFC 4013), and what is kept of a password for them. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { saslPrep } from '../src/keystore/saslprep.ts';
import {
  checkProof,
  parseClientFinal,
  parseClientFirst,
  SCRAM_ITERATIONS,
  SCRAM_SALT_BYTES,
  scramKeys,
  serverFirst,
} from '../src/keystore/scram.ts';
import { ACCOUNT_SLOWING } from '../src/keystore/throttle.ts';
import { parseAddress } from '../src/smimp/address.ts';
import { BOB, type MailSite, mailSite, PASSWORD } from './support/mail-site.ts';
import { scramProof } from './support/scram.ts';

describe('the example of RFC 7677', () => {
  it('comes out as it stands there', async () => {
    const first = parseClientFirst('n,,n=user,r=rOprNGfwEbeRWgbNEkqO');
    expect(first).toMatchObject({
      user: 'user',
      authorize: '',
      nonce: 'rOprNGfwEbeRWgbNEkqO',
      binding: { kind: 'none' },
    });
    const keys = await scramKeys('pencil', Buffer.from('W22ZaJ0SNY7soEsUEjb6gQ==', 'base64'), 4096);
    if (keys === null || first === null) throw new Error('no keys');
    const nonce = 'rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0';
    const challenge = serverFirst(nonce, keys);
    expect(challenge).toBe(`r=${nonce},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096`);
    const final = parseClientFinal(`c=biws,r=${nonce},p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=`);
    if (final === null) throw new Error('not read');
    const authMessage = `${first.bare},${challenge},${final.withoutProof}`;
    expect(checkProof(keys, authMessage, final.proof)?.toString('base64')).toBe(
      '6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=',
    );
    final.proof[0] = (final.proof[0] ?? 0) ^ 1;
    expect(checkProof(keys, authMessage, final.proof)).toBeNull();
    expect(checkProof(keys, authMessage, final.proof.subarray(1))).toBeNull();
  });
});

describe('messages of clients', () => {
  it.each([
    ['n,,n=bob,r=x', { user: 'bob', binding: { kind: 'none' }, gs2Header: 'n,,' }],
    ['y,a=bob,n=bob,r=x', { authorize: 'bob', binding: { kind: 'unoffered' }, gs2Header: 'y,a=bob,' }],
    ['p=tls-exporter,,n=bob,r=x', { binding: { kind: 'bound', name: 'tls-exporter' } }],
    ['n,,n=b=2Cb=3Db,r=x,later=thing', { user: 'b,b=b', nonce: 'x', bare: 'n=b=2Cb=3Db,r=x,later=thing' }],
    ['n,,n=bö@corp.test,r=x', { user: 'bö@corp.test' }],
  ])('%s', (message, expected) => {
    expect(parseClientFirst(message)).toMatchObject(expected);
  });

  it.each([
    '',
    'n,n=bob,r=x',
    'n,,n=,r=x',
    'n,,n=bob',
    'n,,n=bob,r=',
    'n,,r=x,n=bob',
    'z,,n=bob,r=x',
    'p,,n=bob,r=x',
    'n,,m=must,n=bob,r=x',
    'n,,n=b=2cb,r=x',
    'n,,n=b=,r=x',
    `n,,n=bob,r=${'x'.repeat(2_048)}`,
  ])('%s is none', (message) => {
    expect(parseClientFirst(message)).toBeNull();
  });

  it('the last one ends with the proof', () => {
    expect(parseClientFinal('c=biws,r=x,ext=1,p=AAAA')).toMatchObject({ nonce: 'x', withoutProof: 'c=biws,r=x,ext=1' });
    for (const wrong of ['', 'c=biws,r=x', 'r=x,c=biws,p=AAAA', 'c=biws,r=x,p=AAAA,more', 'c=biws,r=x,p='])
      expect(parseClientFinal(wrong)).toBeNull();
  });
});

describe('SASLprep', () => {
  it.each([
    ['user', 'user'],
    ['USER', 'USER'],
    ['I\u00adX', 'IX'],
    ['\u00aa', 'a'],
    ['\u2168', 'IX'],
    ['a\u00a0b', 'a b'],
    ['Gru\u0308n', 'Gr\u00fcn'],
    ['\u0627\u0628', '\u0627\u0628'],
  ])('%j is %j', (text, expected) => {
    expect(saslPrep(text)).toBe(expected);
  });
  it.each(['', '\u0007', '\u00ad', '\ue000', '\u200e', '\u0627\u0031', '\u0627a\u0628', '\u{e0001}'])(
    '%j is none',
    (text) => {
      expect(saslPrep(text)).toBeNull();
    },
  );
});

describe('what is kept', () => {
  let site: MailSite;
  beforeAll(async () => {
    site = await mailSite();
  });
  afterAll(() => site[Symbol.asyncDispose]());

  const login = async (address: string, password: string, source = '192.0.2.1') => {
    const { keystore, clock } = site;
    const tried = await keystore.beginScram({ address, source, now: clock.read() });
    const proof = await scramProof(password, tried, 'message');
    return { tried, ...(await tried.finish('message', proof)) };
  };
  const kept = () =>
    site.opened.db
      .selectFrom('mail_user')
      .select('scram')
      .where('account_id', '=', site.bobId)
      .executeTakeFirstOrThrow();

  it('is there from the beginning, sealed', async () => {
    const { scram } = await kept();
    expect(scram).not.toBeNull();
    const { tried, ok } = await login(BOB, PASSWORD);
    expect(ok).toBe(true);
    expect(tried).toMatchObject({ iterations: SCRAM_ITERATIONS });
    expect(scram?.includes(tried.salt)).toBe(false);
    expect((await login(BOB, 'wrong')).ok).toBe(false);
    // Spelt otherwise it is the same user.
    expect((await login('BOB#corp.test', PASSWORD)).ok).toBe(true);
  });

  it('is another one with another password, and made again when the password is heard', async () => {
    await site.keystore.setPassword(site.bobId, 'new password');
    expect((await login(BOB, PASSWORD)).ok).toBe(false);
    expect((await login(BOB, 'new password')).ok).toBe(true);
    await site.opened.db.updateTable('mail_user').set({ scram: null }).execute();
    expect((await login(BOB, 'new password')).ok).toBe(false);
    const plain = { address: BOB, password: 'new password', source: '192.0.2.2', now: site.clock.read() };
    expect((await site.keystore.verifyPassword(plain)).ok).toBe(true);
    expect((await login(BOB, 'new password')).ok).toBe(true);
    await site.keystore.setPassword(site.bobId, PASSWORD);
  });

  it('is of no use with another hash of the password, or for another account', async () => {
    const { scram } = await kept();
    const other = parseAddress('carol#corp.test');
    const { id } = await site.accounts.add({ address: other, password: 'other words', name: null });
    await site.opened.db.updateTable('mail_user').set({ scram }).where('account_id', '=', id).execute();
    expect((await login(other, PASSWORD)).ok).toBe(false);
    expect((await login(other, 'other words')).ok).toBe(false);
  });

  it('is nothing for a password that SASLprep forbids, nor for keys that a password wraps', async () => {
    await site.keystore.setPassword(site.bobId, 'bell \u0007 bell');
    expect((await kept()).scram).toBeNull();
    await site.keystore.setPassword(site.bobId, PASSWORD);
    const user = { account_id: site.bobId, address: BOB, custody: 'password' as const, password_hash: 'x' };
    await site.keystore.rememberScram(user, PASSWORD);
    expect((await kept()).scram).not.toBeNull();
  });

  it('does not tell who is a user: the salt of nobody stays, too', async () => {
    const salts = [];
    for (const name of ['nobody#corp.test', 'nobody#corp.test', 'NOBODY#corp.test', 'else#corp.test', 'not an address'])
      salts.push((await login(name, PASSWORD, '192.0.2.9')).tried);
    const [one, again, spelt, other] = salts.map(({ salt }) => salt.toString('hex'));
    expect([again, spelt]).toEqual([one, one]);
    expect(other).not.toBe(one);
    for (const { salt, iterations } of salts)
      expect([salt.length, iterations]).toEqual([SCRAM_SALT_BYTES, SCRAM_ITERATIONS]);
  });

  it('is guessed no faster than passwords are: tries count before they are checked', async () => {
    const source = '198.51.100.7';
    for (let n = 0; n < ACCOUNT_SLOWING.freeTries; n += 1) expect((await login(BOB, 'guess', source)).ok).toBe(false);
    const refused = await login(BOB, PASSWORD, source);
    expect(refused.ok).toBe(false);
  });
});
