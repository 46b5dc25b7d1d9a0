/**
 * Attack 16. Addresses that look like others, or become others on the way: Unicode, escapes, invisible characters, and local parts
 * that pretend to be a gateway's (SMIMP 0.1 §1.2, §6).
 */
import { createTransport } from 'nodemailer';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { issueCertificate } from '../../src/admin/certificates.ts';
import { renderMessage } from '../../src/mime/from-email.ts';
import { type Address, type Domain, isAddress, normalizeAddress, parsePathSegment } from '../../src/smimp/address.ts';
import { parseBody } from '../../src/smimp/email.ts';
import { ProfileError } from '../../src/smimp/errors.ts';
import { decodeLegacy, encodeLegacy } from '../../src/smimp/gateway.ts';
import { addressOf } from '../../src/smtp/own-address.ts';
import { createSubmission } from '../../src/smtp/submission.ts';
import {
  type Account,
  ALICE,
  type ApiSite,
  answerOf,
  BOB,
  codeOf,
  type Login,
  startApi,
  stranger,
} from '../support/api-site.ts';
import { type OutboundSite, outboundSite, TestClock } from '../support/outbound-site.ts';
import { testAuthority } from '../support/tls-server.ts';

/** Each is taken for `bob#corp.test` by some eye or some library. */
const LOOKALIKES = [
  'BOB#corp.test',
  'bob#CORP.test',
  'bob#corp.test.',
  ' bob#corp.test',
  'bob#corp.test ',
  'bob#corp.test\n',
  'bob#corp.test\0',
  'bob##corp.test',
  'bob#corp.test#corp.test',
  'bob@corp.test',
  'bob#corp.test@evil.test',
  'bob#corp。test',
  'bob#corp．test',
  'b\u043eb#corp.test',
  'bo\u200bb#corp.test',
  'bob\u00ad#corp.test',
  'bob#co\u200drp.test',
  'bob\ufe0f#corp.test',
  'ｂｏｂ#corp.test',
  'bo\u0062\u0301#corp.test',
  'bob\u202e#corp.test',
  'bob#\u24d2orp.test',
  'bob%23corp.test',
  'bob%2523corp.test',
  'bob#corp.test/..',
  'bob#corp.test?x',
  'bob#corp.test:443',
  'bob#[127.0.0.1]',
  'bob#127.0.0.1',
  'bob#0x7f',
  'bob#corp',
  '"bob"#corp.test',
  'bob+x#corp.test',
  'bob.#corp.test',
];
/** The Kelvin sign is a small k to whoever matches without regard to case in Unicode; so is ſ an s. */
const FOLDED: [string, string][] = [
  ['\u212aate#corp.test', 'kate#corp.test'],
  ['\u017fue#corp.test', 'sue#corp.test'],
  ['kate#\u212aorp.test', 'kate#korp.test'],
  ['\u0130van#corp.test', 'ivan#corp.test'],
];

describe('16 addresses', () => {
  describe('at the API', () => {
    let site: ApiSite;
    let bob: Account;
    let login: Login;
    beforeAll(async () => {
      site = await startApi();
      bob = await site.account(BOB);
      await site.account('kate#corp.test' as Address);
      login = await site.logIn(stranger(site, ALICE));
    });
    afterAll(() => site[Symbol.asyncDispose]());

    it.each([...LOOKALIKES, ...FOLDED.map(([typed]) => typed)])(
      '%j is nobody, in a body and in a path',
      async (text) => {
        expect(isAddress(text)).toBe(false);
        expect(codeOf(await site.post('/0.1/get_message_key', { address: text }, login.token))).toBe('bad_request');
        const encoded = encodeURIComponent(text);
        for (const path of [`/0.1/get_user/${encoded}/public_key`, `/0.1/create_session/${encoded}`]) {
          const reply = await site.get(path);
          expect(codeOf(reply)).toMatch(/^(?:bad_request|not_found)$/);
          expect(reply.text).not.toContain('corp');
        }
      },
    );

    it('a path is decoded once: %2523 is no #, and every other spelling of the one address is', async () => {
      const key = (segment: string) => site.get(`/0.1/get_user/${segment}/public_key`);
      for (const segment of ['bob%2523corp.test', 'bob%252523corp.test', 'bob%23corp%252etest', '%2562ob%23corp.test'])
        expect(codeOf(await key(segment))).toBe('bad_request');
      for (const segment of ['bob%23corp.test', '%62ob%23corp.test', 'bob%23corp%2etest'])
        expect(answerOf('get_public_key', await key(segment)).address).toBe(bob.address);
      expect(() => parsePathSegment('bob#corp.test')).toThrow(ProfileError);
    });

    it('no two accounts can be made that differ in looks only', async () => {
      for (const text of LOOKALIKES) expect(isAddress(text)).toBe(false);
      await expect(site.account(BOB)).rejects.toMatchObject({ code: '23505' });
    });
  });

  describe('typed by people', () => {
    it.each(FOLDED)('%j is not %j', (typed, other) => {
      expect(() => normalizeAddress(typed)).toThrow(ProfileError);
      // In a mail program domains in Unicode are read by UTS 46, which knows the Kelvin sign for a k; local parts are not.
      if (!typed.startsWith('kate')) expect(addressOf(typed.replace('#', '@'))).not.toBe(other);
    });

    it('capitals are the same letters, and nothing else is', () => {
      expect(normalizeAddress('BoB#Corp.TEST')).toBe('bob#corp.test');
      expect(addressOf('BoB@Corp.TEST')).toBe('bob#corp.test');
      // A domain in Unicode is what its A-labels say, which is never the one it looks like.
      expect(addressOf('bob@c\u043erp.test')).toBe('bob#xn--crp-sed.test');
      expect(addressOf('bob@corp\u3002test')).toBe('bob#corp.test');
      for (const text of [
        'b\u043eb@corp.test',
        'bo\u200bb@corp.test',
        'bob@co rp.test',
        'bob@[127.0.0.1]',
        'bob#corp.test@evil.test',
      ])
        expect(addressOf(text)).toBeNull();
    });
  });

  describe('at the submission door', () => {
    let site: OutboundSite;
    const owned = new AsyncDisposableStack();
    let port: number;
    const accepted: string[][] = [];
    beforeAll(async () => {
      site = owned.use(await outboundSite([], new TestClock()));
      const { certificate: cert, key } = await issueCertificate({
        authority: await testAuthority(),
        names: ['localhost'],
      });
      const submission = owned.use(
        createSubmission({
          ...{
            name: 'mail.acme.test',
            tls: { cert, key },
            keystore: site.keystore,
            events: site.events,
            clock: site.clock.read,
          },
          limits: {
            messageBytes: 100_000,
            recipients: 10,
            connections: 10,
            connectionsPerAddress: 10,
            connectionsPerAccount: 10,
          },
          checkRecipient: async () => null,
          async accept({ recipients }) {
            accepted.push([...recipients]);
            return { submissionId: 1, repeated: false };
          },
        }),
      );
      port = (await submission.listen({ host: '127.0.0.1', port: 0, implicitTls: true })).port;
    });
    afterAll(() => owned.disposeAsync());

    async function send(
      user: string,
      envelope: { from: string; to: string[] },
      from = 'alice@acme.test',
    ): Promise<string> {
      const tls = { ca: (await testAuthority()).certificate, servername: 'localhost' };
      const auth = { user, pass: 'secret word' };
      const transport = createTransport({ host: '127.0.0.1', port, secure: true, auth, tls });
      try {
        await transport.sendMail({ envelope, raw: `From: ${from}\r\nTo: x\r\nSubject: s\r\n\r\nt\r\n` });
        return 'taken';
      } catch (error) {
        return String(
          (error as { responseCode?: number; code?: string }).responseCode ?? (error as { code?: string }).code,
        );
      } finally {
        transport.close();
      }
    }

    it('only the owner logs in and sends as herself', async () => {
      const to = ['bob@corp.test'];
      expect(await send('alice@acme.test', { from: 'alice@acme.test', to })).toBe('taken');
      expect(await send('ALICE@ACME.test', { from: 'Alice@Acme.Test', to })).toBe('taken');
      expect(await send('\u0430lice@acme.test', { from: 'alice@acme.test', to })).toBe('535');
      for (const other of ['bob@acme.test', 'alice@acme.test.evil.test', 'alice@evil.test', 'alice@\u0430cme.test'])
        expect(await send('alice@acme.test', { from: other, to })).toMatch(/^(?:553|501|550)$/);
      for (const field of [
        'eve@acme.test',
        'alice@acme.test, eve@acme.test',
        '"alice@acme.test" <eve@acme.test>',
        'alice@acme.test (c) <eve@acme.test>',
      ])
        expect(await send('alice@acme.test', { from: 'alice@acme.test', to }, field)).toBe('550');
    });

    it.each([
      'b\u043eb@corp.test',
      'bo\u200bb@corp.test',
      'bob@[127.0.0.1]',
      'bob@127.0.0.1',
      'bob%corp.test@evil',
      'bob+x@corp.test',
    ])('%j is no recipient', async (recipient) => {
      accepted.length = 0;
      expect(await send('alice@acme.test', { from: 'alice@acme.test', to: [recipient] })).not.toBe('taken');
      expect(accepted).toEqual([]);
    });
  });

  describe('of a gateway', () => {
    const gateway = 'gw.example.com' as Domain;
    const codeFor = (text: string): string => {
      try {
        return decodeLegacy(text, gateway);
      } catch (error) {
        return (error as ProfileError).code;
      }
    };

    it.each([
      ['alicez40gmailz2ecom#evil.test', 'gateway-form'],
      ['alicez40gmailz2ecom#gw.example.com.evil.test', 'gateway-form'],
      ['alicez40gmailz2ecom#sub.gw.example.com', 'gateway-form'],
      ['alicez40gmailz2Ecom#gw.example.com', 'address-local'],
      ['alicez40gmailz2ecomz00#gw.example.com', 'gateway-form'],
      ['alicez40gmailz2ecomz0a#gw.example.com', 'gateway-form'],
      ['z61licez40gmailz2ecom#gw.example.com', 'gateway-not-canonical'],
      ['z41licez40gmailz2ecom#gw.example.com', 'gateway-not-canonical'],
      ['alicez40gmailz2ecomz2e#gw.example.com', 'gateway-form'],
      ['alicez40z5b1z2e2z2e3z2e4z5d#gw.example.com', 'gateway-form'],
      ['alicez40evilz2ecomz40gmailz2ecom#gw.example.com', 'alice@evil.com@gmail.com'],
      ['alicez40gmailz2ecomz23x#gw.example.com', 'gateway-form'],
      ['alicezc3#gw.example.com', 'gateway-form'],
      ['alice#gw.example.com', 'gateway-form'],
      ['z40#gw.example.com', 'gateway-form'],
    ])('%s is read as %s', (text, expected) => {
      expect(codeFor(text)).toBe(expected);
    });

    it('two at signs name the domain after the last, in both directions and in what is shown', () => {
      const coded = encodeLegacy('alice@evil.com@gmail.com', gateway);
      expect(codeFor(coded)).toBe('alice@evil.com@gmail.com');
      expect(encodeLegacy('alice@gmail.com', gateway)).not.toBe(coded);
      const body = {
        ...{ to: ['bob#corp.test'], cc: [], subject: 's', thread_id: 'ab'.repeat(32), reply_to_message_id: null },
        ...{
          date_sent: '2026-01-15 12:00:00',
          body: 't',
          signature_text: null,
          attachments: [],
          extensions_data: null,
        },
        ...{ reply_to: null, auto_reply_address: null },
      };
      const content = parseBody('email', Buffer.from(JSON.stringify(body)));
      const header = { from: coded, to: BOB, uid: 'ab'.repeat(32) as never, sent: '2026-01-15 12:00:00' as never };
      const shown = renderMessage({ header, content, notice: null, gatewayDomain: gateway }).toString('latin1');
      const from = /^From: (.*(?:\r\n[ \t].*)*)/m.exec(shown)?.[1] ?? '';
      // Never an address that a mail program would answer to as alice@evil.com.
      expect(from).not.toMatch(/<?alice@evil\.com>?(?:$|[,\s])/);
      // A coding under any other domain is shown as what it is.
      const spoofed = { ...header, from: 'alicez40gmailz2ecom#evil.test' as Address };
      expect(
        renderMessage({ header: spoofed, content, notice: null, gatewayDomain: gateway }).toString('latin1'),
      ).toContain('From: alicez40gmailz2ecom@evil.test');
    });
  });
});
