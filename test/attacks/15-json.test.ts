/**
 * Attack 15. JSON that two readers understand differently, or that breaks one of them (SMIMP 0.1 §1.1): in requests, in answers,
 * inside signed records and inside encrypted messages.
 */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { HISTORY_FRESH_MS } from '../../src/identity/histories.ts';
import { toHex } from '../../src/smimp/encoding.ts';
import { recordHead, signRecord } from '../../src/smimp/record.ts';
import { findMessage } from '../../src/store/messages.ts';
import { findDelivery } from '../../src/store/outbound.ts';
import { findPin } from '../../src/store/pins.ts';
import {
  type Account,
  ALICE,
  type ApiSite,
  BOB,
  codeOf,
  prepare,
  segment,
  sendPath,
  startApi,
  stranger,
} from '../support/api-site.ts';
import { type HostileServer, type ServedUser, startHostileServer } from '../support/hostile-server.ts';
import { type MailSite, mailSite } from '../support/mail-site.ts';
import { type OutboundSite, outboundSite, TestClock } from '../support/outbound-site.ts';
import { answerText } from '../support/tls-server.ts';

/** How a good object is spoilt. `add` puts text before its last brace. */
const add = (more: string) => (json: string) => json.replace(/\}$/, `,${more}}`);
const spoilings: Record<string, (json: string) => string | Buffer> = {
  'a duplicate': (json) => json.replace(/^\{("\w+":)/, '{$1"x",$1'),
  'a duplicate spelt by an escape': (json) =>
    json.replace(
      /^\{"(\w)(\w*)":/,
      (all, first: string, rest: string) => `${all}"x","\\u00${first.charCodeAt(0).toString(16)}${rest}":`,
    ),
  __proto__: add('"__proto__":{"polluted":1}'),
  'constructor.prototype': add('"constructor":{"prototype":{"polluted":1}}'),
  'a name with an escaped __proto__': add('"\\u005f_proto__":{"polluted":1}'),
  'depth 200,000': add(`"deep":${'['.repeat(200_000)}`),
  'depth 17': add(`"deep":${'['.repeat(17)}${']'.repeat(17)}`),
  '1e400': add('"n":1e400'),
  '−0': add('"n":-0'),
  '2⁵³': add('"n":9007199254740992'),
  'a lone surrogate': add('"s":"\\ud800"'),
  'surrogates the wrong way round': add('"s":"\\udc00\\ud800"'),
  'a noncharacter': add('"s":"\\uffff"'),
  'a BOM': (json) => `\ufeff${json}`,
  'bytes that are not UTF-8': (json) =>
    Buffer.concat([Buffer.from(json.replace(/\}$/, ',"s":"')), Buffer.from([0xc3, 0x28]), Buffer.from('"}')]),
  'an overlong slash': (json) =>
    Buffer.concat([Buffer.from(json.replace(/\}$/, ',"s":"')), Buffer.from([0xc0, 0xaf]), Buffer.from('"}')]),
  'UTF-16': (json) => Buffer.from(json, 'utf16le'),
  'a second document': (json) => `${json}{}`,
  'a comment': (json) => json.replace(/^\{/, '{/**/'),
  'a trailing comma': (json) => json.replace(/\}$/, ',}'),
  'a NUL behind it': (json) => `${json}\0`,
};
const NAMES = Object.keys(spoilings);
const spoilt = (name: string, value: unknown): Buffer => Buffer.from(spoilings[name]?.(JSON.stringify(value)) ?? '');

afterEach(() => {
  expect(({} as { polluted?: number }).polluted).toBeUndefined();
});

describe('15 JSON', () => {
  describe('in requests', () => {
    let api: ApiSite;
    let bob: Account;
    beforeAll(async () => {
      api = await startApi();
      bob = await api.account(BOB, { ephemeral: 20 });
    });
    afterAll(() => api[Symbol.asyncDispose]());

    it.each(NAMES)('%s is refused by every call that takes a body, and changes nothing', async (name) => {
      const person = stranger(api, ALICE);
      const login = await api.logIn(person);
      const { envelope } = await prepare(api, { sender: person, login, recipient: BOB });
      const home = await api.logIn(bob);
      const calls: [string, unknown, string | undefined][] = [
        ['/0.1/get_message_key', { address: BOB }, login.token],
        [sendPath(BOB), envelope, login.token],
        [
          `/0.1/create_session/${segment(BOB)}`,
          { token: 'ab'.repeat(32), signed_token: 'ab'.repeat(96), public_key: 'ab'.repeat(32) },
          undefined,
        ],
        ['/0.1/ephemeral_keys', { keys: [], mode: 'replace' }, home.token],
        ['/0.1/import_message', { envelope, folder_name: null, read: true }, home.token],
      ];
      const before = await api.opened.db.selectFrom('message').select('message_id').execute();
      for (const [path, body, token] of calls) {
        const headers = { 'content-type': 'application/json', 'if-match': '"x"' };
        const reply = await api.send({
          method: 'POST',
          path,
          body: spoilt(name, body),
          headers,
          ...(token === undefined ? {} : { token }),
        });
        expect([path, codeOf(reply)]).toEqual([path, 'bad_request']);
      }
      expect(await api.opened.db.selectFrom('message').select('message_id').execute()).toEqual(before);
    });
  });

  describe('in answers', () => {
    const clock = new TestClock();
    let corp: HostileServer;
    let site: OutboundSite;
    let bob: ServedUser;
    let people = 0;
    beforeAll(async () => {
      corp = await startHostileServer('corp.test', { zeroBits: 0, now: clock.seconds });
      site = await outboundSite([corp], clock);
    });
    afterAll(async () => {
      await site[Symbol.asyncDispose]();
      await corp[Symbol.asyncDispose]();
    });
    afterEach(() => {
      for (const call of ['get_history', 'get_message_key', 'get_pow_params', 'version'] as const)
        corp.behave(call, null);
    });
    const newBob = (): void => {
      people += 1;
      bob = corp.addUser(`bob${people}`, clock.seconds());
      clock.advance(HISTORY_FRESH_MS);
      corp.messages.length = 0;
    };
    const sent = async (): Promise<string> => {
      const [id] = await site.submit(bob.address);
      await site.run(id as number);
      const delivery = await findDelivery(site.opened.db, id as number);
      return `${delivery?.stage} ${delivery?.error_code}`;
    };

    it.each(NAMES)('%s in a history is no history: nothing is pinned, nothing sent', async (name) => {
      newBob();
      const answer = { address: bob.address, records: bob.records, head: bob.trueHead() };
      corp.behave('get_history', (_q, response) => answerText(response, spoilt(name, answer)));
      expect(await sent()).toBe('held identity-invalid');
      expect(await findPin(site.opened.db, site.alice.accountId, bob.address)).toBeUndefined();
      expect(corp.messages).toEqual([]);
    });

    it.each(NAMES)('%s in the answer with a message key is no key', async (name) => {
      newBob();
      const answer = {
        address: bob.address,
        public_key: toHex(bob.master.publicKey),
        head: bob.trueHead(),
        message_key: {},
        non_ephemeral: false,
      };
      corp.behave('get_message_key', (_q, response) => answerText(response, spoilt(name, answer)));
      expect(await sent()).toMatch(/^seal (?:bad-response|too-large)$/);
      expect(corp.messages).toEqual([]);
    });

    /** The data of record 0, changed as text and signed as it then stands: the signature is good. */
    const signedAs = (change: (data: string) => string): void => {
      newBob();
      const [first] = bob.records;
      if (first === undefined) throw new Error('no record');
      bob.records = [signRecord(change(first.data), bob.master, null)];
      bob.head = recordHead(0, bob.records[0] as never);
    };
    const other = 'ab'.repeat(32);
    it.each<[string, (data: string) => string]>([
      ['public_key, the true one first', (data) => data.replace(/\}$/, `,"public_key":"${other}"}`)],
      ['public_key, the true one last', (data) => data.replace(/^\{/, `{"public_key":"${other}",`)],
      ['public_key by an escape', (data) => data.replace(/\}$/, `,"public\\u005fkey":"${other}"}`)],
      ['address', (data) => data.replace(/^\{/, '{"address":"eve#corp.test",')],
      ['seq', (data) => data.replace(/\}$/, ',"seq":0}')],
      [
        'a member inside additional_data',
        (data) => data.replace('"additional_data":null', '"additional_data":{"a":1,"a":2}'),
      ],
    ])('a record signed with two of one name is none: %s', async (_what, change) => {
      signedAs(change);
      expect(await sent()).toBe('held identity-invalid');
      expect(await findPin(site.opened.db, site.alice.accountId, bob.address)).toBeUndefined();
    });
  });

  describe('inside an encrypted message', () => {
    let mail: MailSite;
    let people = 0;
    beforeAll(async () => {
      mail = await mailSite();
    });
    afterAll(() => mail[Symbol.asyncDispose]());
    const body = {
      ...{
        to: [BOB],
        cc: [],
        subject: 'x',
        thread_id: 'ab'.repeat(32),
        reply_to_message_id: null,
        date_sent: '2026-01-15 12:00:00',
      },
      ...{
        body: 'Never shown',
        signature_text: null,
        attachments: [],
        extensions_data: null,
        reply_to: null,
        auto_reply_address: null,
      },
    };

    it.each(NAMES)('%s in the body sets the message apart, whoever signed it', async (name) => {
      const alice = mail.server.addUser(`alice${++people}`, mail.clock.seconds());
      const id = await mail.receive({ from: alice, body: spoilt(name, body) });
      await mail.open();
      const row = await findMessage(mail.opened.db, mail.bobId, id);
      expect(`${row?.state} ${row?.reason}`).toMatch(/^quarantined json-/);
    });
  });
});
