/**
 * Attack 9. The key pool of a recipient is emptied, so that everybody else gets the lasting key and forward secrecy suffers (SMIMP 0.1
 * §5, `get_message_key`): by one sender, by ten thousand of one domain, by fifty at once at the last key.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sessionHash } from '../../src/api/sessions.ts';
import { type Address, parseAddress } from '../../src/smimp/address.ts';
import { randomBytes } from '../../src/smimp/crypto.ts';
import { type Hex32, toHex } from '../../src/smimp/encoding.ts';
import {
  type Account,
  type ApiSite,
  answerOf,
  codeOf,
  prepare,
  sendPath,
  startApi,
  stranger,
} from '../support/api-site.ts';

let site: ApiSite;
let people = 0;
beforeAll(async () => {
  site = await startApi({ zeroBits: 0 });
});
afterAll(() => site[Symbol.asyncDispose]());

const owner = (ephemeral: number): Promise<Account> =>
  site.account(parseAddress(`owner${++people}#corp.test`), { ephemeral });

/** Sessions of as many strangers as one likes: logging in is not what is attacked here. */
async function sessionsOf(addresses: readonly Address[]): Promise<string[]> {
  const tokens = addresses.map(() => toHex<Hex32>(randomBytes(32)));
  const rows = addresses.map((address, i) => ({
    ...{
      token_hash: sessionHash(tokens[i] as Hex32),
      login_token_hash: randomBytes(32),
      address,
      scope: 'remote' as const,
    },
    ...{ public_key: randomBytes(32), key_checked_at: site.now, created_at: site.now, last_used_at: site.now },
    expires_at: new Date(site.now.getTime() + 86_400_000),
  }));
  for (let i = 0; i < rows.length; i += 1_000)
    await site.opened.db
      .insertInto('session')
      .values(rows.slice(i, i + 1_000))
      .execute();
  return tokens;
}

const ask = async (of: Address, token: string) =>
  answerOf('get_message_key', await site.post('/0.1/get_message_key', { address: of }, token));
const available = async ({ accountId }: Account): Promise<number> => {
  const rows = await site.opened.db
    .selectFrom('message_key')
    .select('state')
    .where('account_id', '=', accountId)
    .execute();
  return rows.filter(({ state }) => state === 'available').length;
};

describe('9 key pool depleted by one sender, by 10,000 senders of a domain, 50 at once at the last key', () => {
  it('one sender with a thousand sessions gets one key, and at most twenty in a day by using them', async () => {
    const bob = await owner(200);
    const greedy = parseAddress('greedy#evil.test');
    const tokens = await sessionsOf(Array(200).fill(greedy));
    const given = await Promise.all(tokens.map((token) => ask(bob.address, token)));
    expect(new Set(given.map(({ message_key }) => message_key.public_key)).size).toBe(1);
    expect(await available(bob)).toBe(199);
    const sender = stranger(site, parseAddress('greedy2#evil.test'));
    const kinds: boolean[] = [];
    for (let i = 0; i < 24; i++) {
      const login = await site.logIn(sender);
      const { envelope, messageKey } = await prepare(site, { sender, login, recipient: bob.address });
      kinds.push(messageKey.kind === 'ephemeral');
      expect((await site.post(sendPath(bob.address), envelope, login.token)).status).toBe(200);
    }
    expect(kinds.filter((single) => single)).toHaveLength(20);
    expect(kinds.slice(20)).toEqual([false, false, false, false]);
    expect(await available(bob)).toBe(179);
  });

  it('ten thousand senders of one domain get a quarter of the pool; everybody else still gets single-use keys', async () => {
    const bob = await owner(100);
    const names = Array.from({ length: 10_000 }, (_, i) => parseAddress(`a${i}#botnet.test`));
    // All but the last 400 have been given the lasting key before; what they cost the server then is in these rows.
    const early = names.slice(400).map((sender_address) => ({
      ...{ account_id: bob.accountId, public_key: Buffer.from(bob.nonEphemeral.public_key, 'hex'), ephemeral: false },
      ...{ sender_address, sender_domain: 'botnet.test', issued_at: site.now },
    }));
    for (let i = 0; i < early.length; i += 2_000)
      await site.opened.db
        .insertInto('key_issue')
        .values(early.slice(i, i + 2_000))
        .execute();
    const tokens = await sessionsOf(names.slice(0, 400));
    const given = await Promise.all(tokens.map((token) => ask(bob.address, token)));
    expect(given.filter(({ non_ephemeral }) => !non_ephemeral)).toHaveLength(25);
    expect(await available(bob)).toBe(75);
    const honest = await sessionsOf([parseAddress('alice#acme.test'), parseAddress('carol#other.test')]);
    for (const token of honest) expect((await ask(bob.address, token)).non_ephemeral).toBe(false);
    // A subdomain is another domain; it too has its quarter and no more.
    const sub = await sessionsOf(Array.from({ length: 40 }, (_, i) => parseAddress(`b${i}#sub.botnet.test`)));
    const more = await Promise.all(sub.map((token) => ask(bob.address, token)));
    expect(more.filter(({ non_ephemeral }) => !non_ephemeral).length).toBeLessThanOrEqual(25);
  });

  it('fifty at once at the last key: one has it, the others the lasting one, and nobody an error', async () => {
    const bob = await owner(4);
    // Of a pool of four each domain may have one: three go first.
    for (const token of await sessionsOf(['x#one.test', 'x#two.test', 'x#three.test'].map(parseAddress)))
      expect((await ask(bob.address, token)).non_ephemeral).toBe(false);
    const tokens = await sessionsOf(Array.from({ length: 50 }, (_, i) => parseAddress(`x#many${i}.test`)));
    const given = await Promise.all(tokens.map((token) => ask(bob.address, token)));
    expect(given.filter(({ non_ephemeral }) => !non_ephemeral)).toHaveLength(1);
    expect(
      new Set(given.filter(({ non_ephemeral }) => non_ephemeral).map(({ message_key }) => message_key.public_key)),
    ).toEqual(new Set([bob.nonEphemeral.public_key]));
    expect(await available(bob)).toBe(0);
  });

  it('an empty pool stops no mail: what comes is taken under the lasting key, from many at once', async () => {
    const bob = await owner(0);
    const senders = Array.from({ length: 8 }, (_, i) => stranger(site, parseAddress(`s${i}#full${i}.test`)));
    const sent = await Promise.all(
      senders.map(async (sender) => {
        const login = await site.logIn(sender);
        const { envelope } = await prepare(site, { sender, login, recipient: bob.address });
        return site.post(sendPath(bob.address), envelope, login.token);
      }),
    );
    expect(sent.map(({ status }) => status)).toEqual(Array(8).fill(200));
  });

  it('asking is not free of a session: without one nobody takes a key', async () => {
    const bob = await owner(3);
    for (const token of [undefined, '00'.repeat(32)])
      expect(codeOf(await site.post('/0.1/get_message_key', { address: bob.address }, token))).toBe('unauthorized');
    expect(await available(bob)).toBe(3);
  });
});
