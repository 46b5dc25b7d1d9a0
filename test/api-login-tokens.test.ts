/** Tokens that anybody may ask for (SMIMP 0.1 §5: `create_session`) take bounded room, whether the address has an account or not. */
import { sql } from 'kysely';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type Address, encodePathSegment } from '../src/smimp/address.ts';
import { MAX_LOGIN_TOKENS, MAX_LOGIN_TOKENS_PER_ADDRESS } from '../src/smimp/api.ts';
import { randomBytes } from '../src/smimp/crypto.ts';
import { type Account, type ApiSite, answerOf, BOB, codeOf, loginBody, startApi } from './support/api-site.ts';

let site: ApiSite;
let bob: Account;
beforeAll(async () => {
  site = await startApi();
  bob = await site.account(BOB);
});
afterAll(() => site[Symbol.asyncDispose]());
beforeEach(() => site.opened.db.deleteFrom('login_token').execute());

const NOBODY = 'nobody#corp.test' as Address;
const path = (address: Address) => `/0.1/create_session/${encodePathSegment(address)}`;
const ask = async (address: Address) => answerOf('get_create_session', await site.get(path(address)));
const fill = async (address: Address, count: number): Promise<void> => {
  const rows = Array.from({ length: count }, () => ({ token: randomBytes(32), address, expires_at: site.now }));
  await site.opened.db.insertInto('login_token').values(rows).execute();
};
const kept = async (address?: Address): Promise<number> => {
  const query = site.opened.db.selectFrom('login_token').select('token');
  return (await (address === undefined ? query : query.where('address', '=', address)).execute()).length;
};

describe('login tokens', () => {
  it('are the newest of an address, so that nobody can shut its owner out by asking', async () => {
    for (const address of [BOB, NOBODY]) {
      const first = await ask(address);
      await fill(address, MAX_LOGIN_TOKENS_PER_ADDRESS - 1);
      expect(await kept(address)).toBe(MAX_LOGIN_TOKENS_PER_ADDRESS);
      expect(Object.keys(await ask(address))).toEqual(Object.keys(first));
      expect(await kept(address)).toBe(MAX_LOGIN_TOKENS_PER_ADDRESS);
    }
    expect(await site.logIn(bob)).toMatchObject({ scope: 'home' });
  });

  it('that were pushed out are worth nothing', async () => {
    const body = await loginBody(site, bob);
    await fill(BOB, MAX_LOGIN_TOKENS_PER_ADDRESS - 1);
    expect((await site.post(path(BOB), body)).status).toBe(200);
    const late = await loginBody(site, bob);
    await fill(BOB, MAX_LOGIN_TOKENS_PER_ADDRESS);
    await ask(BOB);
    expect(codeOf(await site.post(path(BOB), late))).toBe('unauthorized');
  });

  it('are bounded over all addresses', async () => {
    const [oldest, newer] = ['x#acme.test', 'y#acme.test'] as Address[];
    await ask(oldest as Address);
    await ask(newer as Address);
    // As if so many had been asked for since the first.
    await sql`select setval(pg_get_serial_sequence('login_token', 'position'),
      (select min(position) from login_token) + ${MAX_LOGIN_TOKENS - 2}::bigint)`.execute(site.opened.db);
    await ask(NOBODY);
    expect(await kept()).toBe(3);
    await ask(NOBODY);
    expect([await kept(oldest), await kept(newer), await kept(NOBODY)]).toEqual([0, 1, 2]);
  });

  it('are given to many at once', async () => {
    await fill(BOB, MAX_LOGIN_TOKENS_PER_ADDRESS);
    await Promise.all(Array.from({ length: 20 }, () => ask(BOB)));
    await ask(BOB);
    expect(await kept(BOB)).toBe(MAX_LOGIN_TOKENS_PER_ADDRESS);
  });
});
