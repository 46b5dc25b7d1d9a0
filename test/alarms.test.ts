/**
 * Every alarm that what arrives can cause (SMIMP 0.1 §3, §4.4), read by IMAP: told once by mail of the bridge, said in the
 * log, and ended only by what ends it, whereupon what was held is shown by itself.
 */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { keepOwnRecord } from '../src/identity/publish.ts';
import { GATHER_MS, MAX_ALARM_MAILS, MAX_AT_ONCE, MAX_TRUSTED_MAILS } from '../src/mailbox/alarms.ts';
import { openPending } from '../src/mailbox/open.ts';
import { createMeters } from '../src/metrics/meters.ts';
import { MAX_LISTED } from '../src/mime/alarm.ts';
import type { AlarmKind } from '../src/mime/bridge-mail.ts';
import { masterKeyPair, messageKeyPair } from '../src/smimp/crypto.ts';
import { type Hex32, type SignedHash, toHex } from '../src/smimp/encoding.ts';
import { fingerprintOf } from '../src/smimp/fingerprint.ts';
import { createRecord, rotateRecord } from '../src/smimp/record.ts';
import { raiseAlarm } from '../src/store/alarms.ts';
import { findMessage } from '../src/store/messages.ts';
import { listOwnRecords } from '../src/store/own-records.ts';
import type { ServedUser } from './support/hostile-server.ts';
import { BOB, type MailSite, mailSite } from './support/mail-site.ts';
import { type ReadNotice, readNotices } from './support/notices.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

let site: MailSite;
let people = 0;
const { registry, meter } = createMeters();
beforeAll(async () => {
  site = await mailSite({ meter });
});
afterAll(() => site[Symbol.asyncDispose]());
afterEach(async () => {
  site.server.behave('get_history', null);
  for (const table of ['message', 'alarm', 'domain'] as const) await site.opened.db.deleteFrom(table).execute();
  site.log.length = 0;
  registry.resetMetrics();
  site.clock.advance(2 * DAY_MS);
});

/** Somebody whom Bob knows. */
async function friend(): Promise<ServedUser> {
  people += 1;
  const user = site.server.addUser(`friend${people}`, site.clock.seconds());
  user.change({ now: site.clock.seconds(), profile: { name: 'A friend' } });
  await site.receive({ from: user, subject: 'Hello' });
  await site.open();
  site.clock.advance(120_000);
  return user;
}
const notices = async (): Promise<ReadNotice[]> => {
  using client = await site.client();
  return await readNotices(client);
};
const kinds = async (): Promise<string[]> => (await notices()).map(({ kind }) => kind);
const stateOf = async (id: Buffer): Promise<string | undefined> => {
  const row = await findMessage(site.opened.db, site.bobId, id);
  return row === undefined || row.reason === null ? row?.state : `${row.state} ${row.reason}`;
};
const logged = (event: string): string[] =>
  site.log.map((line) => JSON.parse(line)).flatMap((line) => (line.event === event ? [line.kind as string] : []));
const mailboxOf = ({ address }: ServedUser): string => address.replace('#', '@');
const replace = (user: ServedUser): void => {
  const master = masterKeyPair();
  Object.assign(user, {
    master,
    records: [createRecord({ address: user.address, master, now: site.clock.seconds() })],
  });
};
const verify = (user: ServedUser): Promise<unknown> => {
  const signed = user.records[0]?.signed_hash;
  if (signed === undefined) throw new Error('no record');
  const fingerprint = fingerprintOf(user.address, signed);
  return site.identity.verify({ accountId: site.bobId, contact: user.address, fingerprint });
};

interface Case {
  kind: AlarmKind;
  /** Makes it happen; messages that came meanwhile. */
  happens: (user: ServedUser) => Promise<Buffer[]>;
  /** What the messages then are. */
  state: string;
  /** What the mail says. */
  says: RegExp;
  /** What must end it, and what must not. */
  ends?: (user: ServedUser) => Promise<unknown> | unknown;
}

const receiveTwo = async (user: ServedUser): Promise<Buffer[]> => {
  const ids = [await site.receive({ from: user }), await site.receive({ from: user })];
  await site.open();
  return ids;
};
let whole: ServedUser['records'] = [];
/** The message that shows that the server hides something. */
let forking: Buffer = Buffer.alloc(0);

const CASES: Case[] = [
  {
    kind: 'pin-truncated',
    happens: (user) => {
      whole = user.records;
      user.records = whole.slice(0, 1);
      return receiveTwo(user);
    },
    state: 'held pin-truncated',
    says: /no longer shows changes of identity[\s\S]*held, unread[\s\S]*ends by itself/,
    ends: (user) => {
      user.records = whole;
    },
  },
  {
    kind: 'pin-replaced',
    happens: (user) => {
      replace(user);
      return receiveTwo(user);
    },
    state: 'held pin-replaced',
    says: /another identity under this address[\s\S]*by phone, not by mail[\s\S]*trust verify bob@corp\.test friend\d+@acme\.test FINGERPRINT/,
    ends: verify,
  },
  {
    kind: 'pin-forked',
    happens: async (user) => {
      const head = { seq: 2, head: 'ab'.repeat(32) as Hex32 };
      forking = await site.receive({ from: user, header: { sender_head: head } });
      await site.open();
      expect(await stateOf(forking)).toBe('held pin-forked');
      return receiveTwo(user);
    },
    state: 'held pin-forked',
    says: /not the one that was seen before[\s\S]*Nothing else releases it/,
    ends: verify,
  },
  {
    kind: 'identity-invalid',
    happens: (user) => {
      user.head = 'cd'.repeat(32) as Hex32;
      return receiveTwo(user);
    },
    state: 'held pin-invalid',
    says: /does not verify[\s\S]*Alarm: identity-invalid \(head-mismatch\)/,
    ends: (user) => {
      user.head = null;
    },
  },
  {
    kind: 'key-changed',
    happens: (user) => {
      user.change({ now: site.clock.seconds(), rotate: true });
      return receiveTwo(user);
    },
    state: 'shown',
    says: /has a new key[\s\S]*stays the same when keys change, so one that was checked needs no new check/,
  },
  {
    kind: 'recipient-head-unknown',
    happens: async (user) => {
      const header = { recipient_head: { seq: 0, head: 'ef'.repeat(32) as Hex32 } };
      const ids = [await site.receive({ from: user, header }), await site.receive({ from: user, header })];
      await site.open();
      return ids;
    },
    state: 'shown',
    says: /that you never published[\s\S]*fingerprint bob@corp\.test/,
  },
  {
    kind: 'message-invalid',
    happens: async (user) => {
      const key = Buffer.from(messageKeyPair().publicKey);
      const ids = [await site.receive({ from: user, key }), await site.receive({ from: user, key })];
      await site.open();
      return ids;
    },
    state: 'quarantined unknown-message-key',
    says: /kept apart, unopened[\s\S]*Alarm: message-invalid \(unknown-message-key\)/,
  },
];

describe('an alarm', () => {
  it.each(CASES)('$kind is told once, logged, and ends as it should', async ({ kind, happens, state, says, ends }) => {
    const user = await friend();
    const honest = user.records;
    const ids = await happens(user);
    for (let round = 0; round < 3; round++) {
      site.clock.advance(HOUR_MS);
      await site.open();
    }
    for (const id of ids) expect(await stateOf(id)).toBe(state);
    const [notice, ...more] = await notices();
    expect(more).toEqual([]);
    expect(notice).toMatchObject({ kind, from: '"SMIMP bridge" <smimp-bridge@corp.test>' });
    expect(notice?.subject).toContain(mailboxOf(user));
    expect(notice?.text.replace(/\s+/g, ' ')).toMatch(new RegExp(says.source.replaceAll('[\\s\\S]*', '.*')));
    expect(logged('alarm_raised').filter((one) => one === kind).length).toBeGreaterThan(0);
    expect(logged('alarms_told')).toEqual([kind]);
    const counted = (await registry.getSingleMetric('smimp_alarms_total')?.get())?.values ?? [];
    expect(counted.map(({ labels }) => labels.kind)).toContain(kind);
    const shown = await site.identity.show({ accountId: site.bobId, contact: user.address });
    expect(shown[0]?.alarms).toMatchObject([{ kind, told: { by: 'mail' }, ended: null }]);
    expect(shown[0]?.why ?? null).toBe(state.startsWith('held') ? notice?.subject : null);
    expect(site.log.join('\n')).not.toMatch(/acme\.test|corp\.test/);
    if (ends === undefined) return;
    const present = user.records;
    if (ends === verify) user.records = honest;
    else await expect(verify(user)).rejects.toThrow(/^(truncated|invalid)$/);
    site.clock.advance(2 * HOUR_MS);
    await site.open();
    for (const id of ids) expect(await stateOf(id)).toBe(state);
    user.records = present;
    await ends(user);
    const last = await site.receive({ from: user });
    await site.open();
    for (const id of [...ids, last]) expect(await stateOf(id)).toBe('shown');
    expect(logged('alarm_ended')).toContain(kind);
    if (kind !== 'pin-forked') return expect(await kinds()).toEqual([kind]);
    // Of the message that started it nothing is shown: it contradicts what a person checked.
    expect(await stateOf(forking)).toBe('quarantined sender-head');
    expect(await kinds()).toEqual([kind, 'message-invalid']);
  });

  it('retired-key is told once for each key, with the warning in each message', async () => {
    const user = await friend();
    const old = user.master;
    user.change({ now: site.clock.seconds(), rotate: true });
    await receiveTwo(user);
    site.clock.advance(2 * DAY_MS);
    user.master = old;
    const ids = await receiveTwo(user);
    for (const id of ids) expect(await stateOf(id)).toBe('shown');
    expect(await kinds()).toEqual(['key-changed', 'retired-key']);
    const [, notice] = await notices();
    expect(notice?.text).toMatch(/signed with a key that friend\d+@acme\.test replaced/);
  });

  it('unavailable is told when mail waits for more than a day, not before, and not when it ended', async () => {
    const user = await friend();
    const fail = (): void =>
      site.server.behave('get_history', (_request, response) => void response.writeHead(503).end());
    fail();
    const [id] = await receiveTwo(user);
    site.clock.advance(DAY_MS - 1_000);
    await site.open();
    expect(await stateOf(id as Buffer)).toBe('held unavailable');
    expect(await kinds()).toEqual([]);
    site.clock.advance(1_000);
    await site.open();
    expect(await kinds()).toEqual(['unavailable']);
    site.server.behave('get_history', null);
    site.clock.advance(HOUR_MS);
    await site.open();
    expect(await stateOf(id as Buffer)).toBe('shown');
    expect(await kinds()).toEqual(['unavailable']);
    const other = await friend();
    fail();
    await receiveTwo(other);
    site.server.behave('get_history', null);
    site.clock.advance(HOUR_MS);
    await site.open();
    site.clock.advance(2 * DAY_MS);
    await site.open();
    expect(await kinds()).toEqual(['unavailable']);
  });

  it('recipient-head-stale is told once for each state of ours that somebody is shown for too long', async () => {
    const user = await friend();
    const [first] = await listOwnRecords(site.opened.db, site.bobId);
    const { seq, head } = await site.identity.ownHistory(site.bobId);
    if (first === undefined) throw new Error('Bob has no record');
    const previous = { data: first.data, signed_hash: toHex<SignedHash>(first.signed_hash), new_key_signed_hash: null };
    const signer = await (await site.keystore.open(site.bobId)).master();
    const record = rotateRecord({ previous, signer, now: site.clock.seconds(), profile: { name: 'Robert' } });
    const at = { seq: 1, now: site.clock.read() };
    await site.opened.db.transaction().execute((tx) => keepOwnRecord(tx, site.bobId, record, at));
    const receiveOld = async (): Promise<void> => {
      for (let n = 0; n < 2; n++) await site.receive({ from: user, header: { recipient_head: { seq, head } } });
      await site.open();
    };
    site.clock.advance(DAY_MS);
    await receiveOld();
    expect(await kinds()).toEqual([]);
    site.clock.advance(1_000);
    await receiveOld();
    site.clock.advance(2 * DAY_MS);
    await receiveOld();
    const told = await notices();
    expect(told.map(({ kind }) => kind)).toEqual(['recipient-head-stale']);
    expect(told[0]?.text).toMatch(/made for keys that you replaced more than a day before/);
  });

  it('that came back is told again, a day after it was told and not before', async () => {
    const user = await friend();
    whole = user.records;
    const flap = async (): Promise<void> => {
      user.records = whole.slice(0, 1);
      site.clock.advance(120_000);
      await receiveTwo(user);
      user.records = whole;
      site.clock.advance(120_000);
      await receiveTwo(user);
    };
    for (let times = 0; times < 5; times++) await flap();
    expect(await kinds()).toEqual(['pin-truncated']);
    site.clock.advance(DAY_MS);
    await flap();
    expect(await kinds()).toEqual(['pin-truncated', 'pin-truncated']);
  });
});

describe('telling', () => {
  /** Alarms about people who are not known otherwise. */
  const raiseMany = async (count: number, kind: AlarmKind = 'message-invalid'): Promise<void> => {
    const now = site.clock.read();
    for (let n = 0; n < count; n++) {
      people += 1;
      const about = { accountId: site.bobId, contact: `stranger${people}#evil.test`, kind, cause: '' };
      await site.opened.db
        .transaction()
        .execute((tx) => raiseAlarm(tx, { ...about, now, tellAt: now, lasts: false, toldAgainBefore: null }));
    }
  };

  it('is bounded in a day: what is beyond comes in one mail, once a day', async () => {
    await raiseMany(MAX_ALARM_MAILS);
    await site.open();
    expect(await kinds()).toEqual(Array.from({ length: MAX_ALARM_MAILS }, () => 'message-invalid'));
    await raiseMany(MAX_LISTED + 5);
    await site.open();
    site.clock.advance(GATHER_MS - 1_000);
    await raiseMany(1);
    await site.open();
    expect(await kinds()).toHaveLength(MAX_ALARM_MAILS);
    site.clock.advance(GATHER_MS);
    await site.open();
    const told = await notices();
    expect(told).toHaveLength(MAX_ALARM_MAILS + 1);
    const summary = told.at(-1);
    expect(summary).toMatchObject({ kind: 'alarms', subject: `${MAX_LISTED + 6} more alarms` });
    expect(summary?.text.match(/stranger\d+@evil\.test/g)).toHaveLength(MAX_LISTED);
    expect(summary?.text).toContain('and 6 more');
    await raiseMany(3);
    await site.open();
    site.clock.advance(20 * HOUR_MS);
    await site.open();
    expect(await kinds()).toHaveLength(MAX_ALARM_MAILS + 1);
    site.clock.advance(4 * HOUR_MS);
    await site.open();
    expect(await kinds()).toHaveLength(MAX_ALARM_MAILS + 2);
    expect((await notices()).at(-1)?.subject).toBe('3 more alarms');
  });

  it('looks at very many a part at a time, and loses none', async () => {
    const now = site.clock.read();
    const rows = Array.from({ length: MAX_ALARM_MAILS + MAX_AT_ONCE + 5 }, (_none, n) => ({
      account_id: site.bobId,
      contact: `many${n}#evil.test`,
      kind: 'message-invalid' as const,
      cause: '',
      evidence: null,
      first_at: now,
      last_at: now,
      tell_at: now,
    }));
    await site.opened.db.insertInto('alarm').values(rows).execute();
    await site.open();
    expect(await kinds()).toHaveLength(MAX_ALARM_MAILS);
    site.clock.advance(GATHER_MS);
    await site.open();
    expect((await notices()).at(-1)?.subject).toBe(`${MAX_AT_ONCE} more alarms`);
    site.clock.advance(DAY_MS);
    await site.open();
    expect((await notices()).at(-1)?.subject).toBe('5 more alarms');
  });

  it('is not late about a contact who was checked, nor about oneself, and bounded for each of them', async () => {
    const checked = await friend();
    await verify(checked);
    await raiseMany(MAX_ALARM_MAILS + 20);
    await site.open();
    replace(checked);
    await receiveTwo(checked);
    expect((await kinds()).at(-1)).toBe('pin-replaced');
    const now = site.clock.read();
    for (let n = 0; n < MAX_TRUSTED_MAILS + 2; n++) {
      const own = { accountId: site.bobId, contact: BOB, kind: 'own-history' as const, cause: String(n), lasts: true };
      await site.opened.db
        .transaction()
        .execute((tx) => raiseAlarm(tx, { ...own, now, tellAt: now, toldAgainBefore: null }));
    }
    await site.open();
    const own = (await kinds()).filter((kind) => kind === 'own-history');
    expect(own).toHaveLength(MAX_TRUSTED_MAILS);
  });

  it('happens once, however many do it at the same time', async () => {
    await raiseMany(5);
    const { opened, keystore, identity, gate, events, clock, bobId } = site;
    const services = { db: opened.db, keystore, identity, gate, events, clock: clock.read };
    await Promise.all([1, 2, 3, 4].map(() => openPending(services, bobId)));
    expect(await kinds()).toHaveLength(5);
  });

  it('that fails is tried again, keeps what is to be told, and keeps no mail from being opened', async () => {
    const user = await friend();
    await raiseMany(1);
    const { db } = site.opened;
    const broken = db.updateTable('secret').set({ retired_at: site.clock.read() }).where('kind', '=', 'non-ephemeral');
    const [key] = await db.selectFrom('secret').select('public_key').where('kind', '=', 'ephemeral').limit(1).execute();
    await broken.execute();
    const id = await site.receive({ from: user, key: key?.public_key as Buffer });
    await site.open();
    expect(await stateOf(id)).toBe('shown');
    expect(await kinds()).toEqual([]);
    await db.updateTable('secret').set({ retired_at: null }).where('kind', '=', 'non-ephemeral').execute();
    site.clock.advance(HOUR_MS);
    await site.open();
    expect(await kinds()).toEqual(['message-invalid']);
  });

  it('happens by itself, told by another process', async () => {
    await using _opening = await site.mailbox.startOpening();
    using client = await site.client();
    await client.ok('select inbox');
    client.send('i1 idle\r\n');
    expect(await client.line()).toMatch(/^\+ /);
    await raiseMany(1);
    expect(await client.line()).toBe('* 1 EXISTS');
  });
});
