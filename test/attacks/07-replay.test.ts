/**
 * Attack 7. An envelope is used again: in the same session, in a new one, under a new id, towards another recipient, by another
 * sender (SMIMP 0.1 §4.4, §5). It is one message, whoever repeats it and wherever.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseAddress } from '../../src/smimp/address.ts';
import type { SentEnvelope } from '../../src/smimp/envelope.ts';
import { findMessage } from '../../src/store/messages.ts';
import {
  type Account,
  ALICE,
  type ApiSite,
  answerOf,
  BOB,
  CAROL,
  codeOf,
  envelopeOf,
  type Login,
  type Person,
  prepare,
  proofOf,
  segment,
  sendPath,
  startApi,
  stranger,
} from '../support/api-site.ts';
import { type MailSite, mailSite } from '../support/mail-site.ts';

describe('7 envelope replayed in the same and a new session, under a new id, to another recipient', () => {
  describe('at the server', () => {
    let site: ApiSite;
    let bob: Account;
    let alice: Person;
    let login: Login;
    beforeAll(async () => {
      site = await startApi();
      bob = await site.account(BOB, { ephemeral: 40 });
      await site.account(CAROL, { ephemeral: 40 });
      alice = stranger(site, ALICE);
      login = await site.logIn(alice);
    });
    afterAll(() => site[Symbol.asyncDispose]());

    const stored = async (): Promise<number> =>
      (await site.opened.db.selectFrom('message').select('message_id').execute()).length;
    const post = (envelope: unknown, token: string, to = BOB) => site.post(sendPath(to), envelope, token);

    async function delivered(): Promise<SentEnvelope> {
      const { envelope } = await prepare(site, { sender: alice, login, recipient: BOB });
      answerOf('send_message', await post(envelope, login.token));
      return envelope;
    }

    it('in the same session it is the message that it was, also hours later', async () => {
      const { envelope } = await prepare(site, { sender: alice, login, recipient: BOB });
      const first = answerOf('send_message', await post(envelope, login.token));
      const before = await stored();
      for (let i = 0; i < 3; i++) {
        site.later(250);
        expect(answerOf('send_message', await post(envelope, login.token))).toEqual(first);
      }
      expect(await stored()).toBe(before);
    });

    it('in a new session of its sender it is refused: key and nonce are used up, and the signature binds the session', async () => {
      const envelope = await delivered();
      const before = await stored();
      const second = await site.logIn(alice);
      expect(codeOf(await post(envelope, second.token))).toBe('key_consumed');
      // With a fresh key of the second session in its place, the work is that of the first; with fresh work, the signature.
      const { messageKey, nonce, ciphertext } = await prepare(site, { sender: alice, login: second, recipient: BOB });
      const withKey = { ...envelope, message_public_key: messageKey.public_key };
      expect(codeOf(await post(withKey, second.token))).toBe('bad_pow');
      const proof_of_work = proofOf({ ciphertext, login: second, recipient: BOB, nonce, zeroBits: 4 });
      const withWork = { ...withKey, message: ciphertext.toString('base64'), proof_of_work };
      expect(codeOf(await post(withWork, second.token))).toBe('bad_signature');
      expect(await stored()).toBe(before);
    });

    it('under a lasting key, which many messages share, a new session takes it no more than under a single-use one', async () => {
      const owner = await site.account(parseAddress('dora#corp.test'), { ephemeral: 0 });
      const { envelope } = await prepare(site, { sender: alice, login, recipient: owner.address });
      answerOf('send_message', await post(envelope, login.token, owner.address));
      const before = await stored();
      const second = await site.logIn(alice);
      expect(codeOf(await post(envelope, second.token, owner.address))).toBe('bad_pow');
      const path = `/0.1/get_pow_params/${segment(owner.address)}/email`;
      const { nonce } = answerOf('get_pow_params', await site.get(path, second.token));
      const ciphertext = Buffer.from(envelope.message, 'base64');
      const proof_of_work = proofOf({ ciphertext, login: second, recipient: owner.address, nonce, zeroBits: 4 });
      expect(codeOf(await post({ ...envelope, proof_of_work }, second.token, owner.address))).toBe('bad_signature');
      expect(await stored()).toBe(before);
    });

    it('to another recipient it is refused, whatever of it is made anew but the signature', async () => {
      const envelope = await delivered();
      const before = await stored();
      expect(codeOf(await post(envelope, login.token, CAROL))).toBe('bad_key');
      const { messageKey, nonce } = await prepare(site, { sender: alice, login, recipient: CAROL });
      const ciphertext = Buffer.from(envelope.message, 'base64');
      const proof_of_work = proofOf({ ciphertext, login, recipient: CAROL, nonce, zeroBits: 4 });
      const moved = { ...envelope, message_public_key: messageKey.public_key, proof_of_work };
      expect(codeOf(await post(moved, login.token, CAROL))).toBe('bad_signature');
      expect(await stored()).toBe(before);
    });

    it('by another sender, who saw it, it is refused: the key was not issued to him, nor may he sign for Alice', async () => {
      const { envelope } = await prepare(site, { sender: alice, login, recipient: BOB });
      const eve = stranger(site, parseAddress('eve#evil.test'));
      const hers = await site.logIn(eve);
      const before = await stored();
      expect(codeOf(await post(envelope, hers.token))).toBe('bad_key');
      const own = await prepare(site, { sender: eve, login: hers, recipient: BOB });
      const claimed = envelopeOf({
        ...{ sender: { ...alice, master: eve.master }, recipient: BOB, login: hers },
        ...{
          messageKey: own.messageKey.public_key,
          ciphertext: own.ciphertext,
          proofOfWork: own.envelope.proof_of_work,
        },
      });
      expect(codeOf(await post(claimed, hers.token))).toBe('bad_signature');
      expect(await stored()).toBe(before);
      // And hers did not spoil Alice's.
      expect((await post(envelope, login.token)).status).toBe(200);
    });

    it('imported by the recipient herself as her own it is refused', async () => {
      const envelope = await delivered();
      const home = await site.logIn(bob);
      const body = { envelope: { ...envelope, proof_of_work: null }, folder_name: null, read: false };
      expect(codeOf(await site.post('/0.1/import_message', body, home.token))).toBe('bad_key');
    });
  });

  describe('by the server, towards the reader', () => {
    let site: MailSite;
    beforeAll(async () => {
      site = await mailSite();
    });
    afterAll(() => site[Symbol.asyncDispose]());

    it('under new ids, new places and new dates it is shown once, also when the first was deleted', async () => {
      const alice = site.server.addUser('alice', site.clock.seconds());
      const first = await site.receive({ from: alice, subject: 'Once' });
      await site.open();
      const row = await findMessage(site.opened.db, site.bobId, first);
      if (row === undefined) throw new Error('nothing arrived');
      const again = () =>
        site.receive({
          from: alice,
          tamper: (into) =>
            Object.assign(into, {
              ...{ ciphertext: row.ciphertext, nonce: row.nonce, message_hash: row.message_hash },
              ...{
                login_token_hash: row.login_token_hash,
                message_public_key: row.message_public_key,
                received_via: 'import_api',
              },
            }),
        });
      const copies = [await again(), await again()];
      await Promise.all([site.open(), site.open()]);
      using client = await site.client();
      await client.ok('select inbox');
      await client.ok('store 1 +flags.silent (\\Deleted)');
      await client.ok('expunge');
      site.clock.advance(400 * 86_400_000);
      copies.push(await again());
      await site.open();
      for (const id of copies) expect(await findMessage(site.opened.db, site.bobId, id)).toBeUndefined();
      expect(await client.search('all')).toEqual([]);
    });

    it('in the mailbox of somebody else it opens for nobody', async () => {
      const alice = site.server.addUser('alice2', site.clock.seconds());
      const { id: carol } = await site.accounts.add({
        address: parseAddress('carol#corp.test'),
        password: 'x',
        name: null,
      });
      const letter = await site.receive({
        from: alice,
        subject: 'For Bob only',
        tamper: (row) => {
          row.account_id = carol;
        },
      });
      const { openPending } = await import('../../src/mailbox/open.ts');
      const { opened, keystore, identity, gate, events, clock } = site;
      await openPending({ db: opened.db, keystore, identity, gate, events, clock: clock.read }, carol);
      expect(await findMessage(opened.db, carol, letter)).toMatchObject({
        state: 'quarantined',
        reason: 'unknown-message-key',
      });
    });
  });
});
