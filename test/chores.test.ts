/** What is thrown away now and then, and what is not: nothing that strangers can cause may pile up. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { doChores, KEEP_ENDED_ALARMS_MS } from '../src/chores.ts';
import { createEvents } from '../src/events.ts';
import { createKeyMaintenance } from '../src/identity/maintenance.ts';
import { createKeystore } from '../src/keystore/keystore.ts';
import { createLogger } from '../src/log.ts';
import { endAlarms, listAlarms, raiseAlarm } from '../src/store/alarms.ts';
import { findDomain, saveDomain } from '../src/store/domains.ts';
import { ALICE, type ApiSite, BOB, codeOf, keyOf, prepare, sendPath, startApi, stranger } from './support/api-site.ts';

const DAY_SECONDS = 86_400;

let site: ApiSite;
beforeEach(async () => {
  site = await startApi();
});
afterEach(() => site[Symbol.asyncDispose]());

/** As the worker does it. No account here has its keys in the bridge, so no identity is asked. */
async function chores(): Promise<void> {
  const { db } = site.opened;
  const events = createEvents(createLogger({ level: 'silent' }));
  const keystore = createKeystore({ db, serverKey: Buffer.alloc(32, 7) });
  const identity = { checkOwnHistory: () => Promise.reject(new TypeError('nobody lives here')) };
  await doChores({
    db,
    maintenance: createKeyMaintenance({ db, keystore, events }),
    identity,
    events,
    clock: () => site.now,
  });
}

describe('message keys', () => {
  const issues = async () => (await site.opened.db.selectFrom('key_issue').select('public_key').execute()).length;
  const states = async () => {
    const rows = await site.opened.db.selectFrom('message_key').select('state').orderBy('state').execute();
    return rows.map(({ state }) => state);
  };

  it('go with their issues when nobody can use them any more', async () => {
    await site.account(BOB, { ephemeral: 8 });
    const alice = stranger(site, ALICE);
    const login = await site.logIn(alice);
    const sent = await prepare(site, { sender: alice, login, recipient: BOB });
    expect((await site.post(sendPath(BOB), sent.envelope, login.token)).status).toBe(200);
    const open = await prepare(site, { sender: alice, login, recipient: BOB });
    site.later(2 * DAY_SECONDS);
    await chores();
    expect(await issues()).toBe(2);
    site.later(1);
    await chores();
    expect(await issues()).toBe(1);
    // Issued but unused: whoever has it may still send under it, so it is the signature that is refused.
    const again = await site.logIn(alice);
    const late = await prepare(site, { sender: alice, login: again, recipient: BOB });
    const key = open.messageKey.public_key;
    expect(codeOf(await site.post(sendPath(BOB), { ...late.envelope, message_public_key: key }, again.token))).toBe(
      'bad_signature',
    );
    expect(await states()).toEqual([
      'available',
      'available',
      'available',
      'available',
      'available',
      'current',
      'issued',
      'issued',
      'used',
    ]);
    site.now = new Date(`${open.messageKey.expires.replace(' ', 'T')}Z`);
    site.later(2 * DAY_SECONDS);
    await chores();
    expect(await states()).toContain('used');
    site.later(1);
    await chores();
    expect(await issues()).toBe(0);
    expect(await states()).toEqual(['available', 'available', 'available', 'available', 'available', 'current']);
  });

  it('that were replaced go after their grace', async () => {
    const bob = await site.account(BOB, { ephemeral: 0 });
    const alice = stranger(site, ALICE);
    const login = await site.logIn(alice);
    await prepare(site, { sender: alice, login, recipient: BOB });
    const own = await site.logIn(bob);
    const next = keyOf(bob, 'non-ephemeral', site.now);
    expect((await site.post('/0.1/nonephemeral_key', next, own.token)).status).toBe(204);
    await chores();
    expect(await issues()).toBe(1);
    site.later(2 * DAY_SECONDS + 1);
    await chores();
    expect(await issues()).toBe(0);
  });
});

describe('domains', () => {
  it('that never spoke SMIMP are forgotten after a day; one that did is remembered for ever', async () => {
    const { db } = site.opened;
    const look = { baseUrl: null, now: site.now };
    await saveDomain(db, { ...look, domain: 'noise.test', outcome: 'failed', spoke: false });
    await saveDomain(db, { ...look, domain: 'absent.test', outcome: 'absent', spoke: false });
    await saveDomain(db, { ...look, domain: 'spoke.test', outcome: 'failed', spoke: true });
    const known = async () => {
      const names = ['noise.test', 'absent.test', 'spoke.test'];
      const found = await Promise.all(names.map((name) => findDomain(db, name)));
      return names.filter((_name, n) => found[n] !== undefined);
    };
    site.later(DAY_SECONDS);
    await chores();
    expect(await known()).toEqual(['noise.test', 'absent.test', 'spoke.test']);
    site.later(1);
    await chores();
    expect(await known()).toEqual(['spoke.test']);
    site.later(1_000 * DAY_SECONDS);
    await chores();
    expect(await known()).toEqual(['spoke.test']);
  });
});

describe('alarms', () => {
  it('that ended are kept for 90 days; those that last, or only happened, for ever', async () => {
    const { db } = site.opened;
    const { accountId } = await site.account(BOB);
    const now = site.now;
    const raise = (kind: 'pin-forked' | 'pin-truncated' | 'message-invalid', contact: string) =>
      db.transaction().execute((tx) =>
        raiseAlarm(tx, {
          ...{ accountId, contact, kind, cause: '', now, tellAt: now, lasts: kind !== 'message-invalid' },
          toldAgainBefore: null,
        }),
      );
    await raise('pin-truncated', ALICE);
    await raise('pin-forked', 'eve#acme.test');
    await raise('message-invalid', ALICE);
    const end = { accountId, contact: ALICE, kinds: ['pin-truncated'] as const, untell: [], now };
    await db.transaction().execute((tx) => endAlarms(tx, end));
    const kinds = async () => (await listAlarms(db, accountId)).map(({ kind }) => kind).sort();
    site.later(KEEP_ENDED_ALARMS_MS / 1000 + 1);
    await chores();
    // It was never told: that comes first.
    expect(await kinds()).toEqual(['message-invalid', 'pin-forked', 'pin-truncated']);
    await db.updateTable('alarm').set({ tell_at: null }).execute();
    site.later(-1);
    await chores();
    expect(await kinds()).toHaveLength(3);
    site.later(1);
    await chores();
    expect(await kinds()).toEqual(['message-invalid', 'pin-forked']);
  });
});
